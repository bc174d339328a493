//! Taking over hosts, and giving them back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use deploy_core::{
    backend::{BackendError, Scope},
    model::{Target, Version},
    record::RunId,
};
use deploy_ssh::{Found, Identity, SshTransport};
use tokio::{task::JoinSet, time::Instant};

use super::{Wired, wired::scope};
use crate::error::CommandError;

/// How long a host may take to read all that it serves.
const READING: Duration = Duration::from_secs(600);

impl Wired {
    /// What acts on the hosts that are adopted.
    ///
    /// # Errors
    /// Refused where there are no hosts.
    pub fn transport(&self) -> Result<Arc<SshTransport>, CommandError> {
        Ok(Arc::clone(&self.over_ssh("adopt")?.transport))
    }
}

/// Looks at what lies at the live paths of `targets`, all at once.
pub async fn find(
    transport: &Arc<SshTransport>,
    targets: impl IntoIterator<Item = Target>,
    run: &RunId,
    who: &str,
) -> BTreeMap<Target, Result<Found, BackendError>> {
    let mut asking = JoinSet::new();
    for target in targets {
        let (transport, scope) = (Arc::clone(transport), scope(run, who));
        asking.spawn(async move {
            let found = transport.find(&target, &scope).await;
            (target, found)
        });
    }
    asking.join_all().await.into_iter().collect()
}

/// Tells which version was found on each of `targets`, all at once: the commit that the layout
/// names, or one of its own.
pub async fn identify(
    transport: &Arc<SshTransport>,
    targets: Vec<(Target, Found, Option<Version>)>,
    run: &RunId,
    who: &str,
) -> BTreeMap<Target, Result<(Found, Identity), BackendError>> {
    let mut asking = JoinSet::new();
    for (target, found, commit) in targets {
        let transport = Arc::clone(transport);
        let scope = Scope { deadline: Instant::now() + READING, ..scope(run, who) };
        asking.spawn(async move {
            let asked = transport.identify(&target, &found, commit.as_ref(), &scope).await;
            (target, asked.map(|identity| (found, identity)))
        });
    }
    asking.join_all().await.into_iter().collect()
}
