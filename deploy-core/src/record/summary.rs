//! What a run came to: a fold over its events, the same for every reporter.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    End, Event, EventKind, Exit, Failure, RunInfo, Served, StageOutcome, StopCause,
    outcome::neutral,
};
use crate::{
    backend::ErrorKind,
    model::{GroupName, Release, Target},
    plan::{Change, Direction, Plan, Purpose, Stage, StepMoment, Work},
};

/// What a run came to so far. Starts [empty](Summary::default); each event is
/// [applied](Summary::apply) in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Who, what, where and why; `None` before the first event.
    pub info: Option<RunInfo>,
    /// The plan; `None` until it is made, and in a run that was refused before.
    pub plan: Option<Box<Plan>>,
    /// Each planned target exactly once.
    pub targets: BTreeMap<Target, TargetSummary>,
    /// What was worth telling, with the target it is about.
    pub warnings: Vec<(Option<Target>, String)>,
    /// Why a budget's breach stopped the run, where one did.
    pub breach: Option<String>,
    /// The strongest cause that asked the run to stop.
    pub stop: Option<StopCause>,
    /// Whether touched targets were brought back together.
    pub rolled_back: bool,
    /// How the run ended; `None` while it runs, and when it died without a word.
    pub exit: Option<Exit>,
    /// Why it was refused, where it was.
    pub reason: Option<String>,
    /// Whether a step that changes a target was begun.
    #[serde(default)]
    pub touched: bool,
    /// When it started.
    pub started: Option<Timestamp>,
    /// How long it has taken, up to the last event.
    pub duration: Duration,
}

/// What became of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetSummary {
    /// Its place in the plan, from 0: groups in order, batches in order.
    pub position: usize,
    /// Its group.
    pub group: GroupName,
    /// What was planned; `None` where the target was lost before anything could be.
    pub change: Option<Change>,
    /// The stage that it is in, and which part of it; `None` between stages and at the end.
    pub stage: Option<(Stage, Option<String>)>,
    /// How it ended; `None` while that is not known.
    pub end: Option<End>,
    /// The app's own steps that ran there before it was to be promoted, by name. They do not touch
    /// the target (rule 14), but what they did stays done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ran: Vec<String>,
}

/// How many targets ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Planned in all.
    pub planned: usize,
    /// [`End::Deployed`].
    pub deployed: usize,
    /// [`End::Unchanged`].
    pub unchanged: usize,
    /// [`End::Done`].
    #[serde(default)]
    pub done: usize,
    /// [`End::Reverted`].
    pub reverted: usize,
    /// [`End::Failed`].
    pub failed: usize,
    /// [`End::Unreachable`].
    pub unreachable: usize,
    /// [`End::Unknown`].
    pub unknown: usize,
    /// [`End::NotAttempted`].
    pub not_attempted: usize,
    /// Of which it is not known how they end.
    pub open: usize,
}

/// Targets that failed in the same way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The failure of the first of them. Where there are several, its cause names none of them; what
    /// was attempted may name the first.
    pub failure: Failure,
    /// The targets, in the order of the plan.
    pub targets: Vec<Target>,
}

