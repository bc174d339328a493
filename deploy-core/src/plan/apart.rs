//! What the targets of one group meet, where those of another meet something else.

use serde::{Deserialize, Serialize};

use super::{Plan, PlannedCheck, PlannedStep};
use crate::model::GroupName;

/// What the targets of one group meet. Only of a plan whose groups are acted upon by different backends, such as
/// hosts and clusters; else all groups meet all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// The group.
    pub group: GroupName,
    /// What is restarted there.
    pub restarts: Vec<String>,
    /// The names of what is checked there.
    pub checks: Vec<String>,
    /// The names of the steps that run there.
    pub steps: Vec<String>,
}

impl Plan {
    /// How many services are restarted on each target of `group`.
    pub fn restarts_in(&self, group: &GroupName) -> usize {
        self.apart(group).map_or(self.restarts.len(), |apart| apart.restarts.len())
    }

    /// Whether the targets of `group` meet `check`.
    pub fn is_checked_in(&self, check: &PlannedCheck, group: &GroupName) -> bool {
        let is_meant = check.policy.group.as_ref().is_none_or(|only| only == group);
        is_meant && self.apart(group).is_none_or(|apart| apart.checks.contains(&check.policy.name))
    }

    /// Whether the targets of `group` meet `step`.
    pub fn is_stepped_in(&self, step: &PlannedStep, group: &GroupName) -> bool {
        let is_meant = step.policy.group.as_ref().is_none_or(|only| only == group);
        is_meant && self.apart(group).is_none_or(|apart| apart.steps.contains(&step.policy.name))
    }

    /// The groups whose targets have `restart` done; none where all have.
    pub fn restarted_only_in(&self, restart: &str) -> Vec<&GroupName> {
        let has = |apart: &&Apart| apart.restarts.iter().any(|it| it == restart);
        let with: Vec<&GroupName> =
            self.apart.iter().filter(has).map(|apart| &apart.group).collect();
        if with.len() == self.apart.len() { Vec::new() } else { with }
    }

    fn apart(&self, group: &GroupName) -> Option<&Apart> {
        self.apart.iter().find(|apart| apart.group == *group)
    }
}
