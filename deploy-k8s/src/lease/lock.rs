//! The lock of an app and environment, as a lease.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{Acquired, BackendError, Cancel, Discard, ErrorKind, Holder, Lock, LockGuard, Scope},
    plan::Stage,
    record::RunId,
};
use tokio::time::Instant;

use super::{Held, Lease, Taken};

/// How long the cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Excludes all runs of an app and environment that reach the same cluster, whichever machine they
/// run on.
#[derive(Debug)]
pub struct LeaseLock(Lease);

impl LeaseLock {
    /// The lock that `lease` is.
    pub fn new(lease: Lease) -> Self {
        Self(lease)
    }

    fn scope(holder: &Holder) -> Result<Scope, BackendError> {
        let run = match &holder.run {
            Some(run) => run.clone(),
            None => RunId::new("lock").map_err(|error| {
                BackendError::new(ErrorKind::Broken, "take the lock").with_source(error)
            })?,
        };
        Ok(Scope {
            run,
            who: holder.who.clone(),
            stage: Stage::Connect,
            attempt: 1,
            rolling_back: false,
            deadline: Instant::now() + PATIENCE,
            cancel: Cancel::new(),
            output: Arc::new(Discard),
        })
    }
}

#[async_trait]
impl Lock for LeaseLock {
    async fn acquire(&self, holder: &Holder) -> Result<Acquired, BackendError> {
        Ok(match self.0.take(holder, &Self::scope(holder)?).await? {
            Taken::Ours(held) => Acquired::Yes(Box::new(Guard(held))),
            Taken::HeldBy(tenant) => Acquired::HeldBy(tenant.holder),
        })
    }

    async fn holder(&self) -> Result<Option<Holder>, BackendError> {
        let nobody = Holder {
            who: String::new(),
            host: String::new(),
            pid: 0,
            why: None,
            since: jiff::Timestamp::now(),
            run: None,
            until: None,
        };
        let tenant = self.0.holder(&Self::scope(&nobody)?).await?;
        Ok(tenant.filter(|tenant| !tenant.is_dead).map(|tenant| tenant.holder))
    }
}

#[derive(Debug)]
struct Guard(Held);

#[async_trait]
impl LockGuard for Guard {
    async fn release(self: Box<Self>) -> Result<(), BackendError> {
        self.0.give_up().await.map_err(|error| {
            crate::failure::of(error, crate::failure::Effect::Changes, "give the lock up")
        })
    }
}
