//! How a run behaves as a whole.

use serde::{Deserialize, Serialize};

use super::{BatchSize, Budget, Retry, Timeouts};

/// How a run behaves as a whole, apart from its groups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    /// How many targets of the whole run may fail; `None` sets no limit beyond the groups' own.
    pub max_failures: Option<Budget>,
    /// What is done with a target that failed within the budget.
    pub on_failure: OnFailure,
    /// What is done when a budget is exceeded.
    pub on_breach: OnBreach,
    /// What is done with touched targets when the run is interrupted and nobody can be asked.
    pub on_abort: OnAbort,
    /// How many targets go back at once.
    pub rollback_batch: BatchSize,
    /// How long each stage may take.
    pub timeouts: Timeouts,
    /// How transient failures are repeated.
    pub retry: Retry,
}

/// What is done with a target that failed within the budget (rule 15).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It goes back on its own.
    #[default]
    Revert,
    /// It is left as it is, for somebody to look at.
    Leave,
}

/// What is done when a budget is exceeded (rule 16).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBreach {
    /// The deployer is asked; where nobody can be asked, all touched targets go back.
    #[default]
    Ask,
    /// All touched targets go back.
    RollBack,
    /// All are left as they are.
    Leave,
}

/// What is done when the run is interrupted and nobody can be asked (rule 20).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnAbort {
    /// All are left as they are.
    #[default]
    Leave,
    /// All touched targets go back.
    RollBack,
}
