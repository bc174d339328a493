//! What holds whatever goes wrong, and whenever somebody presses Ctrl-C.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    backend::{Answer, ErrorKind, Good, Live, Serving},
    model::Target,
    plan::{Direction, Goal, OnAbort, OnBreach, OnFailure, Plan, Stage, Survey},
    record::{End, EventKind, Failure, RunId, StageOutcome, StopCause},
    run::{Decision, Input, Job, Mishap, Rollout},
    testing::{Fault, Fleet, Turn},
};
use jiff::Timestamp;
use proptest::prelude::*;

use super::rig::*;

/// A fleet of up to four groups, by the sizes of the groups, with batches and budgets.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    sizes: Vec<usize>,
    batches: Vec<usize>,
    budgets: Vec<usize>,
    of_run: Option<usize>,
    behaviour: (u8, u8, u8),
    rollback_batch: usize,
}

pub(super) fn shapes() -> impl Strategy<Value = Shape> {
    let per_group = proptest::collection::vec((1..6usize, 1..4usize, 0..3usize), 1..4);
    let behaviour = (0..2u8, 0..3u8, 0..2u8);
    (per_group, proptest::option::of(0..4usize), behaviour, 1..5usize).prop_map(
        |(per_group, of_run, behaviour, rollback_batch)| Shape {
            sizes: per_group.iter().map(|g| g.0).collect(),
            batches: per_group.iter().map(|g| g.1).collect(),
            budgets: per_group.iter().map(|g| g.2).collect(),
            of_run,
            behaviour,
            rollback_batch,
        },
    )
}

impl Shape {
    pub(super) fn story(&self) -> Story {
        let mut story = Story::new(&[]);
        let mut next = 0;
        for (number, size) in self.sizes.iter().enumerate() {
            let names: Vec<String> = (next..next + size).map(|n| format!("h{n}")).collect();
            next += size;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut group = group(&format!("g{number}"), &names);
            group.batch = self.batches[number].to_string().parse().unwrap();
            group.max_failures = budget(&self.budgets[number].to_string());
            story.groups.push(group);
            names.iter().for_each(|name| story.fleet.install(&target(name), &version("v1")));
        }
        story.strategy(|strategy| {
            strategy.max_failures = self.of_run.map(|n| budget(&n.to_string()));
            strategy.on_failure =
                if self.behaviour.0 == 0 { OnFailure::Revert } else { OnFailure::Leave };
            strategy.on_breach = match self.behaviour.1 {
                0 => OnBreach::Ask,
                1 => OnBreach::RollBack,
                _ => OnBreach::Leave,
            };
            strategy.on_abort =
                if self.behaviour.2 == 0 { OnAbort::Leave } else { OnAbort::RollBack };
            strategy.rollback_batch = self.rollback_batch.to_string().parse().unwrap();
        })
    }

    pub(super) fn trouble(&self, story: &Story, troubles: &[Trouble]) {
        for trouble in troubles {
            let at = target(&format!("h{}", trouble.host % self.targets()));
            story.fleet.fault(&at, trouble.deed, trouble.turn, trouble.fault.clone());
        }
    }

