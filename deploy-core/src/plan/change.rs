//! What happens to one target.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::model::{Release, Target};

/// What happens to one target (rule 1). `None` stands for "nothing": the target is fresh, or goes
/// back to being so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where.
    pub target: Target,
    /// What it serves now.
    pub from: Option<Release>,
    /// What it is to serve.
    pub to: Option<Release>,
    /// Where an automatic rollback returns it: `from` if that is good, else the last good.
    pub back: Option<Release>,
    /// What there is to do.
    pub work: Work,
}

/// What there is to do on a target (rule 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// It serves `to`, and that is good: it is only checked.
    Nothing,
    /// It serves `to`, but that never became good: restart, check and finalize are run.
    Confirm,
    /// It is brought to `to`.
    Move,
    /// A command is run on it. What it serves is neither asked nor changed.
    Run,
    /// It serves `to`, and keeps it: its services are operated.
    #[serde(untagged)]
    Operate(Action),
}

impl Work {
    /// Whether the run holds the target while it is at work there.
    pub fn claims(self) -> bool {
        matches!(self, Self::Confirm | Self::Move | Self::Operate(_))
    }

    /// Whether there is something that a rollback could undo.
    pub fn can_be_undone(self) -> bool {
        matches!(self, Self::Confirm | Self::Move)
    }
}

impl Change {
    /// Whether nothing is left to go back to: a rollback takes the target back to nothing.
    pub fn is_first_deploy(&self) -> bool {
        self.back.is_none()
    }

    /// The change that undoes this one: from `to` to `back`, and from there back to `to`. Where
    /// nothing is done, nothing is undone.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            target: self.target.clone(),
            from: self.to.clone(),
            to: self.back.clone(),
            back: self.to.clone(),
            work: if self.work.can_be_undone() { Work::Move } else { Work::Nothing },
        }
    }
}
