//! Whether a target is healthy.

use std::fmt;

use async_trait::async_trait;

use super::{BackendError, Scope};
use crate::{
    model::{GroupName, Release, Target},
    plan::Change,
};

/// Asks one question about the health of a target.
///
/// How often, how long and in which stage it is asked is not the checker's matter: see
/// [`CheckPolicy`](crate::plan::CheckPolicy).
///
/// # How to implement it
/// Ask once, and say what was seen. What time may cure is `NotYet`; what is an answer is `Unhealthy`;
/// what could not be asked is an error. Never wait or repeat: the policy does.
///
/// ```
/// use async_trait::async_trait;
/// use deploy_core::{
///     backend::{BackendError, Checker, Scope, Situation, Verdict},
///     model::Target,
/// };
///
/// /// Healthy while fewer than `most` jobs wait.
/// #[derive(Debug)]
/// struct QueueIsShort {
///     most: u64,
/// }
///
/// #[async_trait]
/// impl Checker for QueueIsShort {
///     fn describe(&self) -> String {
///         format!("at most {} jobs wait", self.most)
///     }
///
///     async fn check(
///         &self,
///         target: &Target,
///         _: &Situation,
///         _: &Scope,
///     ) -> Result<Verdict, BackendError> {
///         let waiting = jobs_waiting(target).await?;
///         Ok(match waiting {
///             few if few <= self.most => Verdict::Healthy,
///             many => Verdict::NotYet { seen: format!("{many} jobs wait") },
///         })
///     }
/// }
/// # async fn jobs_waiting(_: &Target) -> Result<u64, BackendError> {
/// #     Ok(0)
/// # }
/// ```
#[async_trait]
pub trait Checker: fmt::Debug + Send + Sync {
    /// What it asks, for the plan: `port 1134 is open`.
    fn describe(&self) -> String;

    /// Notes what [`check`](Self::check) will compare with, such as how long a log is by now. Called
    /// before the target is switched or its services restarted; what it returned last comes back in
    /// [`Situation::noted`]. Most checkers ask about the present, and have nothing to note.
    ///
    /// # Guarantees
    /// Changes nothing; cancel-safe. Ends before `scope.deadline`.
    ///
    /// # Errors
    /// When the question could not be asked later. On the way forward the target is then left as it
    /// is; on the way back it is the check that fails.
    async fn note(&self, _: &Target, _: &Scope) -> Result<Option<String>, BackendError> {
        Ok(None)
    }

    /// Asks once.
    ///
    /// # Guarantees
    /// Changes nothing that a repeat would notice. Ends before `scope.deadline`.
    ///
    /// # Errors
    /// An error means "could not ask", never "asked, and the answer is no".
    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError>;
}

/// What a checker, a restarter or a step is told of the moment at which it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The group of the target.
    pub group: GroupName,
    /// What is being deployed here, or gone back to; `None` when that is nothing.
    pub release: Option<Release>,
    /// What was served before.
    pub previous: Option<Release>,
    /// Whether the run is going back.
    pub rolling_back: bool,
    /// What the checker that is asked noted before the services were restarted. `None` where it
    /// noted nothing, and where nothing was restarted in this run.
    pub noted: Option<String>,
}

impl Situation {
    /// The situation of `change` in `group`.
    pub fn of(group: &GroupName, change: &Change, rolling_back: bool) -> Self {
        Self {
            group: group.clone(),
            release: change.to.clone(),
            previous: change.from.clone(),
            rolling_back,
            noted: None,
        }
    }
}

/// What a checker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Asked, and all is well.
    Healthy,
    /// Well enough, and a person should know something all the same. Told once for a check and
    /// target, however often it is asked.
    HealthyBut {
        /// What, in one line.
        note: String,
    },
    /// Not well yet, and time may cure it: a port that is not open. Asked again until the check's
    /// timeout; then `seen` is the reason.
    NotYet {
        /// What was seen instead.
        seen: String,
    },
    /// Asked, and the answer is no. Asked again only as often as the check's retries allow.
    Unhealthy {
        /// Why.
        reason: String,
        /// What a person would look at: output, status. The target's own words.
        evidence: Option<String>,
    },
}
