//! What runs hold on targets, for whoever wants to free them.

use deploy_core::{
    backend::{BackendError, Claim, ErrorKind, Standing},
    model::Target,
    record::RunId,
};
use tokio::task::JoinSet;

use super::{Wired, wired::scope};

/// A claim that was found on a target.
#[derive(Debug)]
pub struct FoundClaim {
    /// What it says; `None` when it cannot be read.
    pub claim: Option<Claim>,
    held: Held,
}

/// What is removed with it.
#[derive(Debug)]
enum Held {
    Host(deploy_ssh::Held),
    Cluster,
}

impl Wired {
    /// Looks for claims of other runs on `targets`, at all of them at once.
    pub async fn claims(
        &self,
        targets: impl IntoIterator<Item = Target>,
        run: &RunId,
        who: &str,
    ) -> Vec<(Target, Result<Option<FoundClaim>, BackendError>)> {
        let mut asking = JoinSet::new();
        for target in targets {
            let scope = scope(run, who);
            if let Some(lease) = self.clusters.as_ref().and_then(|it| it.claim_on(&target)) {
                asking.spawn(async move {
                    let found = |claim| FoundClaim { claim: Some(claim), held: Held::Cluster };
                    let asked = lease.claim(&scope).await;
                    (target, asked.map(|claim| claim.map(found)))
                });
            } else if let Some(hosts) = &self.hosts {
                let transport = hosts.transport.clone();
                asking.spawn(async move {
                    let held = transport.held(&target, &scope).await;
                    let found = |held: deploy_ssh::Held| FoundClaim {
                        claim: held.claim.clone(),
                        held: Held::Host(held),
                    };
                    (target, held.map(|held| held.map(found)))
                });
            }
        }
        let mut found = asking.join_all().await;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// Removes a claim that was found: that one, and no other.
    ///
    /// # Errors
    /// As [`SshTransport::unlock`](deploy_ssh::SshTransport::unlock) and
    /// [`Lease::free`](deploy_k8s::Lease::free).
    pub async fn remove_claim(
        &self,
        target: &Target,
        found: &FoundClaim,
        run: &RunId,
        who: &str,
    ) -> Result<(), BackendError> {
        let scope = scope(run, who);
        let lease = self.clusters.as_ref().and_then(|it| it.claim_on(target));
        match (&found.held, lease, &found.claim, &self.hosts) {
            (Held::Cluster, Some(lease), Some(claim), _) => lease.free(claim, &scope).await,
            (Held::Host(held), .., Some(hosts)) => {
                hosts.transport.unlock(target, held, &scope).await
            }
            _ => Err(BackendError::new(ErrorKind::NotFound, format!("find {target}"))),
        }
    }
}

impl FoundClaim {
    /// Whether the run that made it is proven dead.
    pub fn is_dead(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.standing == Standing::Dead)
    }
}
