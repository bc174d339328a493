//! How a run ended as a whole, and the exit code that says so.

use serde::{Deserialize, Serialize};

/// How a run ended as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Every planned target serves the version and is healthy. Exit code 0.
    Complete,
    /// Refused; nothing was touched. Exit code 1.
    Refused,
    /// Wrong usage. Exit code 2.
    Usage,
    /// A budget was exceeded; all touched targets are back and healthy. Exit code 3.
    RolledBack,
    /// The fleet is mixed, or a target's state is unknown, or one could not be brought back.
    /// Exit code 4.
    Mixed,
    /// The lock, or a target, is held by another run. Exit code 5.
    Locked,
    /// Within the budget, but not all targets serve the version. Exit code 6.
    Incomplete,
    /// Interrupted: Ctrl-C, SIGTERM, or "no" at a gate. Exit code 130.
    Interrupted,
}

impl Exit {
    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::RolledBack => 3,
            Self::Mixed => 4,
            Self::Locked => 5,
            Self::Incomplete => 6,
            Self::Interrupted => 130,
        }
    }
}
