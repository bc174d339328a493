//! One run: under a lock, told to observers, until its summary.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Allowances, Pipeline, Refusal, Stop,
    conductor::Conductor,
    ledger::Ledger,
    pipeline::admit,
    survey::{Told, ask_all, targets_of},
};
use crate::{
    backend::{Ask, Cancel, Completion, LockGuard, Unattended},
    model::Target,
    plan::{Difference, Goal, Plan, PlanRequest, SavedPlan, Stage, Survey, Work},
    record::{End, EventKind, Exit, Failure, Observer, RunInfo, StageOutcome, StopCause, Summary},
};

/// How long a lock may take to be given up.
const RELEASE: Duration = Duration::from_secs(30);

/// What a run begins with.
pub struct Begin {
    /// Who, what, where and why.
    pub info: RunInfo,
    /// The lock that the caller took; given up on every way out.
    pub lock: Option<Box<dyn LockGuard>>,
    /// Who is told what happens.
    pub observers: Vec<Box<dyn Observer>>,
    /// Who answers questions.
    pub ask: Arc<dyn Ask>,
    /// How signals reach the run.
    pub stop: Stop,
    /// Told once, when the whole fleet serves the version.
    pub on_complete: Option<Arc<dyn Completion>>,
}

impl Begin {
    /// Begins without a lock or observers; questions are answered by [`Unattended`].
    pub fn new(info: RunInfo) -> Self {
        Self {
            info,
            lock: None,
            observers: Vec::new(),
            ask: Arc::new(Unattended),
            stop: Stop::new(),
            on_complete: None,
        }
    }

    /// Runs under this lock.
    #[must_use]
    pub fn with_lock(mut self, lock: Box<dyn LockGuard>) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Tells one more observer, after those before. Let the journal be the first.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Lets signals reach the run by `stop`.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin").field("info", &self.info).field("lock", &self.lock).finish()
    }
}

/// A run that has begun. It ends by [`execute`](Run::execute) or [`refuse`](Run::refuse); when it
/// is dropped before, its lock is given up as well as the lock can.
#[derive(Debug)]
#[must_use = "a run holds the lock until it is executed or refused"]
pub struct Run {
    pipeline: Pipeline,
    info: RunInfo,
    lock: Option<Box<dyn LockGuard>>,
    ledger: Ledger,
    ask: Arc<dyn Ask>,
    stop: Stop,
    on_complete: Option<Arc<dyn Completion>>,
}

impl Run {
    pub(super) fn new(pipeline: Pipeline, begin: Begin) -> Self {
        let Begin { info, lock, observers, ask, stop, on_complete } = begin;
        let mut ledger = Ledger::new(Arc::clone(&pipeline.clock), observers);
        ledger.emit(EventKind::RunStarted { info: info.clone() });
        ledger.sync();
        Self { pipeline, info, lock, ledger, ask, stop, on_complete }
    }

    /// Asks all targets what is live, unless only a command is to be run, and makes the plan. Emits the connect and preflight stages,
    /// and [`Planned`](EventKind::Planned). Touches nothing.
    ///
    /// # Errors
    /// Why the run must not go on: the caller then ends it with [`refuse`](Run::refuse).
    pub async fn plan(
        &mut self,
        request: &PlanRequest,
        allow: Allowances,
    ) -> Result<Plan, Refusal> {
        let (mut plan, _) = self.make(request).await?;
        admit(&mut plan, allow)?;
        self.tell(plan)
    }

    /// As [`plan`](Self::plan), for the wish that `saved` was made for, and only where the plan
    /// comes out the same as then. `moved` is what the caller found moved already: the version,
    /// the lock.
    ///
    /// # Errors
    /// As for [`plan`](Self::plan); also with each [difference](SavedPlan::differences), where
    /// there is any.
    pub async fn plan_as_saved(
        &mut self,
        request: &PlanRequest,
        allow: Allowances,
        saved: &SavedPlan,
        mut moved: Vec<Difference>,
    ) -> Result<Plan, Refusal> {
        let (mut plan, survey) = self.make(request).await?;
        let now = SavedPlan::new(plan.clone(), &survey);
        moved.extend(saved.differences(&now));
        if !moved.is_empty() {
            return Err(Refusal::moved(&moved));
        }
        admit(&mut plan, allow)?;
        self.tell(plan)
    }

