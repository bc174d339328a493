//! Where and how often a check is asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Stage;
use crate::model::GroupName;

/// Where, how long and how often a [`Checker`](crate::backend::Checker) is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPolicy {
    /// Its name, unique in the configuration.
    pub name: String,
    /// After which stage it is asked: `fetch`, `promote`, or (the usual) `check`, after restart.
    pub stage: Stage,
    /// Only in this group; `None` in all.
    pub group: Option<GroupName>,
    /// How long the whole check may take, all attempts together.
    pub timeout: Duration,
    /// How often it is asked again after it said "unhealthy".
    pub retries: u32,
    /// How long to wait between two attempts.
    pub interval: Duration,
}

impl CheckPolicy {
    /// A check after restart, in all groups, for 30 seconds, each second, without retries.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            stage: Stage::Check,
            group: None,
            timeout: Duration::from_secs(30),
            retries: 0,
            interval: Duration::from_secs(1),
        }
    }

    /// Whether it is asked on targets of `group` after `stage`.
    pub fn applies(&self, group: &GroupName, stage: Stage) -> bool {
        self.stage == stage && self.group.as_ref().is_none_or(|only| only == group)
    }
}
