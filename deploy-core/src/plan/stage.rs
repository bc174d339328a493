//! The stages that each target passes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stage of a rollout on one target, in the order of a deploy.
///
/// The names of the middle ones are Scap's, since users and their checks know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The target is reached and asked what it serves.
    Connect,
    /// What the target lacks is known: tools, rights, space, the way back.
    Preflight,
    /// The version is put beside the live one.
    Fetch,
    /// The target is taken out of its pool.
    Depool,
    /// The target is switched to the version.
    Promote,
    /// The service is made to use it, or is operated without another version.
    Restart,
    /// The service is asked whether it is healthy.
    Check,
    /// The target is put back into its pool.
    Repool,
    /// The version is marked good, and old ones are pruned.
    Finalize,
    /// The target is brought back to where it was.
    Rollback,
    /// A command of the deployer's own is run; no stage of a deploy.
    Run,
}

impl Stage {
    /// Whether it changes what a target serves or how its services run (rule 14), or may do so.
    pub fn touches(self) -> bool {
        match self {
            Self::Depool | Self::Promote | Self::Restart | Self::Repool | Self::Rollback => true,
            // What a command of the deployer's own changes, nobody knows.
            Self::Run => true,
            Self::Connect | Self::Preflight | Self::Fetch | Self::Check | Self::Finalize => false,
        }
    }

    /// The name as it is written in configuration, journal and summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Preflight => "preflight",
            Self::Fetch => "fetch",
            Self::Depool => "depool",
            Self::Promote => "promote",
            Self::Restart => "restart",
            Self::Check => "check",
            Self::Repool => "repool",
            Self::Finalize => "finalize",
            Self::Rollback => "rollback",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
