//! Workers: each acts on one target, and reports to the owner of the run.
//!
//! A worker begins no stage without the owner's leave: the owner writes the intent first, and
//! refuses once the run is to stop.

mod back;
mod checks;
mod forward;
mod operate;
mod promote;

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use super::{
    Backend, Job, Leave, Mishap,
    attempt::{Call, Caller, attempt},
};
use crate::{
    backend::{BackendError, Cancel, ErrorKind, Instance, Scope, Situation},
    model::{GroupName, Release},
    plan::{Change, Stage, Timeouts},
    record::{End, Failure, Served, StageOutcome},
};

/// What workers tell the owner of the run.
pub(super) enum Report {
    /// May a stage begin?
    Begin { at: usize, part: Part, leave: Leave, touches: bool, reply: oneshot::Sender<bool> },
    /// A stage that began ended.
    Finished { at: usize, part: Part, outcome: StageOutcome },
    /// A call is repeated.
    Retried { at: usize, stage: Stage, attempt: u32, failure: Failure },
    /// A job ended.
    Done { at: usize, job: Job, result: Result<(), Box<Mishap>> },
    /// Something worth telling.
    Warning { at: usize, message: String },
}

/// A stage on a target, or a part of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) stage: Stage,
    pub(super) detail: Option<String>,
    pub(super) rolling_back: bool,
}

/// What all workers of a run share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) caller: Caller,
    pub(super) timeouts: Timeouts,
    pub(super) reports: mpsc::UnboundedSender<Report>,
    /// No new step begins on the way forward.
    pub(super) halt: Cancel,
    /// What is in flight is killed.
    pub(super) kill: Cancel,
    /// The soak at work has no purpose any more.
    pub(super) soak_cut: Mutex<Cancel>,
    /// The after-check steps that ran once for all, or are running.
    pub(super) once_taken: Mutex<BTreeSet<String>>,
    /// The checks that failed on the new version.
    pub(super) ill_checks: Mutex<BTreeSet<String>>,
    /// Whether the run as a whole goes back.
    pub(super) back: bool,
}

/// One target of a run, with all that its worker needs.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) site: Arc<Site>,
    pub(super) at: usize,
    pub(super) group: GroupName,
    pub(super) change: Change,
    pub(super) backend: Arc<Backend>,
    pub(super) memory: Mutex<Memory>,
}

/// What is known of a target while the run lasts.
#[derive(Debug)]
pub(super) struct Memory {
    /// What it serves; `None` when that is not known.
    pub(super) serves: Option<Option<Release>>,
    /// Whether a part of something else was seen there: a promote failed half-way.
    pub(super) torn: bool,
    /// Whether it was seen to serve what the run brings: then its services may use that, whatever
    /// it serves by now.
    pub(super) switched: bool,
    /// What ran before it was touched, per restarter.
    pub(super) before: Option<Vec<Instance>>,
    /// What each check noted before the last restart, or why it could not. Empty where nothing was
    /// restarted.
    pub(super) noted: Vec<Result<Option<String>, Failure>>,
    /// The checks that said what a person should know.
    pub(super) remarked: BTreeSet<String>,
}

impl Memory {
    /// Of a target before anything was done to it.
    pub(super) fn of(serves: Option<Option<Release>>) -> Self {
        let (noted, remarked) = (Vec::new(), BTreeSet::new());
        Self { serves, torn: false, switched: false, before: None, noted, remarked }
    }

    fn saw(&mut self, serves: Option<Release>, change: &Change) {
        self.switched |= serves == change.to;
        self.serves = Some(serves);
    }
}

/// Why a worker cannot go on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The owner gave no leave, or the check was interrupted between two attempts.
    Halted(Stage),
    Failed(Failure),
}

impl Site {
    /// Whether nobody ran the step before, which runs once for all.
    fn is_first(&self, step: &str) -> bool {
        let mut taken = self.once_taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(step.to_owned())
    }

    /// Notes a check that failed on the way forward; on the way back, says whether it had.
    fn failed_forward(&self, check: &str, leave: Leave) -> bool {
        let mut ill = self.ill_checks.lock().unwrap_or_else(PoisonError::into_inner);
        if leave == Leave::Forward {
            ill.insert(check.to_owned());
            return false;
        }
        ill.contains(check)
    }
}

impl Post {
    pub(super) fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn part(&self, stage: Stage, detail: Option<String>, leave: Leave) -> Part {
        let rolling_back = leave == Leave::Back;
        Part { stage, detail, rolling_back }
    }

    /// What a checker, a restarter or a step is told. A target that is brought back goes from
    /// where it was brought to; a plan that goes back as a whole says so itself.
    fn situation(&self, leave: Leave) -> Situation {
        let mut situation = Situation::of(&self.group, &self.change, leave == Leave::Back);
        if leave == Leave::Back && !self.site.back {
            situation.release.clone_from(&self.change.back);
            situation.previous.clone_from(&self.change.to);
        }
        situation
    }

