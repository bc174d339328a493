//! How a service is started, stopped, restarted and reloaded without another version.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BackendError, Instance, Scope, Situation};
use crate::{model::Target, plan::Action};

/// Starts, stops, restarts and reloads one service, at a person's word.
///
/// Several services are several operators: operated in order, and stopped in reverse order.
///
/// # Guarantees
/// `operate` may be repeated after a lost answer: of what leaves a mark, nothing is done twice
/// (rule 19).
///
/// # How to implement it
/// `describe_action` is the place to refuse what the service cannot do: it is asked for each group before
/// any target is. `state` is asked right before each action, and its `instance` comes back as
/// `before`: let its mark tell one start from the next, as a
/// [`Restarter`](super::Restarter)'s does. With it `operate` sees, at `scope.attempt` above 1,
/// whether an earlier attempt did the restart. After a failure `state` is asked again: where the
/// instance is the same, the service counts as left as it was. `operate` returns when the service
/// is where it should be; whether it answers rightly is a [`Checker`](super::Checker)'s question.
#[async_trait]
pub trait Operator: fmt::Debug + Send + Sync {
    /// What `action` does, for the plan: `stop mockbase.service`. Pure: asks nobody.
    ///
    /// # Errors
    /// `Rejected`, with what to do instead, when this service has no such action. It is asked
    /// before anything is touched.
    fn describe_action(&self, action: Action) -> Result<String, BackendError>;

    /// Asks how the service is. Changes nothing; cancel-safe.
    ///
    /// # Errors
    /// `NotFound` when there is no such service; else it could not be asked.
    async fn state(&self, target: &Target, scope: &Scope) -> Result<ServiceState, BackendError>;

    /// Does `action`, and returns when it is done: what was started, restarted or reloaded is up,
    /// what was stopped is not. To start what is up, and to stop what is down, is to do nothing.
    ///
    /// # Guarantees
    /// A restart with `scope.attempt` above 1 is done only when what runs is still `before`.
    ///
    /// # Errors
    /// `Rejected` with evidence when the service did not do it; `Denied` when sudo refuses.
    async fn operate(
        &self,
        target: &Target,
        action: Action,
        before: &Instance,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError>;
}

/// How a service is. The words are the target's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name: `mockbase.service`.
    pub service: String,
    /// What runs, told apart from any later start.
    #[serde(flatten)]
    pub instance: Instance,
    /// What its manager says: `active`, `inactive`, `failed`.
    pub state: String,
    /// The same, more finely: `running`, `exited`, `auto-restart`; empty where the manager has no
    /// such word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// Since when it is up, or down, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}
