//! How far a run is: each target's place on its way, from events alone.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    model::{GroupName, Target},
    plan::{
        Action, Change, Direction, Noun, Plan, PlannedGroup, Purpose, Stage, StepMoment, StepPlace,
        Work,
    },
    record::{EventKind, StageOutcome},
};

/// How far a run is. Starts empty; each event is [applied](Progress::apply) in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    back: bool,
    purpose: Purpose,
    noun: Noun,
    groups: BTreeMap<GroupName, GroupProgress>,
    targets: BTreeMap<Target, TargetProgress>,
    /// How many have fetched, of those that fetch and have not failed.
    fetched: (usize, usize),
}

#[derive(Debug, Clone)]
struct GroupProgress {
    batches: Vec<Vec<Target>>,
    /// The checks, and steps after them, that a target passes before it is healthy.
    passes: BTreeSet<String>,
    /// How many services are restarted or operated, or how many commands run.
    acts: usize,
    /// Kept up with each event: counting anew each time would cost the square of the fleet.
    tally: Tally,
}

#[derive(Debug, Clone)]
struct TargetProgress {
    group: GroupName,
    /// Whether it serves the version, and how many services were restarted, or commands run, since.
    switched: bool,
    acted: usize,
    /// Whether nothing moves.
    stays: bool,
    /// Whether nothing is served, and nothing is to be.
    is_empty: bool,
    /// The checks and steps that it has passed since.
    passed: BTreeSet<String>,
    fetching: bool,
    fetched: bool,
    failed: bool,
}

/// What became of a group, or of a batch, so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Switched, restarted and checked.
    pub(super) healthy: usize,
    /// Failed on the way.
    pub(super) failed: usize,
    /// All of them.
    pub(super) of: usize,
}

