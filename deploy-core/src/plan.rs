//! What will be done, decided before anything moves.
//!
//! A [`Plan`] is groups → batches → [`Change`], with every budget resolved to a number. Since
//! `from` and `back` of each change are known beforehand, the way back is a plan like any other:
//! [`Plan::inverse`]. A dry run is a plan that nobody runs.

mod action;
mod apart;
mod batch;
mod behind;
mod budget;
mod change;
mod check_policy;
mod difference;
mod goal;
mod noun;
mod operation;
mod planner;
mod purpose;
mod retry;
mod saved;
mod stage;
mod stand;
mod step_policy;
mod strategy;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use action::Action;
pub use apart::Apart;
pub use batch::BatchSize;
pub use behind::ServedWell;
pub use budget::{Allowance, Amount, Budget, ParseAmountError};
pub use change::{Change, Work};
pub use check_policy::CheckPolicy;
pub use difference::Difference;
pub use goal::Goal;
pub use noun::{Counted, Noun};
pub use planner::{PlanError, PlanRequest, Survey};
pub use purpose::Purpose;
pub use retry::{Retry, Timeouts};
pub use saved::SavedPlan;
pub use stage::Stage;
pub use stand::Stand;
pub use step_policy::{StepMoment, StepPlace, StepPolicy};
pub use strategy::{OnAbort, OnBreach, OnFailure, Strategy};

use crate::{
    backend::{Changes, ErrorKind},
    model::{App, Environment, Gate, GroupName, Target, Version, VersionId},
    record::{End, Failure, Served},
};

/// What will be done, to which targets, in which order, and where each would go back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The app.
    pub app: App,
    /// The environment, where the configuration has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// The version, where it is one for all targets; a rollback may have one per target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Purpose::is_version")]
    pub purpose: Purpose,
    /// Which way it goes.
    pub direction: Direction,
    /// The groups, in order.
    pub groups: Vec<PlannedGroup>,
    /// The targets that are named and left alone, since they could not be asked whether there is
    /// anything to do ([`Goal::CatchUp`]). They count in no budget; a run that leaves any is not
    /// complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// The budget of the run as a whole, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Allowance>,
    /// How the run behaves.
    pub strategy: Strategy,
    /// What arrives or leaves, once per pair of versions.
    pub transitions: Vec<Transition>,
    /// What changes on the targets beside the files of the version itself, equal changes once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<PlannedDiff>,
    /// What is restarted, in order, in words.
    pub restarts: Vec<String>,
    /// What is checked.
    pub checks: Vec<PlannedCheck>,
    /// The app's own steps.
    pub steps: Vec<PlannedStep>,
    /// What its targets are called.
    #[serde(default, skip_serializing_if = "Noun::is_default")]
    pub noun: Noun,
    /// What of all that each group meets, where not all groups meet the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<Apart>,
    /// What a person should know before they say yes.
    pub warnings: Vec<String>,
    /// What is as it should be on the targets, equal details once, for whoever wants to know more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Which way a plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Group by group and batch by batch, with gates and budgets.
    Forward,
    /// All at once, up to `rollback_batch`; each as far as it can be brought, failures collected.
    Back,
}

/// A group, with its numbers resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// Its name.
    pub name: GroupName,
    /// Whether it proves the version for the others.
    pub canary: bool,
    /// Its batches, in order; each target of the group that can be deployed to is in exactly one.
    pub batches: Vec<Vec<Change>>,
    /// The targets that cannot be deployed to: unreachable, or lacking something. They count as
    /// failures.
    pub lost: Vec<Lost>,
    /// How many of its targets may fail.
    pub allowance: Allowance,
    /// What happens before the next group.
    pub gate: Gate,
}

/// A planned target that is out before anything moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// The target.
    pub target: Target,
    /// Why.
    pub failure: Failure,
    /// What it serves, where it answered before it was found lacking.
    #[serde(default = "Served::never_asked")]
    pub served: Served,
}

/// A target that is left alone, since it could not be asked whether there is anything to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Absent {
    /// Its group.
    pub group: GroupName,
    /// Which, and why.
    #[serde(flatten)]
    pub lost: Lost,
}

impl Lost {
    /// How it ends: it is out, whatever becomes of the run.
    pub fn end(&self) -> End {
        let (failure, served) = (self.failure.clone(), self.served.clone());
        match failure.kind {
            ErrorKind::Unreachable | ErrorKind::Lost | ErrorKind::TimedOut => {
                End::Unreachable { failure, served }
            }
            _ => End::Failed { failure, served },
        }
    }
}

