//! The claims of a transport: a lease for each target that a run works on.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use deploy_core::{
    backend::{BackendError, Claim, ErrorKind, Holder, Scope, Standing},
    model::Target,
    record::RunId,
};
use jiff::Timestamp;

use crate::{
    failure::{self, Effect},
    lease::{Held, Lease, Taken, Tenant},
};

/// The leases that are held, by target.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashMap<Target, (RunId, Held)>>);

impl Claims {
    fn map(&self) -> MutexGuard<'_, HashMap<Target, (RunId, Held)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims `target` for the run of `scope`, or makes sure that it still is.
    ///
    /// # Errors
    /// `Claimed` when another run has it.
    pub(crate) async fn hold(
        &self,
        target: &Target,
        lease: &Lease,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let is_held = {
            let map = self.map();
            map.get(target).is_some_and(|(run, held)| *run == scope.run && !held.is_lost())
        };
        // What the renewal has not noticed yet.
        if is_held {
            let tenant = lease.holder(scope).await?;
            if tenant.is_some_and(|tenant| tenant.holder.run.as_ref() == Some(&scope.run)) {
                return Ok(());
            }
        }
        match lease.take(&holder(scope), scope).await? {
            Taken::Ours(held) => {
                self.map().insert(target.clone(), (scope.run.clone(), held));
                Ok(())
            }
            Taken::HeldBy(tenant) => Err(claimed(&tenant, attempted)),
        }
    }

    /// Gives `target` up, where it is held.
    ///
    /// # Errors
    /// When the cluster could not be told.
    pub(crate) async fn give_up(
        &self,
        target: &Target,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let held = self.map().remove(target);
        match held {
            Some((_, held)) => {
                held.give_up().await.map_err(|error| failure::of(error, Effect::Changes, attempted))
            }
            None => Ok(()),
        }
    }
}

/// Who claims a target, as the engine wants to know it.
///
/// # Errors
/// As any call to the cluster.
pub(crate) async fn seen(lease: &Lease, scope: &Scope) -> Result<Option<Claim>, BackendError> {
    Ok(lease.holder(scope).await?.and_then(|tenant| {
        let standing = match &tenant.holder.run {
            Some(run) if *run == scope.run => Standing::Ours,
            _ if tenant.is_dead => Standing::Dead,
            _ => Standing::Foreign,
        };
        let run = tenant.holder.run.clone().or_else(|| RunId::new("unknown").ok())?;
        Some(Claim { run, who: tenant.holder.who, since: tenant.holder.since, standing })
    }))
}

fn holder(scope: &Scope) -> Holder {
    Holder {
        who: scope.who.clone(),
        host: String::new(),
        pid: std::process::id(),
        why: None,
        since: Timestamp::now(),
        run: Some(scope.run.clone()),
        until: None,
    }
}

fn claimed(tenant: &Tenant, attempted: &str) -> BackendError {
    let holder = &tenant.holder;
    let run = holder.run.as_ref().map(|run| format!(" in the run {run}")).unwrap_or_default();
    BackendError::new(ErrorKind::Claimed, attempted)
        .with_source(format!("{} holds it{run}, since {}", holder.who, holder.since))
}
