//! How a service is made to use what was promoted.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{BackendError, Scope, Situation};
use crate::model::Target;

/// Makes a service use what was promoted.
///
/// # Guarantees
/// `restart` may be repeated after a lost answer: it compares what runs with the [`Instance`] noted
/// before, and acts only when nothing has changed since (rule 19).
///
/// # How to implement it
/// The engine calls `running` before the switch and gives its answer to all later calls, so `mark`
/// must tell one start of the service from the next: an invocation id, a start time with a pid.
/// `restart` first asks what runs now; another mark than `before.mark` means that an earlier attempt
/// did it. It returns when the service has come up, or with what a person would look at, as
/// evidence. Whether it answers rightly is a [`Checker`](super::Checker)'s question.
#[async_trait]
pub trait Restarter: fmt::Debug + Send + Sync {
    /// What it does, for the plan: `restart mockbase.service`.
    fn describe(&self) -> String;

    /// Asks what runs now. Changes nothing; cancel-safe.
    async fn running(&self, target: &Target, scope: &Scope) -> Result<Instance, BackendError>;

    /// Makes the service use what was promoted, and returns when it does: the process is another
    /// one than `before` and is active, or has taken the reload and lives on.
    ///
    /// # Errors
    /// `Rejected` with evidence when the service does not come up; `Denied` when sudo refuses.
    async fn restart(
        &self,
        target: &Target,
        before: &Instance,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError>;

    /// Stops the service, when a first deploy is taken back to nothing and `before` was not
    /// active. Idempotent.
    async fn stop(
        &self,
        target: &Target,
        before: &Instance,
        scope: &Scope,
    ) -> Result<(), BackendError>;

    /// What a person would look at when a check failed after a restart: the service's status and
    /// its last log lines since `before`. Empty when there is nothing to show.
    async fn evidence(
        &self,
        target: &Target,
        before: &Instance,
        scope: &Scope,
    ) -> Result<String, BackendError>;
}

/// What ran when it was asked: told apart from any later start of the same service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Whether it was active.
    pub active: bool,
    /// The restarter's own mark of this start, such as systemd's InvocationID. Opaque.
    pub mark: String,
}