    pub(super) fn targets(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// The plan, with the targets in `lost` not answering.
    fn plan(&self, lost: &BTreeSet<usize>) -> Plan {
        let story = self.story();
        let serving = |id: &str| Fleet::release_of(&version(id));
        let mut survey = Survey::default();
        for target in story.groups.iter().flat_map(|group| &group.targets) {
            let number: usize = target.as_str()[1..].parse().unwrap();
            let release = serving("v1");
            let (run, by) = (RunId::new("r").unwrap(), "ann".to_owned());
            let at = Timestamp::UNIX_EPOCH;
            let good = Good { release: release.clone(), run, by, at, present: true };
            let live = Live {
                serving: Some(Serving { release, since: None, by: None, run: None }),
                good: vec![good],
                ..Live::default()
            };
            let answer = if lost.contains(&number) { Err(failure()) } else { Ok(live) };
            survey.answers.insert(target.clone(), answer);
        }
        let request = story.request(Goal::Deploy(version("v2")));
        Plan::make(&request, &survey, |_, _, version| Ok(Fleet::release_of(version))).unwrap()
    }
}

fn failure() -> Failure {
    Failure {
        stage: deploy_core::plan::Stage::Connect,
        kind: ErrorKind::Unreachable,
        attempted: "ask".into(),
        cause: "no route".into(),
        hint: None,
        evidence: None,
    }
}

/// Runs a rollout by itself: `luck` says what ends next, and how.
struct Simulation {
    rollout: Rollout,
    jobs: Vec<(usize, Job)>,
    asking: bool,
    breached: bool,
    stopped: bool,
    handled: BTreeMap<usize, usize>,
    ended: BTreeMap<usize, End>,
    open: Vec<String>,
    finished: bool,
}

impl Simulation {
    fn feed(&mut self, input: Input) {
        for decision in self.rollout.take(input) {
            assert!(!self.finished, "{decision:?} after the end");
            self.act(decision);
        }
    }

    fn act(&mut self, decision: Decision) {
        match decision {
            Decision::Do { at, job } => {
                if job == Job::Handle {
                    assert!(!self.breached && !self.stopped, "{at} starts after the stop");
                    *self.handled.entry(at).or_default() += 1;
                    self.feed_later(at);
                }
                self.jobs.push((at, job));
            }
            Decision::DoGood { at } => self.jobs.push((at, Job::Close)),
            Decision::Ask(_) => self.asking = true,
            Decision::Withdraw => self.asking = false,
            Decision::Breached { .. } => self.breached = true,
            Decision::Halt => self.stopped = true,
            Decision::BeginGroup(group) => self.open.push(format!("group {group}")),
            Decision::EndGroup(group) => self.close(&format!("group {group}")),
            Decision::BeginBatch(group, batch) => self.open.push(format!("batch {group}.{batch}")),
            Decision::EndBatch(group, batch) => self.close(&format!("batch {group}.{batch}")),
            Decision::BeginSoak(group) => self.open.push(format!("soak {group}")),
            Decision::EndSoak(group, _) => self.close(&format!("soak {group}")),
            Decision::BeginRollback(_) => self.open.push("rollback".into()),
            Decision::EndRollback { .. } => self.close("rollback"),
            Decision::Ended(at, end) => {
                assert!(self.ended.insert(at, end).is_none(), "{at} ends twice");
            }
            Decision::Finish { .. } => self.finished = true,
            Decision::CutSoak | Decision::Stopped(_) => {}
        }
    }

    fn feed_later(&mut self, at: usize) {
        let none = self.rollout.take(Input::Touching { at });
        assert!(none.is_empty());
    }

    fn close(&mut self, what: &str) {
        assert_eq!(self.open.pop().as_deref(), Some(what));
    }

