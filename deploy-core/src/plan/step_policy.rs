//! Where and when a step of one's own runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::GroupName;

/// When a step runs.
///
/// Steps that build within a release belong to the transport's fetch, and are not listed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepMoment {
    /// Before the target is switched.
    BeforePromote,
    /// After its checks passed.
    AfterCheck,
}

/// Where a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepPlace {
    /// Once per run, on the first target that comes to it: the first canary.
    Once,
    /// On each target.
    Each,
}

/// Where, when and how long a [`Step`](crate::backend::Step) runs.
///
/// Steps run on the way forward only, not in a rollback. A `Once` step that fails stops the run:
/// the other targets would need what it did not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPolicy {
    /// Its name, unique in the configuration.
    pub name: String,
    /// When.
    pub moment: StepMoment,
    /// Where.
    pub place: StepPlace,
    /// Only in this group; `None` in all.
    pub group: Option<GroupName>,
    /// How long it may take.
    pub timeout: Duration,
}
