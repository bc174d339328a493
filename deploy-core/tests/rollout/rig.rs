//! A run on a fleet in memory, and what is asserted about every run whatever its story.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use deploy_core::{
    backend::{Answer, Ask, BackendError, Cancel, LockGuard, Question},
    model::{App, Group, GroupName, Target, Version, VersionId},
    plan::{Action, Budget, Goal, PlanRequest, SavedPlan, Stage, Strategy, Work},
    record::{
        Clock, Command, End, Event, EventKind, Exit, FORMAT, ObserveError, RunId, RunInfo,
        StageOutcome, StopCause, Summary,
    },
    run::{Allowances, Backend, Begin, Pipeline, Refusal, Stop},
    testing::{Fault, Fleet, Host, Turn},
};
use jiff::Timestamp;

pub use deploy_core::testing::Deed;

pub fn target(name: &str) -> Target {
    Target::new(name).unwrap()
}

pub fn version(id: &str) -> Version {
    Version { id: VersionId::new(id).unwrap(), name: None }
}

pub fn group(name: &str, targets: &[&str]) -> Group {
    Group::new(GroupName::new(name).unwrap(), targets.iter().map(|name| target(name)).collect())
}

pub fn budget(text: &str) -> Budget {
    text.parse().unwrap()
}

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

#[derive(Debug)]
struct Guard(Arc<AtomicBool>);

