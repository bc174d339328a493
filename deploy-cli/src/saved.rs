//! Saved plans: a file that people review, and that is applied exactly or not at all.
//!
//! The file is text: the plan as a person reads it, in comment lines; the same as JSON; and a
//! digest of all above. The digest finds what was damaged or edited; it is no signature.

mod configuration;
mod file;
mod text;

use std::collections::BTreeMap;

use deploy_core::{
    backend::Holder,
    model::{Target, Version},
    plan::{BatchSize, SavedPlan},
    record::{Command, RunId},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use configuration::{configuration, differences};
pub use file::{PlanFileError, may_write, read, write};
pub use text::{ParsePlanError, Text};

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// What a file of a saved plan holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// [`FORMAT`].
    pub format: u32,
    /// Who made it, when, and with what.
    pub made: Made,
    /// What was asked for.
    pub asked: Asked,
    /// How the state directory stood.
    pub seen: Seen,
    /// What the configuration sets, where the plan does not show it.
    pub configuration: BTreeMap<String, serde_json::Value>,
    /// The steps that build a release, each with its command.
    pub builds: Vec<(String, String)>,
    /// The plan, and what it was made from.
    pub saved: SavedPlan,
}

/// Who made a plan, when, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// When, to the second.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// On which machine.
    pub host: String,
    /// The version of the tool.
    pub tool: String,
    /// The id under which the hosts were asked: runs with a later one came after it.
    pub id: RunId,
}

/// What a plan was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What it does.
    pub command: Command,
    /// The exact version; `None` for each host's last good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// `--batch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSize>,
    /// What `--hosts` left; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<Target>>,
    /// `--redeploy`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redeploy: bool,
}

/// How a state directory stood when a plan was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Who held the lock by hand, if anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Holder>,
    /// The last run that touched a host, if there was any.
    pub last_run: Option<RunId>,
}
