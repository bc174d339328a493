//! Why a run did not begin to change anything.

use crate::{
    backend::{BackendError, Holder},
    model::Target,
    plan::{Difference, PlanError},
    record::Exit,
};

/// Why a run was refused before anything was touched.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// How the run ends: [`Refused`](Exit::Refused), [`Locked`](Exit::Locked),
    /// [`Usage`](Exit::Usage) or [`Interrupted`](Exit::Interrupted).
    pub exit: Exit,
    /// Why, in one line.
    pub reason: String,
    /// What the deployer can do about it.
    pub hint: Option<String>,
    /// The targets that it is about, if any.
    pub targets: Vec<Target>,
}

impl Refusal {
    /// A refusal with exit code 1.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, reason: reason.into(), hint: None, targets: Vec::new() }
    }

    /// A refusal because `holder` has the lock.
    pub fn locked(holder: &Holder) -> Self {
        let why = holder.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let reason =
            format!("locked by {} on {} since {:.0}{why}", holder.who, holder.host, holder.since);
        Self { exit: Exit::Locked, ..Self::new(reason) }
    }

    /// A refusal because a saved plan does not hold any more. The reason has a line for each
    /// difference.
    pub fn moved(differences: &[Difference]) -> Self {
        let lines: String = differences.iter().map(|moved| format!("\n  {moved}")).collect();
        let mut targets: Vec<Target> =
            differences.iter().flat_map(|moved| moved.targets.clone()).collect();
        targets.sort();
        targets.dedup();
        let reason = format!("the saved plan does not hold any more:{lines}");
        let hint = "make it anew, and have it reviewed again";
        Self { targets, ..Self::new(reason).with_hint(hint) }
    }

    /// Adds what the deployer can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn interrupted() -> Self {
        let reason = "interrupted before anything was touched";
        Self { exit: Exit::Interrupted, ..Self::new(reason) }
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<&BackendError> for Refusal {
    fn from(error: &BackendError) -> Self {
        let refusal = Self::new(format!("{error}: {}", error.cause()));
        match error.hint() {
            Some(hint) => refusal.with_hint(hint),
            None => refusal,
        }
    }
}