/// What lies between two versions that at least one target moves between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// What is live.
    pub from: VersionId,
    /// What will be.
    pub to: VersionId,
    /// What lies between.
    pub changes: Changes,
}

/// What changes in one file, on all targets on which the same changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDiff {
    /// The file.
    pub file: String,
    /// A unified diff, or words; several lines. Empty where there are too many different ones to
    /// be told.
    pub diff: String,
    /// Where.
    pub targets: Vec<Target>,
}

/// A check, with what it asks in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCheck {
    /// Where and how often.
    pub policy: CheckPolicy,
    /// What it asks.
    pub asks: String,
}

/// A step of the app's own, with what it does in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Where and when.
    pub policy: StepPolicy,
    /// What it does.
    pub does: String,
}

impl PlannedGroup {
    /// Whether it has a target to which something is done.
    fn changes_something(&self) -> bool {
        self.batches.iter().flatten().any(|change| change.work != Work::Nothing)
    }
}

impl Plan {
    /// Whether a run of it would end before it touches any target, by what is known now: the lost
    /// targets are more than a budget allows, or nobody is left in a group (rules 6 and 10). Going
    /// back does what it can, and is hopeless only when nobody is left at all.
    pub fn is_hopeless(&self) -> bool {
        let is_empty = |group: &PlannedGroup| group.batches.iter().all(Vec::is_empty);
        if self.direction == Direction::Back {
            return self.groups.iter().all(is_empty);
        }
        let lost: usize = self.groups.iter().map(|group| group.lost.len()).sum();
        let is_over = |group: &PlannedGroup| group.allowance.exceeded_by(group.lost.len());
        self.groups.iter().any(|group| is_empty(group) && !group.lost.is_empty() || is_over(group))
            || self.allowance.is_some_and(|allowance| allowance.exceeded_by(lost))
    }

    /// All changes with their groups, in the order in which they start.
    pub fn changes(&self) -> impl Iterator<Item = (&PlannedGroup, &Change)> {
        self.groups
            .iter()
            .flat_map(|group| group.batches.iter().flatten().map(move |change| (group, change)))
    }

    /// All targets that it names, lost and absent ones included.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let planned = self.groups.iter().flat_map(|group| {
            let lost = group.lost.iter().map(|lost| &lost.target);
            group.batches.iter().flatten().map(|change| &change.target).chain(lost)
        });
        planned.chain(self.absent.iter().map(|absent| &absent.lost.target))
    }

    /// Whether running it would change no target.
    pub fn is_idle(&self) -> bool {
        self.changes().all(|(_, change)| change.work == Work::Nothing)
    }

    /// Whether the deployer is asked after the group of this number, from 0: where that is wanted,
    /// where another group follows, and where this one or one of those has anything to change.
    pub fn asks_after(&self, group: usize) -> bool {
        let rest = self.groups.get(group..).unwrap_or_default();
        let asks = rest.len() > 1 && rest.first().is_some_and(|group| group.gate.ask);
        asks && rest.iter().any(PlannedGroup::changes_something)
    }

    /// Whether targets are watched after the group of this number, from 0: only those are that were
    /// changed by then.
    pub fn watches_after(&self, group: usize) -> bool {
        let done = self.groups.get(..=group).unwrap_or_default();
        let watches = done.last().is_some_and(|group| group.gate.soak.is_some());
        watches && done.iter().any(PlannedGroup::changes_something)
    }

    /// The plan that undoes this one: each change inverted, last first, all at once.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let mut plan = self.clone();
        plan.version = None;
        plan.absent.clear();
        plan.diffs.clear();
        plan.direction = match self.direction {
            Direction::Forward => Direction::Back,
            Direction::Back => Direction::Forward,
        };
        plan.groups.reverse();
        for group in &mut plan.groups {
            group.batches.reverse();
            for batch in &mut group.batches {
                batch.reverse();
                for change in batch {
                    *change = change.inverse();
                }
            }
        }
        plan
    }

    /// A digest of the whole plan: equal plans have equal digests. Lower-case hex.
    ///
    /// # Errors
    /// Fails only when the plan cannot be written as JSON, which no plan made here does.
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        let hash = Sha256::digest(serde_json::to_vec(self)?);
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