impl Progress {
    /// Takes one more event.
    pub(super) fn apply(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Planned { plan } => self.plan(plan),
            EventKind::StageStarted { target, stage: Stage::Fetch, .. } => {
                self.change(target, |target| target.fetching = true);
            }
            EventKind::StageFinished { target, stage, detail, rolling_back, outcome } => {
                // On the way back of a deploy nothing arrives.
                let forward = self.back || !rolling_back;
                if forward {
                    self.change(target, |t| t.finished(*stage, detail.as_deref(), outcome));
                }
            }
            EventKind::TargetFinished { target, end } => {
                self.change(target, |target| target.failed |= end.is_failure());
            }
            _ => {}
        }
    }

    fn plan(&mut self, plan: &Plan) {
        self.back = plan.direction == Direction::Back;
        self.purpose = plan.purpose;
        self.noun = plan.noun;
        for group in &plan.groups {
            let batches: Vec<Vec<Target>> = group
                .batches
                .iter()
                .map(|batch| batch.iter().map(|change| change.target.clone()).collect())
                .collect();
            let acts = match plan.purpose {
                Purpose::Run | Purpose::Adopt => plan.steps.len(),
                Purpose::Version | Purpose::Operate(_) => plan.restarts_in(&group.name),
            };
            let tally = Tally::default();
            let of = GroupProgress { batches, passes: passes(plan, group), acts, tally };
            self.groups.insert(group.name.clone(), of);
            for change in group.batches.iter().flatten() {
                self.add(&change.target, TargetProgress::new(group, change));
            }
            for lost in &group.lost {
                let lost_target = TargetProgress { failed: true, ..TargetProgress::of(group) };
                self.add(&lost.target, lost_target);
            }
        }
    }

    fn add(&mut self, target: &Target, progress: TargetProgress) {
        if let Some(group) = self.groups.get_mut(&progress.group) {
            let (healthy, failed) = progress.counts(group);
            group.tally.healthy += healthy;
            group.tally.failed += failed;
            group.tally.of += 1;
        }
        self.targets.insert(target.clone(), progress);
    }

    /// Changes what is known of a target, and the sums with it.
    fn change(&mut self, target: &Target, change: impl FnOnce(&mut TargetProgress)) {
        let Some(target) = self.targets.get_mut(target) else { return };
        let Some(group) = self.groups.get_mut(&target.group) else { return };
        let (healthy, failed) = target.counts(group);
        let (done, of) = target.fetches();
        change(target);
        let (now_healthy, now_failed) = target.counts(group);
        let tally = &mut group.tally;
        tally.healthy = tally.healthy + now_healthy - healthy;
        tally.failed = tally.failed + now_failed - failed;
        let (now_done, now_of) = target.fetches();
        self.fetched = (self.fetched.0 + now_done - done, self.fetched.1 + now_of - of);
    }

    /// Whether the plan is known.
    pub(super) fn is_planned(&self) -> bool {
        !self.groups.is_empty()
    }

    /// What the targets are called.
    pub(super) fn noun(&self) -> Noun {
        self.noun
    }

    /// Whether this is a rollback.
    pub(super) fn is_back(&self) -> bool {
        self.back
    }

    /// What the targets are that the run is done with, in a word or few.
    pub(super) fn well(&self) -> &'static str {
        match self.purpose {
            Purpose::Operate(Action::Stop) => "stopped",
            Purpose::Run | Purpose::Adopt => "done",
            Purpose::Version if self.back => "back and healthy",
            Purpose::Version | Purpose::Operate(_) => "healthy",
        }
    }

    /// The group of a target.
    pub(super) fn group_of(&self, target: &Target) -> Option<&GroupName> {
        self.targets.get(target).map(|target| &target.group)
    }

    /// How many batches the group has.
    pub(super) fn batches(&self, group: &GroupName) -> usize {
        self.groups.get(group).map_or(0, |group| group.batches.len())
    }

    /// The targets of a batch.
    pub(super) fn batch(&self, group: &GroupName, batch: usize) -> &[Target] {
        self.groups.get(group).and_then(|g| g.batches.get(batch)).map_or(&[], Vec::as_slice)
    }

    /// How far a group is.
    pub(super) fn group(&self, name: &GroupName) -> Tally {
        self.groups.get(name).map_or_else(Tally::default, |group| group.tally)
    }

    /// How far the named targets are.
    pub(super) fn tally<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Tally {
        let mut tally = Tally::default();
        for progress in targets.into_iter().filter_map(|target| self.targets.get(target)) {
            tally.of += 1;
            let Some(group) = self.groups.get(&progress.group) else { continue };
            let (healthy, failed) = progress.counts(group);
            tally.healthy += healthy;
            tally.failed += failed;
        }
        tally
    }

    /// How many targets have the version beside the live one, of those that fetch it and have not
    /// failed.
    pub(super) fn fetched(&self) -> (usize, usize) {
        self.fetched
    }
}

impl TargetProgress {
    fn of(group: &PlannedGroup) -> Self {
        Self {
            group: group.name.clone(),
            switched: false,
            acted: 0,
            stays: false,
            is_empty: false,
            passed: BTreeSet::new(),
            fetching: false,
            fetched: false,
            failed: false,
        }
    }

    fn new(group: &PlannedGroup, change: &Change) -> Self {
        let work = change.work;
        let switched = !matches!(work, Work::Nothing | Work::Move);
        let stays = work == Work::Nothing;
        Self { switched, stays, is_empty: stays && change.to.is_none(), ..Self::of(group) }
    }

    /// What it adds to the healthy and to the failed.
    fn counts(&self, group: &GroupProgress) -> (usize, usize) {
        let (passes, acts) = (&group.passes, group.acts);
        let acted = self.switched && self.acted >= acts;
        let is_healthy = self.is_empty || (self.stays || acted) && passes.is_subset(&self.passed);
        (usize::from(is_healthy && !self.failed), usize::from(self.failed))
    }

    /// What it adds to those that have fetched, and to those that fetch.
    fn fetches(&self) -> (usize, usize) {
        let counts = self.fetching && !self.failed;
        (usize::from(counts && self.fetched), usize::from(counts))
    }