#[async_trait]
impl LockGuard for Guard {
    async fn release(self: Box<Self>) -> Result<(), BackendError> {
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Answers as told, and remembers what was asked. Without an answer it never answers.
#[derive(Debug, Default)]
struct Scripted {
    go_on: Option<Answer>,
    go_back: Option<Answer>,
}

#[async_trait]
impl Ask for Scripted {
    async fn ask(&self, question: &Question) -> Answer {
        let answer = match question {
            Question::Continue { .. } => self.go_on,
            _ => self.go_back,
        };
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

type Hook = Box<dyn FnMut(&Event, &Stop, &Fleet) -> Result<(), ObserveError> + Send>;

/// A run to be: a fleet, groups, and how it behaves.
pub struct Story {
    pub fleet: Fleet,
    pub groups: Vec<Group>,
    pub strategy: Strategy,
    pub redeploy: bool,
    pub run: RunId,
    pub allow: Allowances,
    pub pipeline: Box<dyn Fn(Backend) -> Pipeline>,
    pub stop: Stop,
    /// The plan that is to be run exactly.
    pub saved: Option<SavedPlan>,
    asks: Scripted,
    hook: Option<Hook>,
    locked: Arc<AtomicBool>,
}

/// How a run ended.
pub struct Ending {
    pub fleet: Fleet,
    pub summary: Summary,
    pub events: Vec<Event>,
}

impl Story {
    /// A fleet that serves v1, which is good, in these groups.
    pub fn new(groups: &[(&str, &[&str])]) -> Self {
        let groups: Vec<Group> = groups.iter().map(|(name, of)| group(name, of)).collect();
        let fleet = Fleet::new();
        for target in groups.iter().flat_map(|group| &group.targets) {
            fleet.install(target, &version("v1"));
        }
        Self {
            fleet,
            groups,
            strategy: Strategy::default(),
            redeploy: false,
            run: RunId::new("run-1").unwrap(),
            allow: Allowances::default(),
            pipeline: Box::new(Pipeline::new),
            stop: Stop::new(),
            saved: None,
            asks: Scripted { go_on: Some(Answer::Yes), go_back: Some(Answer::Yes) },
            hook: None,
            locked: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The same fleet, for the next run.
    pub fn again(ending: &Ending, groups: &[(&str, &[&str])], run: &str) -> Self {
        let mut story = Self::new(&[]);
        story.fleet = ending.fleet.clone();
        story.groups = groups.iter().map(|(name, of)| group(name, of)).collect();
        story.run = RunId::new(run).unwrap();
        story
    }

    pub fn fault(self, name: &str, deed: Deed, turn: Turn, fault: Fault) -> Self {
        self.fleet.fault(&target(name), deed, turn, fault);
        self
    }

    pub fn cut(self, name: &str) -> Self {
        self.fleet.cut(&target(name));
        self
    }

    pub fn set(self, name: &str, change: impl FnOnce(&mut Host)) -> Self {
        self.fleet.set(&target(name), change);
        self
    }

    pub fn broken(self, id: &str) -> Self {
        self.fleet.break_version(&version(id));
        self
    }

    pub fn group(mut self, number: usize, change: impl FnOnce(&mut Group)) -> Self {
        change(&mut self.groups[number]);
        self
    }

    pub fn allow(self, number: usize, failures: &str) -> Self {
        self.group(number, |group| group.max_failures = budget(failures))
    }

    pub fn batch(self, number: usize, size: &str) -> Self {
        self.group(number, |group| group.batch = size.parse().unwrap())
    }

    /// Asks behind the first group, and lets it soak for a while where that is wanted.
    pub fn gated(self, soak: bool) -> Self {
        self.group(0, |group| {
            group.gate.soak = soak.then_some(MINUTE);
            group.gate.ask = true;
        })
    }

    pub fn strategy(mut self, change: impl FnOnce(&mut Strategy)) -> Self {
        change(&mut self.strategy);
        self
    }

    pub fn answers(mut self, go_on: Option<Answer>, go_back: Option<Answer>) -> Self {
        self.asks = Scripted { go_on, go_back };
        self
    }

    pub fn pipeline(mut self, make: impl Fn(Backend) -> Pipeline + 'static) -> Self {
        self.pipeline = Box::new(make);
        self
    }

    /// Does something when an event is told.
    pub fn on(
        mut self,
        hook: impl FnMut(&Event, &Stop, &Fleet) -> Result<(), ObserveError> + Send + 'static,
    ) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Requests a stop when a stage begins on a target.
    /// Requests each stop when the event of that number is told.
    pub fn stopping(self, stops: Vec<(u64, StopCause)>) -> Self {
        self.on(move |event, stop, _| {
            for (_, cause) in stops.iter().filter(|(at, _)| *at == event.seq) {
                stop.request(*cause);
            }
            Ok(())
        })
    }

    pub fn stop_at(self, name: &str, stage: Stage, act: fn(&Stop)) -> Self {
        let at = target(name);
        self.on(move |event, stop, _| {
            if let EventKind::StageStarted { target, stage: begun, rolling_back: false, .. } =
                &event.kind
                && *target == at
                && *begun == stage
            {
                act(stop);
            }
            Ok(())
        })
    }

    pub fn request(&self, goal: Goal) -> PlanRequest {
        PlanRequest {
            app: App::new("mockbase").unwrap(),
            environment: None,
            goal,
            groups: self.groups.clone(),
            strategy: self.strategy.clone(),
            redeploy: self.redeploy,
            restarts: Vec::new(),
            checks: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// The plan that a run would make now, to be kept.
    pub async fn plan_to_save(&self, goal: Goal) -> SavedPlan {
        let pipeline = (self.pipeline)(self.fleet.backend());
        let (request, run) = (self.request(goal), RunId::new("saving").unwrap());
        let cancel = Cancel::new();
        pipeline.plan_to_save(&request, self.allow, &run, "ann", &cancel).await.unwrap()
    }

    pub async fn deploy(self, id: &str) -> Ending {
        let goal = Goal::Deploy(version(id));
        self.go(goal).await.0
    }

    pub async fn operate(self, action: Action) -> Ending {
        self.go(Goal::Operate(action)).await.0
    }

    pub async fn roll_back(self) -> Ending {
        self.go(Goal::RollBack).await.0
    }

    /// Runs to the end, and asserts what holds for every run.
    pub async fn go(mut self, goal: Goal) -> (Ending, Option<Refusal>) {
        let request = self.request(goal);
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&events);
        let keep = move |event: &Event| {
            kept.lock().unwrap().push(event.clone());
            Ok(())
        };
        let mut observers: Vec<Box<dyn deploy_core::record::Observer>> = vec![Box::new(keep)];
        if let Some(mut hook) = self.hook.take() {
            let (stop, fleet) = (self.stop.clone(), self.fleet.clone());
            observers.push(Box::new(move |event: &Event| hook(event, &stop, &fleet)));
        }
        self.locked.store(true, Ordering::SeqCst);
        let pipeline = (self.pipeline)(self.fleet.backend()).with_clock(Arc::new(Frozen));
        let mut run = pipeline.begin(Begin {
            info: self.info(),
            lock: Some(Box::new(Guard(Arc::clone(&self.locked)))),
            observers,
            ask: Arc::new(std::mem::take(&mut self.asks)),
            stop: self.stop.clone(),
            on_complete: None,
        });
        let planned = match &self.saved {
            Some(saved) => run.plan_as_saved(&request, self.allow, saved, Vec::new()).await,
            None => run.plan(&request, self.allow).await,
        };
        let (summary, refusal) = match planned {
            Ok(plan) => (run.execute(plan).await, None),
            Err(refusal) => (run.refuse(refusal.clone()).await, Some(refusal)),
        };
        assert!(!self.locked.load(Ordering::SeqCst), "the lock is released on every way out");
        let events = events.lock().unwrap().clone();
        let ending = Ending { fleet: self.fleet, summary, events };
        ending.assert_sound();
        (ending, refusal)
    }

    pub fn info(&self) -> RunInfo {
        RunInfo {
            format: FORMAT,
            run: self.run.clone(),
            app: App::new("mockbase").unwrap(),
            environment: None,
            command: Command::Deploy,
            who: "ann@desk".into(),
            host: "desk".into(),
            pid: 1,
            why: None,
            tool: "test".into(),
            saved_plan: None,
        }
    }
}

impl Ending {
    pub fn exit(&self) -> Exit {
        self.summary.exit.unwrap()
    }

    pub fn code(&self) -> u8 {
        self.exit().code()
    }

    pub fn end(&self, name: &str) -> &End {
        self.summary.targets[&target(name)].end.as_ref().unwrap()
    }

    /// The end in a word or two: `deployed`, `failed(check)`.
    pub fn word(&self, name: &str) -> String {
        match self.end(name) {
            End::Deployed => "deployed".into(),
            End::Unchanged => "unchanged".into(),
            End::Done => "done".into(),
            End::Reverted { failure: None } => "reverted".into(),
            End::Reverted { failure: Some(failure) } => format!("reverted({})", failure.stage),
            End::Failed { failure, .. } => format!("failed({})", failure.stage),
            End::Unreachable { failure, .. } => format!("unreachable({})", failure.stage),
            End::Unknown { .. } => "unknown".into(),
            End::NotAttempted => "not attempted".into(),
        }
    }

    pub fn words(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|name| self.word(name)).collect()
    }

    pub fn host(&self, name: &str) -> Host {
        self.fleet.host(&target(name))
    }

    /// What each serves, in the order of the names; `-` for nothing.
    pub fn serving(&self, names: &[&str]) -> Vec<String> {
        let serves = |name: &&str| self.host(name).serves().unwrap_or("-").to_owned();
        names.iter().map(serves).collect()
    }

    pub fn cause(&self, name: &str) -> String {
        self.end(name).failure().unwrap().cause.clone()
    }

    /// The targets on which a stage began, in order.
    pub fn began(&self, of: Stage) -> Vec<String> {
        let began = |event: &Event| match &event.kind {
            EventKind::StageStarted { target, stage, .. } if *stage == of => {
                Some(target.to_string())
            }
            _ => None,
        };
        self.events.iter().filter_map(began).collect()
    }

    pub fn position(&self, what: impl Fn(&EventKind) -> bool) -> Option<usize> {
        self.events.iter().position(|event| what(&event.kind))
    }

    pub fn has(&self, what: impl Fn(&EventKind) -> bool) -> bool {
        self.position(what).is_some()
    }

    /// What holds for every run: rules 18 and 23, and that no target was promoted whose fetch did
    /// not succeed.
    pub fn assert_sound(&self) {
        let mut open: BTreeMap<String, i32> = BTreeMap::new();
        let mut fetched = BTreeSet::new();
        let mut ended: BTreeMap<&Target, usize> = BTreeMap::new();
        for (number, event) in self.events.iter().enumerate() {
            assert_eq!(event.seq, number as u64, "events are numbered without gaps");
            if let Some((key, step)) = pair(&event.kind) {
                let count = open.entry(key.clone()).or_default();
                *count += step;
                assert!((0..=1).contains(count), "{key} at {number}: {:?}", event.kind);
            }
            match &event.kind {
                EventKind::StageFinished {
                    target,
                    stage: Stage::Fetch,
                    detail: None,
                    outcome: StageOutcome::Done,
                    ..
                } => {
                    fetched.insert(target.clone());
                }
                EventKind::StageStarted {
                    target,
                    stage: Stage::Promote,
                    rolling_back: false,
                    ..
                } => assert!(fetched.contains(target), "{target} is promoted without a fetch"),
                EventKind::TargetFinished { target, .. } => *ended.entry(target).or_default() += 1,
                _ => {}
            }
        }
        let left: Vec<_> = open.iter().filter(|(_, count)| **count != 0).collect();
        assert!(left.is_empty(), "begun and never ended: {left:?}");
        let is_last = matches!(self.events.last().unwrap().kind, EventKind::RunFinished { .. });
        assert!(is_last, "the last event ends the run");
        if let Some(plan) = &self.summary.plan {
            for target in plan.targets() {
                assert_eq!(ended.get(target), Some(&1), "{target} ends exactly once");
            }
            assert_eq!(ended.len(), self.summary.targets.len(), "nobody else ends");
        }
        assert_eq!(self.summary, Summary::of(&self.events), "the summary is a fold over events");
        self.assert_truth();
    }

    /// What the summary says of a target is so.
    fn assert_truth(&self) {
        for (target, summary) in &self.summary.targets {
            let host = self.fleet.host(target);
            let (Some(change), Some(end)) = (&summary.change, &summary.end) else { continue };
            if change.work == Work::Run {
                continue; // nobody asked what it serves
            }
            let serves = |release: &Option<_>| host.release() == Option::as_ref(release);
            match end {
                End::Deployed | End::Unchanged | End::Done => {
                    assert!(serves(&change.to), "{target}: {end:?}");
                }
                End::Reverted { .. } => assert!(serves(&change.back), "{target}: {end:?}"),
                End::NotAttempted => assert!(serves(&change.from), "{target}: {end:?}"),
                End::Failed { served, .. } | End::Unreachable { served, .. } => {
                    assert_eq!(*served, host.release().cloned().into(), "{target}: {end:?}");
                }
                End::Unknown { one_of, .. } => {
                    assert!(one_of.contains(&host.release().cloned().into()), "{target}: {end:?}");
                }
            }
        }
    }
}

/// What a `Started` and its `Finished` have in common, and which of the two it is.
fn pair(kind: &EventKind) -> Option<(String, i32)> {
    Some(match kind {
        EventKind::RunStarted { .. } => ("run".into(), 1),
        EventKind::RunFinished { .. } => ("run".into(), -1),
        EventKind::GroupStarted { group } => (format!("group {group}"), 1),
        EventKind::GroupFinished { group } => (format!("group {group}"), -1),
        EventKind::BatchStarted { group, batch } => (format!("batch {group} {batch}"), 1),
        EventKind::BatchFinished { group, batch } => (format!("batch {group} {batch}"), -1),
        EventKind::StageStarted { target, stage, detail, rolling_back } => {
            (format!("stage {target} {stage} {detail:?} {rolling_back}"), 1)
        }
        EventKind::StageFinished { target, stage, detail, rolling_back, .. } => {
            (format!("stage {target} {stage} {detail:?} {rolling_back}"), -1)
        }
        EventKind::SoakStarted { group, .. } => (format!("soak {group}"), 1),
        EventKind::SoakFinished { group, .. } => (format!("soak {group}"), -1),
        EventKind::QuestionStarted { .. } => ("question".into(), 1),
        EventKind::QuestionFinished { .. } => ("question".into(), -1),
        EventKind::RollbackStarted { .. } => ("rollback".into(), 1),
        EventKind::RollbackFinished { .. } => ("rollback".into(), -1),
        _ => return None,
    })
}

pub const MINUTE: Duration = Duration::from_secs(60);