    /// Does `work` as a stage: asks for leave, and reports how it ended.
    async fn stage<T>(
        &self,
        part: Part,
        leave: Leave,
        touches: bool,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let (reply, granted) = oneshot::channel();
        let at = self.at;
        self.report(Report::Begin { at, part: part.clone(), leave, touches, reply });
        if !granted.await.unwrap_or(false) {
            return Err(Trouble::Halted(part.stage));
        }
        let result = work.await;
        let outcome = match &result {
            Ok(_) => StageOutcome::Done,
            Err(Trouble::Failed(failure)) => StageOutcome::Failed { failure: failure.clone() },
            Err(Trouble::Halted(stage)) => StageOutcome::Failed { failure: interrupted(*stage) },
        };
        self.report(Report::Finished { at, part, outcome });
        result
    }

    /// Calls a backend, with the retry of the run.
    async fn call<T, F>(
        &self,
        (stage, leave): (Stage, Leave),
        within: Duration,
        repeat: bool,
        act: impl FnMut(Scope) -> F,
    ) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let told = |attempt: u32, error: &BackendError| {
            let failure = self.failure(stage, error);
            self.report(Report::Retried { at: self.at, stage, attempt, failure });
        };
        let site = &self.site;
        let (caller, kill) = (&site.caller, &site.kill);
        let halt = if leave == Leave::Forward { &site.halt } else { kill };
        let rolling_back = leave == Leave::Back || site.back;
        let call = Call { caller, stage, within, rolling_back, kill, halt, repeat, told: &told };
        attempt(call, act).await
    }

    /// Asks a question that must be asked even when the run was told to give up: once, and for no
    /// longer than a connect may take.
    async fn ask<T, F>(&self, stage: Stage, act: impl FnMut(Scope) -> F) -> Result<T, BackendError>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        let never = Cancel::new();
        let within = self.site.timeouts.connect;
        let caller = &self.site.caller;
        let told = |_: u32, _: &BackendError| {};
        let call = Call {
            caller,
            stage,
            within,
            rolling_back: self.site.back,
            kill: &never,
            halt: &never,
            repeat: true,
            told: &told,
        };
        attempt(call, act).await
    }

    /// Asks what the target serves now, and notes it.
    async fn probe(&self, stage: Stage) -> Result<Option<Release>, BackendError> {
        let (transport, target) = (&self.backend.transport, &self.change.target);
        let live =
            self.ask(stage, |scope| async move { transport.live(target, &scope).await }).await;
        self.memory().torn = live.as_ref().is_ok_and(|live| live.torn);
        let serves = live.map(|live| live.release().cloned());
        match &serves {
            Ok(serves) => self.memory().saw(serves.clone(), &self.change),
            Err(_) => self.memory().serves = None,
        }
        serves
    }

    fn failure(&self, stage: Stage, error: &BackendError) -> Failure {
        Failure::from_error(stage, &self.change.target, error)
    }

    fn failed(&self, stage: Stage, error: &BackendError) -> Trouble {
        Trouble::Failed(self.failure(stage, error))
    }

    fn report(&self, report: Report) {
        // The owner outlives its workers, unless the run itself was dropped.
        let _ = self.site.reports.send(report);
    }

    /// What `trouble` comes to on a target that was not changed.
    fn untouched(&self, trouble: Trouble) -> Mishap {
        let served = self.change.from.clone().into();
        match trouble {
            Trouble::Halted(_) => {
                Mishap { end: End::NotAttempted, touched: false, halted: true, once: false }
            }
            Trouble::Failed(failure) => mishap(failure, served, false),
        }
    }

    /// What `trouble` comes to on a target that serves `served` by now.
    /// In a run that goes back, that is a failed rollback.
    fn touched(&self, trouble: Trouble, served: Served) -> Mishap {
        match trouble {
            Trouble::Failed(_) if self.site.back => self.not_back(trouble, served),
            Trouble::Halted(stage) => {
                Mishap { halted: true, ..mishap(interrupted(stage), served, true) }
            }
            Trouble::Failed(failure) => mishap(failure, served, true),
        }
    }
}

/// How a target ends that failed so, and that is known, or was last known, to serve `served`.
fn mishap(failure: Failure, served: Served, touched: bool) -> Mishap {
    let halted = failure.kind == ErrorKind::Cancelled;
    let end = match failure.kind {
        ErrorKind::Unreachable | ErrorKind::Lost => End::Unreachable { failure, served },
        _ => End::Failed { failure, served },
    };
    Mishap { end, touched, halted, once: false }
}

fn interrupted(stage: Stage) -> Failure {
    Failure {
        stage,
        kind: ErrorKind::Cancelled,
        attempted: stage.to_string(),
        cause: "the run was stopped before this was done".to_owned(),
        hint: None,
        evidence: None,
    }
}
