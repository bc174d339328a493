//! Named, ordered targets, and how they are treated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Target, name::name_type};
use crate::plan::{BatchSize, Budget};

name_type! {
    /// The name of a group, such as `canary` or `default`.
    GroupName, "group", "", 64
}

/// Named, ordered targets that are handled together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, unique in the configuration.
    pub name: GroupName,
    /// Its targets, in the order in which they are handled.
    pub targets: Vec<Target>,
    /// Whether it proves a version before the others get it. A canary group allows no failure
    /// (rule 6), whatever `max_failures` says.
    pub canary: bool,
    /// How many targets are handled at once.
    pub batch: BatchSize,
    /// How many targets may fail.
    pub max_failures: Budget,
    /// What happens between this group and the next.
    pub gate: Gate,
}

impl Group {
    /// A group that is handled all at once and allows no failure.
    pub fn new(name: GroupName, targets: Vec<Target>) -> Self {
        Self {
            name,
            targets,
            canary: false,
            batch: BatchSize::default(),
            max_failures: Budget::default(),
            gate: Gate::default(),
        }
    }
}

/// What happens after a group, before the next one starts. Soak comes before the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// How long the targets deployed so far are watched, if at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak: Option<Duration>,
    /// How long to wait between two rounds of checks while soaking.
    pub interval: Duration,
    /// Whether the deployer is asked before the next group.
    pub ask: bool,
}

impl Default for Gate {
    /// Open; a soak that is set without an interval looks every 10 seconds.
    fn default() -> Self {
        Self { soak: None, interval: Duration::from_secs(10), ask: false }
    }
}

impl Gate {
    /// Whether the run goes on by itself, at once.
    pub fn is_open(&self) -> bool {
        self.soak.is_none() && !self.ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_of_which_nothing_is_said_is_the_default_one() {
        assert_eq!(serde_json::from_str::<Gate>("{}").unwrap(), Gate::default());
        assert_eq!(Gate::default().interval, Duration::from_secs(10));
    }
}