    fn finished(&mut self, stage: Stage, detail: Option<&str>, outcome: &StageOutcome) {
        let failed = matches!(outcome, StageOutcome::Failed { .. });
        match (stage, detail) {
            // What remains to be tidied up makes no healthy target a failed one.
            (Stage::Finalize, _) => {}
            _ if failed => self.failed = true,
            (Stage::Fetch, None) => self.fetched = true,
            (Stage::Promote, None) => self.switched = true,
            (Stage::Restart | Stage::Run, _) => self.acted += 1,
            (Stage::Check, Some(name)) => {
                self.passed.insert(name.to_owned());
            }
            _ => {}
        }
    }
}

/// The checks, and steps after them, that each target of the group passes.
fn passes(plan: &Plan, group: &PlannedGroup) -> BTreeSet<String> {
    let checks = plan.checks.iter().filter(|check| plan.is_checked_in(check, &group.name));
    let checks = checks.map(|check| &check.policy).filter(|policy| policy.stage == Stage::Check);
    let steps = plan.steps.iter().filter(|step| plan.is_stepped_in(step, &group.name));
    let steps = steps.map(|step| &step.policy).filter(|policy| {
        plan.direction == Direction::Forward
            && plan.purpose.is_version()
            && policy.moment == StepMoment::AfterCheck
            && policy.place == StepPlace::Each
    });
    checks.map(|policy| policy.name.clone()).chain(steps.map(|p| p.name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use deploy_core::{
        model::{App, Gate},
        plan::{Allowance, CheckPolicy, PlannedCheck, Strategy},
    };

    use super::*;

    fn plan() -> Plan {
        let change = |name: &str| Change {
            target: Target::new(name).unwrap(),
            from: None,
            to: None,
            back: None,
            work: Work::Move,
        };
        let check = |name: &str| PlannedCheck {
            policy: CheckPolicy::new(name),
            asks: format!("{name} answers"),
        };
        Plan {
            app: App::new("mockbase").unwrap(),
            environment: None,
            version: None,
            purpose: Purpose::Version,
            direction: Direction::Forward,
            groups: vec![PlannedGroup {
                name: GroupName::new("default").unwrap(),
                canary: false,
                batches: vec![vec![change("h1"), change("h2")]],
                lost: Vec::new(),
                allowance: Allowance { failures: 0, of: 2 },
                gate: Gate::default(),
            }],
            absent: Vec::new(),
            allowance: None,
            strategy: Strategy::default(),
            transitions: Vec::new(),
            diffs: Vec::new(),
            restarts: vec!["restart mockbase".into()],
            checks: vec![check("port"), check("answers")],
            steps: Vec::new(),
            noun: Noun::default(),
            apart: Vec::new(),
            warnings: Vec::new(),
            details: Vec::new(),
        }
    }

    fn done(target: &str, stage: Stage, detail: Option<&str>, rolling_back: bool) -> EventKind {
        EventKind::StageFinished {
            target: Target::new(target).unwrap(),
            stage,
            detail: detail.map(str::to_owned),
            rolling_back,
            outcome: StageOutcome::Done,
        }
    }

    #[test]
    fn a_target_is_healthy_after_its_last_check_and_not_before() {
        let mut progress = Progress::default();
        progress.apply(&EventKind::Planned { plan: Box::new(plan()) });
        let group = GroupName::new("default").unwrap();
        let way = [
            (Stage::Fetch, None, 0),
            (Stage::Promote, None, 0),
            (Stage::Check, Some("port"), 0),
            (Stage::Restart, None, 0),
            (Stage::Check, Some("once"), 0),
            (Stage::Check, Some("answers"), 1),
            (Stage::Finalize, None, 1),
        ];
        for (stage, detail, healthy) in way {
            progress.apply(&done("h1", stage, detail, false));
            assert_eq!(progress.group(&group).healthy, healthy, "{stage} {detail:?}");
            let anew = progress.tally(progress.batch(&group, 0));
            assert_eq!(progress.group(&group), anew, "{stage} {detail:?}");
        }
        // What goes back does not arrive.
        for (stage, detail) in [
            (Stage::Promote, None),
            (Stage::Restart, None),
            (Stage::Check, Some("port")),
            (Stage::Check, Some("answers")),
        ] {
            progress.apply(&done("h2", stage, detail, true));
        }
        assert_eq!(progress.group(&group), Tally { healthy: 1, failed: 0, of: 2 });
    }
}