impl Summary {
    /// The summary of all `events`.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut summary = Self::default();
        for event in events {
            summary.apply(event);
        }
        summary
    }

    /// Takes one more event.
    pub fn apply(&mut self, event: &Event) {
        self.duration = event.elapsed;
        match &event.kind {
            EventKind::RunStarted { info } => {
                self.info = Some(info.clone());
                self.started = Some(event.at);
            }
            EventKind::Planned { plan } => self.plan(plan),
            EventKind::StageStarted { target, stage, detail, .. } => {
                self.touched |= stage.touches();
                if let Some(target) = self.targets.get_mut(target) {
                    target.stage = Some((*stage, detail.clone()));
                }
            }
            EventKind::StageFinished { target, detail, outcome, .. } => {
                let early = |name: &String| self.is_early_step(name);
                let done = *outcome == StageOutcome::Done;
                let ran = detail.clone().filter(|name| done && early(name));
                if let Some(target) = self.targets.get_mut(target) {
                    target.stage = None;
                    target.ran.extend(ran);
                }
            }
            EventKind::StopRequested { cause } => self.stop = self.stop.max(Some(*cause)),
            EventKind::Breached { reason, .. } => {
                self.breach.get_or_insert_with(|| reason.clone());
            }
            EventKind::RollbackStarted { .. } => self.rolled_back = true,
            EventKind::TargetFinished { target, end } => {
                if let Some(target) = self.targets.get_mut(target) {
                    target.stage = None;
                    target.end = Some(end.clone());
                }
            }
            EventKind::Warning { target, message } => {
                self.warnings.push((target.clone(), message.clone()));
            }
            EventKind::RunFinished { exit, reason } => {
                self.exit = Some(*exit);
                self.reason.clone_from(reason);
            }
            _ => {}
        }
    }

    fn plan(&mut self, plan: &Plan) {
        let planned = plan.groups.iter().flat_map(|group| {
            let changes = group.batches.iter().flatten();
            let changes = changes.map(|change| (&change.target, Some(change)));
            let lost = group.lost.iter().map(|lost| (&lost.target, None));
            changes.chain(lost).map(move |(target, change)| (&group.name, target, change))
        });
        let absent = plan.absent.iter();
        let absent = absent.map(|absent| (&absent.group, &absent.lost.target, None));
        for (position, (group, target, change)) in planned.chain(absent).enumerate() {
            let summary = TargetSummary {
                position,
                group: group.clone(),
                change: change.cloned(),
                stage: None,
                end: None,
                ran: Vec::new(),
            };
            self.targets.insert(target.clone(), summary);
        }
        self.plan = Some(Box::new(plan.clone()));
    }

    /// The targets in the order of the plan.
    pub fn in_order(&self) -> Vec<(&Target, &TargetSummary)> {
        let mut targets: Vec<_> = self.targets.iter().collect();
        targets.sort_by_key(|(_, summary)| summary.position);
        targets
    }

    /// How many targets ended in which way.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { planned: self.targets.len(), ..Counts::default() };
        for target in self.targets.values() {
            *match &target.end {
                Some(End::Deployed) => &mut counts.deployed,
                Some(End::Unchanged) => &mut counts.unchanged,
                Some(End::Done) => &mut counts.done,
                Some(End::Reverted { .. }) => &mut counts.reverted,
                Some(End::Failed { .. }) => &mut counts.failed,
                Some(End::Unreachable { .. }) => &mut counts.unreachable,
                Some(End::Unknown { .. }) => &mut counts.unknown,
                Some(End::NotAttempted) => &mut counts.not_attempted,
                None => &mut counts.open,
            } += 1;
        }
        counts
    }

    /// Whether `name` is a step of the app that runs before a target is promoted.
    fn is_early_step(&self, name: &str) -> bool {
        let mut steps = self.plan.iter().flat_map(|plan| &plan.steps).map(|step| &step.policy);
        steps.any(|policy| policy.name == name && policy.moment == StepMoment::BeforePromote)
    }

    /// The planned targets that the run did not bring to their end, in order: what is left to do.
    pub fn unfinished(&self) -> Vec<&Target> {
        let order = self.in_order().into_iter();
        order.filter(|(_, summary)| self.is_left(summary)).map(|(target, _)| target).collect()
    }

    /// Whether something is left to do on a target of this run. A target that was deployed in a run
    /// that did not end well serves the version, but that is not good there (rule 2). One that needed
    /// nothing needs nothing more, although it was not checked.
    pub fn is_left(&self, target: &TargetSummary) -> bool {
        let work = target.change.as_ref().map(|change| change.work);
        match &target.end {
            Some(End::Deployed) => self.marks_good() && !self.ended_well(),
            Some(End::NotAttempted) => work != Some(Work::Nothing),
            Some(end) => !end.is_success(),
            None => true,
        }
    }

    fn marks_good(&self) -> bool {
        let forward =
            |plan: &Plan| plan.direction == Direction::Forward && plan.purpose == Purpose::Version;
        self.plan.as_deref().is_some_and(forward)
    }

    fn ended_well(&self) -> bool {
        matches!(self.exit, Some(Exit::Complete | Exit::Incomplete))
    }

    /// What each target served when the run ended, as far as the run knows: `None` where it may be
    /// one of several. Targets of which the run learnt nothing are left out.
    pub fn served(&self) -> BTreeMap<Target, Option<Served>> {
        let served = |summary: &TargetSummary| {
            let change = summary.change.as_ref();
            let planned = |of: fn(&Change) -> &Option<Release>| {
                change.map(|change| Some(Served::from(of(change).clone())))
            };
            match &summary.end {
                // A command may have changed anything, and nobody asked.
                _ if change.is_some_and(|change| change.work == Work::Run) => None,
                Some(End::Deployed | End::Unchanged | End::Done) => planned(|change| &change.to),
                Some(End::Reverted { .. }) => planned(|change| &change.back),
                Some(End::NotAttempted) => planned(|change| &change.from),
                Some(End::Failed { served, .. } | End::Unreachable { served, .. }) => {
                    Some(Some(served.clone())).filter(|_| *served != Served::NeverAsked)
                }
                // The run died, or nobody could ask.
                Some(End::Unknown { .. }) | None => change.map(|_| None),
            }
        };
        let known = self.targets.iter();
        known.filter_map(|(target, summary)| Some((target.clone(), served(summary)?))).collect()
    }

    /// The failures, equal ones together: same stage, same kind, and same cause once the target's
    /// own name and all numbers are taken out. The largest first.
    pub fn clusters(&self) -> Vec<Cluster> {
        let mut found: BTreeMap<(Stage, ErrorKind, String, String), Cluster> = BTreeMap::new();
        for (target, summary) in self.in_order() {
            let Some(failure) = summary.end.as_ref().and_then(End::failure) else { continue };
            let plain = |text: &str| normalise(text, target);
            let key =
                (failure.stage, failure.kind, plain(&failure.attempted), plain(&failure.cause));
            let new = || Cluster { failure: failure.clone(), targets: Vec::new() };
            found.entry(key).or_insert_with(new).targets.push(target.clone());
        }
        let mut clusters: Vec<_> = found.into_values().collect();
        for cluster in &mut clusters {
            let [first, _, ..] = &cluster.targets[..] else { continue };
            cluster.failure.cause = neutral(&cluster.failure.cause, first);
        }
        clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.targets.len()));
        clusters
    }
}

/// What is left of a cause when the target's name and all numbers are taken out.
fn normalise(text: &str, target: &Target) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut in_number = false;
    for c in neutral(text, target).chars() {
        let digit = c.is_ascii_digit();
        if !digit {
            plain.push(c);
        } else if !in_number {
            plain.push('#');
        }
        in_number = digit;
    }
    plain
}
