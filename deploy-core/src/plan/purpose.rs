//! What a plan is for.

use serde::{Deserialize, Serialize};

use super::Action;

/// What a plan is for. The same rules of batches, budgets and stops hold for all; what can be
/// undone, what an end means and the exit codes differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The targets serve another version, or go back to one.
    #[default]
    Version,
    /// A command is run on the targets. They are neither asked what they serve nor claimed.
    Run,
    /// What another tool deployed on the targets is taken over, or given back. As with a command,
    /// they are neither asked what they serve nor claimed by the engine: the step does that.
    Adopt,
    /// The services of the targets are operated; what is served stays.
    #[serde(untagged)]
    Operate(Action),
}

impl Purpose {
    /// Whether targets are brought to a version.
    pub fn is_version(&self) -> bool {
        *self == Self::Version
    }

    /// Whether only the steps of the backend are run, on targets that the engine does not ask.
    pub fn is_steps(&self) -> bool {
        matches!(self, Self::Run | Self::Adopt)
    }
}
