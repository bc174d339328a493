//! What is done to a service without another version.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is done to the services of a target that keeps its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// They run afterwards; those that do already are left alone.
    Start,
    /// They do not run afterwards.
    Stop,
    /// They were started anew.
    Restart,
    /// They read their configuration and files anew, and live on.
    Reload,
}

impl Action {
    /// The name as it is typed, and written in journal and plan.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
        }
    }

    /// Whether the services are to be healthy afterwards, so that the checks are asked.
    pub fn is_checked(self) -> bool {
        self != Self::Stop
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