    async fn make(&mut self, request: &PlanRequest) -> Result<(Plan, Survey), Refusal> {
        self.pipeline.refuse_impossible(request)?;
        let survey = match request.goal {
            Goal::Run | Goal::Adopt => Survey::default(),
            _ => self.connect(request).await?,
        };
        let (retry, never) = (request.strategy.retry, Cancel::new());
        let caller = self.pipeline.caller(&self.info.run, &self.info.who, retry);
        let mut signals = self.stop.watch();
        let plan = tokio::select! {
            plan = self.pipeline.plan_from(request, &survey, &caller, &never) => plan?,
            cause = signals.next() => {
                self.ledger.emit(EventKind::StopRequested { cause });
                return Err(Refusal::interrupted());
            }
        };
        Ok((plan, survey))
    }

    fn tell(&mut self, plan: Plan) -> Result<Plan, Refusal> {
        self.tell_preflight(&plan);
        self.ledger.sync();
        if self.ledger.is_lost() {
            return Err(Refusal::new("the journal cannot be written")
                .with_hint("make room in the state directory, or set another `state_dir`"));
        }
        self.ledger.emit(EventKind::Planned { plan: Box::new(plan.clone()) });
        self.ledger.sync();
        Ok(plan)
    }

    async fn connect(&mut self, request: &PlanRequest) -> Result<Survey, Refusal> {
        let targets = targets_of(&self.pipeline, &request.groups);
        for (target, _) in &targets {
            self.ledger.emit(started(target, Stage::Connect));
        }
        self.ledger.sync();
        let strategy = &request.strategy;
        let caller = self.pipeline.caller(&self.info.run, &self.info.who, strategy.retry);
        let cancel = Cancel::new();
        let mut signals = self.stop.watch();
        let ledger = &mut self.ledger;
        let told = |told: Told<'_>| match told {
            Told::Retried { target, attempt, failure } => {
                let (target, stage) = (target.clone(), Stage::Connect);
                ledger.emit(EventKind::Retried { target, stage, attempt, failure });
            }
            Told::Answered { target, answer } => {
                ledger.emit(finished(target, Stage::Connect, answer.as_ref().err()));
            }
        };
        let within = strategy.timeouts.connect;
        let mut stopped = self.stop.cause();
        if stopped.is_some() {
            cancel.cancel();
        }
        let survey = {
            let mut asking = std::pin::pin!(ask_all(targets, &caller, within, &cancel, told));
            loop {
                tokio::select! {
                    survey = &mut asking => break survey,
                    cause = signals.next() => {
                        stopped = stopped.max(Some(cause));
                        cancel.cancel();
                    }
                }
            }
        };
        self.ledger.sync();
        match stopped {
            Some(cause) => {
                self.ledger.emit(EventKind::StopRequested { cause });
                Err(Refusal::interrupted())
            }
            None => Ok(survey),
        }
    }

    fn tell_preflight(&mut self, plan: &Plan) {
        // Where a command is run nothing is looked at before.
        let looked = plan.changes().filter(|(_, change)| change.work != Work::Run);
        for (_, change) in looked {
            self.ledger.emit(started(&change.target, Stage::Preflight));
            self.ledger.emit(finished(&change.target, Stage::Preflight, None));
        }
        let lost = plan.groups.iter().flat_map(|group| &group.lost);
        for lost in lost.filter(|lost| lost.failure.stage == Stage::Preflight) {
            self.ledger.emit(started(&lost.target, Stage::Preflight));
            self.ledger.emit(finished(&lost.target, Stage::Preflight, Some(&lost.failure)));
        }
    }

    /// Runs `plan` to its end, whatever that is, gives up the lock, and sums up.
    ///
    /// The plan may be another than the one that [`plan`](Run::plan) made, such as a saved one or
    /// an inverse: each switch is made only where the target still serves what the plan says.
    ///
    /// Not cancel-safe: a run is stopped by its [`Stop`], not by dropping it.
    pub async fn execute(mut self, plan: Plan) -> Summary {
        if self.ledger.summary().plan.is_none() {
            self.ledger.emit(EventKind::Planned { plan: Box::new(plan.clone()) });
        }
        self.tell_absent(&plan);
        let conductor = Conductor::new(
            &self.pipeline,
            &self.info,
            &plan,
            &mut self.ledger,
            Arc::clone(&self.ask),
            self.stop.clone(),
        );
        let (mut exit, reason) = conductor.conduct().await;
        if exit == Exit::Complete && !plan.absent.is_empty() {
            exit = Exit::Incomplete;
        }
        if exit == Exit::Complete {
            self.complete(&plan).await;
        }
        self.end(exit, reason).await
    }

    /// Ends a run that must not go on, gives up the lock, and sums up. Where there is a plan
    /// already, which the deployer did not confirm, its targets end as not attempted.
    pub async fn refuse(mut self, refusal: Refusal) -> Summary {
        let plan = self.ledger.summary().plan.clone();
        if let Some(plan) = &plan {
            self.tell_absent(plan);
        }
        for group in plan.iter().flat_map(|plan| &plan.groups) {
            let planned = group.batches.iter().flatten();
            let planned = planned.map(|change| (change.target.clone(), End::NotAttempted));
            let lost = group.lost.iter().map(|lost| (lost.target.clone(), lost.end()));
            for (target, end) in planned.chain(lost) {
                self.ledger.emit(EventKind::TargetFinished { target, end });
            }
        }
        self.end(refusal.exit, Some(refusal.reason)).await
    }

    /// Nothing is done to them, and nothing more will be known of them.
    fn tell_absent(&mut self, plan: &Plan) {
        for absent in &plan.absent {
            let (target, end) = (absent.lost.target.clone(), absent.lost.end());
            self.ledger.emit(EventKind::TargetFinished { target, end });
        }
    }

    async fn complete(&mut self, plan: &Plan) {
        let Some(completion) = self.on_complete.take() else { return };
        let mut signals = self.stop.watch();
        let killed = async { while signals.next().await < StopCause::Kill {} };
        let completed =
            timeout(plan.strategy.timeouts.finalize, completion.complete(&self.info, plan));
        let problem = tokio::select! {
            completed = completed => match completed {
                Ok(Ok(())) => return,
                Ok(Err(error)) => format!("{error}: {}", error.cause()),
                Err(_) => "mark the success: no answer within its time".to_owned(),
            },
            () = killed => "mark the success: told to stop".to_owned(),
        };
        self.ledger.emit(EventKind::Warning { target: None, message: problem });
    }

    async fn end(mut self, exit: Exit, reason: Option<String>) -> Summary {
        if let Some(lock) = self.lock.take() {
            let problem = match timeout(RELEASE, lock.release()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error}: {}", error.cause())),
                Err(_) => Some("give the lock up: no answer within its time".to_owned()),
            };
            if let Some(message) = problem {
                self.ledger.emit(EventKind::Warning { target: None, message });
            }
        }
        self.ledger.emit(EventKind::RunFinished { exit, reason });
        self.ledger.sync();
        self.ledger.into_summary()
    }
}

fn started(target: &Target, stage: Stage) -> EventKind {
    let target = target.clone();
    EventKind::StageStarted { target, stage, detail: None, rolling_back: false }
}

fn finished(target: &Target, stage: Stage, failure: Option<&Failure>) -> EventKind {
    let outcome = match failure {
        None => StageOutcome::Done,
        Some(failure) => StageOutcome::Failed { failure: failure.clone() },
    };
    let target = target.clone();
    EventKind::StageFinished { target, stage, detail: None, rolling_back: false, outcome }
}
