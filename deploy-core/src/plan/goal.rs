//! What is to become of the targets.

use super::{Action, Purpose};
use crate::model::{Gate, Group, Version};

/// What is to become of the targets.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// All serve this version, group by group.
    Deploy(Version),
    /// Each goes back to its last good version that is not live, all at once.
    RollBack,
    /// All go back to this version, all at once.
    RollBackTo(Version),
    /// Those that are behind this version come to serve it, group by group; the others are no part
    /// of the plan. Only groups that are marked so are canaries: the version is proven.
    CatchUp(Version),
    /// The services of all that serve anything are operated, group by group.
    Operate(Action),
    /// The steps of the backend, which hold a command, are run on all, group by group.
    Run,
    /// The steps of the backend, which take over what another tool deployed or give it back, are
    /// run on all, group by group.
    Adopt,
}

impl Goal {
    /// What a plan with this goal is for.
    pub fn purpose(&self) -> Purpose {
        match self {
            Self::Deploy(_) | Self::RollBack | Self::RollBackTo(_) | Self::CatchUp(_) => {
                Purpose::Version
            }
            Self::Operate(action) => Purpose::Operate(*action),
            Self::Run => Purpose::Run,
            Self::Adopt => Purpose::Adopt,
        }
    }

    /// Whether it goes back, all targets at once.
    pub fn is_back(&self) -> bool {
        matches!(self, Self::RollBack | Self::RollBackTo(_))
    }

    /// The version, where it is one for all targets.
    pub(super) fn version(&self) -> Option<&Version> {
        match self {
            Self::Deploy(version) | Self::RollBackTo(version) | Self::CatchUp(version) => {
                Some(version)
            }
            Self::RollBack | Self::Operate(_) | Self::Run | Self::Adopt => None,
        }
    }

    /// What happens after a group. Services that were stopped on purpose are not watched.
    pub(super) fn gate(&self, group: &Group) -> Gate {
        match self {
            Self::Deploy(_) | Self::CatchUp(_) => group.gate.clone(),
            Self::Operate(action) if action.is_checked() => group.gate.clone(),
            Self::Operate(_) => Gate { soak: None, ..group.gate.clone() },
            Self::RollBack | Self::RollBackTo(_) | Self::Run | Self::Adopt => Gate::default(),
        }
    }
}
