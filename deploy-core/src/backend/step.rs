//! A step of one's own: migrate, warm a cache, tell a load balancer.

use std::fmt;

use async_trait::async_trait;

use super::{BackendError, Scope, Situation};
use crate::model::Target;

/// Runs one of the app's own steps on a target.
///
/// Where and when it runs is said by [`StepPolicy`](crate::plan::StepPolicy). Steps that build
/// within a release before it counts as complete belong to [`Transport`](super::Transport)'s fetch.
///
/// # How to implement it
/// Do it, and report its output as evidence when it fails. It is not repeated after a lost answer, so
/// it may be something that must not happen twice, such as a migration; yet a later run of the same
/// version runs it again.
#[async_trait]
pub trait Step: fmt::Debug + Send + Sync {
    /// What it does, for the plan: `run bin/migrate`.
    fn describe(&self) -> String;

    /// Runs it once.
    ///
    /// # Guarantees
    /// None but the app's own: the engine does not repeat it by itself after a lost answer.
    ///
    /// # Errors
    /// `Rejected` with its output as evidence when it failed.
    async fn run(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError>;
}