    fn step(&mut self, luck: u8) {
        if luck > 250 && !self.jobs.iter().any(|(_, job)| *job == Job::Close) {
            let causes = [StopCause::Interrupt, StopCause::Terminate, StopCause::Kill];
            return self.feed(Input::Stop(causes[usize::from(luck) % 3]));
        }
        if self.asking {
            self.asking = false;
            let answer = if luck.is_multiple_of(2) { Answer::Yes } else { Answer::No };
            return self.feed(Input::Answered(answer));
        }
        let (at, job) = self.jobs.swap_remove(usize::from(luck) % self.jobs.len());
        let ill = luck.is_multiple_of(5);
        let touched = job != Job::Fetch;
        let end =
            End::Failed { failure: failure(), served: deploy_core::record::Served::NeverAsked };
        let mishap = Box::new(Mishap { end, touched, halted: false, once: false });
        let result = if ill { Err(mishap) } else { Ok(()) };
        self.feed(Input::Done { at, job, result });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_target_is_in_exactly_one_batch_or_lost(
        shape in shapes(),
        lost in proptest::collection::btree_set(0..20usize, 0..4),
    ) {
        let plan = shape.plan(&lost);
        let planned: Vec<&Target> = plan.targets().collect();
        let distinct: BTreeSet<&Target> = planned.iter().copied().collect();
        prop_assert_eq!(planned.len(), shape.targets());
        prop_assert_eq!(distinct.len(), shape.targets());
        for (group, size) in plan.groups.iter().zip(&shape.batches) {
            prop_assert!(group.batches.iter().all(|batch| !batch.is_empty() && batch.len() <= *size));
        }
    }

    #[test]
    fn the_inverse_swaps_to_and_back(shape in shapes()) {
        let plan = shape.plan(&BTreeSet::new());
        let inverse = plan.inverse();
        prop_assert_eq!(inverse.direction, Direction::Back);
        let mut forward: Vec<_> = plan.changes().map(|(_, change)| change.clone()).collect();
        forward.reverse();
        let back: Vec<_> = inverse.changes().map(|(_, change)| change.clone()).collect();
        for (forward, back) in forward.iter().zip(&back) {
            prop_assert_eq!(&forward.target, &back.target);
            prop_assert_eq!((&forward.to, &forward.back), (&back.back, &back.to));
            prop_assert_eq!(&forward.to, &back.from);
        }
    }

    #[test]
    fn the_pure_rollout_ends_each_target_once_and_starts_none_after_a_stop(
        shape in shapes(),
        lost in proptest::collection::btree_set(0..20usize, 0..3),
        luck in proptest::collection::vec(any::<u8>(), 400),
    ) {
        let plan = shape.plan(&lost);
        let mut simulation = Simulation {
            rollout: Rollout::new(&plan, vec![Vec::new(); plan.groups.len()]),
            jobs: Vec::new(),
            asking: false,
            breached: false,
            stopped: false,
            handled: BTreeMap::new(),
            ended: BTreeMap::new(),
            open: Vec::new(),
            finished: false,
        };
        simulation.feed(Input::Begin);
        for luck in luck {
            if simulation.finished {
                break;
            }
            simulation.step(luck);
        }
        prop_assert!(simulation.finished, "it comes to an end");
        prop_assert!(simulation.open.is_empty(), "open: {:?}", simulation.open);
        prop_assert_eq!(simulation.ended.len(), shape.targets());
        prop_assert!(simulation.handled.values().all(|times| *times == 1));
    }
}

#[derive(Debug, Clone)]
pub(super) struct Trouble {
    host: usize,
    deed: Deed,
    turn: Turn,
    fault: Fault,
}

/// Of a deploy or a rollback.
fn troubles() -> impl Strategy<Value = Vec<Trouble>> {
    troubles_in(vec![
        Deed::Live,
        Deed::Fetch,
        Deed::Running,
        Deed::Promote,
        Deed::Restart,
        Deed::Check,
        Deed::Stop,
        Deed::Evidence,
        Deed::Finalize,
    ])
}

pub(super) fn troubles_in(deeds: Vec<Deed>) -> impl Strategy<Value = Vec<Trouble>> {
    let deed = proptest::sample::select(deeds);
    let turn = prop_oneof![
        Just(Turn::Always),
        (1..4usize).prop_map(Turn::Nth),
        (1..4usize).prop_map(Turn::From)
    ];
    let fault = prop_oneof![
        Just(Fault::Fail(ErrorKind::Rejected)),
        Just(Fault::Fail(ErrorKind::Unreachable)),
        Just(Fault::Hang),
        Just(Fault::Deaf),
        Just(Fault::LoseBefore),
        Just(Fault::LoseAfter),
        Just(Fault::DieBefore),
        Just(Fault::DieAfter),
        Just(Fault::Panic),
    ];
    let one = (0..12usize, deed, turn, fault).prop_map(|(host, deed, turn, fault)| Trouble {
        host,
        deed,
        turn,
        fault,
    });
    proptest::collection::vec(one, 0..6)
}

/// When to stop: at which event, by which cause.
pub(super) fn stops() -> impl Strategy<Value = Vec<(u64, StopCause)>> {
    let cause =
        prop_oneof![Just(StopCause::Interrupt), Just(StopCause::Terminate), Just(StopCause::Kill),];
    proptest::collection::vec((0..120u64, cause), 0..3)
}

/// Rule 11: of the targets of a group that were acted upon, no more fail than the budget and one
/// batch.
pub(super) fn assert_within_budget(ending: &Ending) {
    let Some(plan) = &ending.summary.plan else { return };
    let mut failed: BTreeSet<&Target> = BTreeSet::new();
    for event in &ending.events {
        if let EventKind::StageFinished {
            target,
            stage: Stage::Promote | Stage::Restart | Stage::Check,
            rolling_back: false,
            outcome: StageOutcome::Failed { .. },
            ..
        } = &event.kind
        {
            failed.insert(target);
        }
    }
    for group in &plan.groups {
        let of_group = group.batches.iter().flatten();
        let count = of_group.filter(|change| failed.contains(&change.target)).count();
        let largest = group.batches.iter().map(Vec::len).max().unwrap_or(0);
        assert!(count <= group.allowance.failures + largest, "{count} failed in {}", group.name);
    }
}

pub(super) fn run(story: Story, goal: Goal) -> Ending {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(story.go(goal)).0
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The rig asserts the rest: the lock, the pairs, that each target ends once and truly, and
    /// that none is promoted without having been fetched.
    #[test]
    fn faults_and_stops_never_break_a_run(
        shape in shapes(),
        troubles in troubles(),
        stops in stops(),
        soak in any::<bool>(),
        broken in any::<bool>(),
        go_back in any::<bool>(),
    ) {
        let back = if go_back { Answer::Yes } else { Answer::No };
        let mut story = shape.story().answers(Some(Answer::Yes), Some(back));
        if broken {
            story = story.broken("v2");
        }
        shape.trouble(&story, &troubles);
        let undisturbed = stops.is_empty() && !soak;
        let ending = run(story.gated(soak).stopping(stops), Goal::Deploy(version("v2")));
        if undisturbed {
            assert_within_budget(&ending);
        }
        let good = matches!(ending.code(), 0 | 6);
        for (target, summary) in &ending.summary.targets {
            let host = ending.fleet.host(target);
            if !good || !matches!(summary.end, Some(End::Deployed)) {
                prop_assert!(!host.good_versions().contains(&"v2"), "{} is not good", target);
            }
        }
        if ending.code() == 0 {
            prop_assert!(ending.summary.targets.values().all(|t| t.end.as_ref().unwrap().is_success()));
        }
        if ending.code() == 1 {
            let touched = ending.has(|kind| matches!(kind, EventKind::RollbackStarted { .. }));
            prop_assert!(!touched, "refused means that nothing was touched");
            for target in ending.summary.targets.keys() {
                let host = ending.fleet.host(target);
                prop_assert_eq!(host.serves(), Some("v1"));
            }
        }
        if ending.code() == 3 {
            for target in ending.summary.targets.keys() {
                let host = ending.fleet.host(target);
                prop_assert_eq!(host.serves(), Some("v1"));
            }
        }
    }

    #[test]
    fn faults_never_break_a_rollback(shape in shapes(), troubles in troubles(), stops in stops()) {
        let story = shape.story();
        for target in story.groups.iter().flat_map(|group| &group.targets) {
            story.fleet.install(target, &version("v2"));
        }
        shape.trouble(&story, &troubles);
        let ending = run(story.stopping(stops), Goal::RollBack);
        prop_assert!(matches!(ending.code(), 0 | 1 | 4 | 130), "{}", ending.code());
    }
}
