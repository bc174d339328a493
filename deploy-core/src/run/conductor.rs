//! The owner of a run's state: feeds the rollout, sends workers, asks the deployer, and alone
//! emits events.

mod crew;
mod report;

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc};

use tokio::sync::oneshot;

use self::crew::Crew;
use super::{
    Decision, Input, Job, Pipeline, Rollout, Stop,
    ledger::Ledger,
    stop::Watch,
    worker::{Part, Report},
};
use crate::{
    backend::{Answer, Ask, Question},
    model::{GroupName, Target},
    plan::Plan,
    record::{EventKind, Exit, RunInfo, StopCause},
};

/// How many reports are taken before the events they make are synced together.
const AT_ONCE: usize = 4096;

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

pub(super) struct Conductor<'a> {
    plan: &'a Plan,
    ledger: &'a mut Ledger,
    ask: Arc<dyn Ask>,
    stop: Stop,
    signals: Watch,
    crew: Crew,
    rollout: Rollout,
    /// The stage that is at work on each target.
    open: Vec<Option<Part>>,
    /// Leaves that are given once their intents are synced.
    granted: Vec<(usize, oneshot::Sender<bool>)>,
    asking: Option<(Question, Answering)>,
    journal_lost: bool,
    finish: Option<(Exit, Option<String>)>,
}

impl<'a> Conductor<'a> {
    pub(super) fn new(
        pipeline: &Pipeline,
        info: &RunInfo,
        plan: &'a Plan,
        ledger: &'a mut Ledger,
        ask: Arc<dyn Ask>,
        stop: Stop,
    ) -> Self {
        let crew = Crew::new(pipeline, info, plan);
        Self {
            plan,
            ledger,
            ask,
            signals: stop.watch(),
            stop,
            rollout: Rollout::new(plan, crew.once_steps(plan)),
            open: vec![None; crew.len()],
            crew,
            granted: Vec::new(),
            asking: None,
            journal_lost: false,
            finish: None,
        }
    }

    /// Runs the plan to its end.
    pub(super) async fn conduct(mut self) -> (Exit, Option<String>) {
        if let Some(cause) = self.stop.cause() {
            self.stopped(cause);
        }
        self.feed(Input::Begin);
        let mut reports = Vec::new();
        loop {
            self.settle();
            if let Some(finish) = self.finish.take() {
                return finish;
            }
            tokio::select! {
                biased;
                cause = self.signals.next() => self.stopped(cause),
                answer = answered(&mut self.asking) => self.answered(answer),
                _ = self.crew.reports.recv_many(&mut reports, AT_ONCE) => {
                    for report in reports.drain(..) {
                        self.report(report);
                    }
                    self.crew.reap();
                }
            }
        }
    }

    /// Syncs the intents, and then lets their steps begin. What no step waits for is written alone.
    fn settle(&mut self) {
        if self.granted.is_empty() && self.finish.is_none() {
            self.ledger.flush();
        } else {
            self.ledger.sync();
        }
        if self.ledger.is_lost() && !self.journal_lost {
            self.journal_lost = true;
            self.stopped(StopCause::JournalLost);
        }
        for (at, reply) in std::mem::take(&mut self.granted) {
            let go = !self.journal_lost;
            if !go {
                self.close_stage(at, "the journal was lost before it began");
            }
            // A worker that is gone needs no leave.
            let _ = reply.send(go);
        }
    }

    fn stopped(&mut self, cause: StopCause) {
        self.ledger.emit(EventKind::StopRequested { cause });
        if cause == StopCause::Kill {
            self.crew.kill();
        }
        self.feed(Input::Stop(cause));
    }

    fn answered(&mut self, answer: Answer) {
        if let Some((question, _)) = self.asking.take() {
            self.ledger.emit(EventKind::QuestionFinished { question, answer: Some(answer) });
            self.feed(Input::Answered(answer));
        }
    }

    fn feed(&mut self, input: Input) {
        let mut decisions = VecDeque::from(self.rollout.take(input));
        while let Some(decision) = decisions.pop_front() {
            self.act(decision);
        }
    }

    fn act(&mut self, decision: Decision) {
        match decision {
            Decision::Do { at, job } => self.send(at, job, false),
            Decision::DoGood { at } => self.send(at, Job::Close, true),
            Decision::Ask(question) => {
                let kind = EventKind::QuestionStarted { question: question.clone() };
                self.ledger.emit(kind);
                let (ask, asked) = (Arc::clone(&self.ask), question.clone());
                let answering = Box::pin(async move { ask.ask(&asked).await });
                self.asking = Some((question, answering));
            }
            Decision::Withdraw => {
                if let Some((question, _)) = self.asking.take() {
                    self.ledger.emit(EventKind::QuestionFinished { question, answer: None });
                }
            }
            Decision::CutSoak => self.crew.cut_soak(),
            Decision::Halt => self.crew.halt(),
            Decision::Finish { exit, reason } => self.finish = Some((exit, reason)),
            told => {
                if let Decision::BeginRollback(_) = &told {
                    self.stop.rearm();
                }
                if let Decision::BeginSoak(group) = &told {
                    self.crew.begin_soak(*group);
                }
                let event = self.event(told);
                if let Some(event) = event {
                    self.ledger.emit(event);
                }
            }
        }
    }

    /// The event that tells a decision.
    fn event(&self, decision: Decision) -> Option<EventKind> {
        Some(match decision {
            Decision::BeginGroup(group) => EventKind::GroupStarted { group: self.group(group) },
            Decision::EndGroup(group) => EventKind::GroupFinished { group: self.group(group) },
            Decision::BeginBatch(group, batch) => {
                EventKind::BatchStarted { group: self.group(group), batch }
            }
            Decision::EndBatch(group, batch) => {
                EventKind::BatchFinished { group: self.group(group), batch }
            }
            Decision::BeginSoak(group) => {
                let duration = self.plan.groups[group].gate.soak.unwrap_or_default();
                EventKind::SoakStarted { group: self.group(group), duration }
            }
            Decision::EndSoak(group, unhealthy) => {
                let unhealthy = self.targets(&unhealthy);
                EventKind::SoakFinished { group: self.group(group), unhealthy }
            }
            Decision::Breached { group, reason } => {
                EventKind::Breached { group: group.map(|group| self.group(group)), reason }
            }
            Decision::Stopped(cause) => EventKind::StopRequested { cause },
            Decision::BeginRollback(targets) => {
                EventKind::RollbackStarted { targets: self.targets(&targets) }
            }
            Decision::EndRollback { reverted, failed } => EventKind::RollbackFinished {
                reverted: self.targets(&reverted),
                failed: self.targets(&failed),
            },
            Decision::Ended(at, end) => {
                EventKind::TargetFinished { target: self.crew.target(at).clone(), end }
            }
            _ => return None,
        })
    }

    fn send(&mut self, at: usize, job: Job, good: bool) {
        let once = match job {
            Job::Lead => self.rollout.once_steps(self.crew.group_of(at)),
            _ => Vec::new(),
        };
        self.crew.send(at, job, good, once);
    }

    fn group(&self, group: usize) -> GroupName {
        self.rollout.group_name(group).clone()
    }

    fn targets(&self, all: &[usize]) -> Vec<Target> {
        all.iter().map(|at| self.crew.target(*at).clone()).collect()
    }
}

/// The answer to what is asked; never, when nothing is.
async fn answered(asking: &mut Option<(Question, Answering)>) -> Answer {
    match asking {
        Some((_, answering)) => answering.await,
        None => std::future::pending().await,
    }
}

impl Conductor<'_> {
    fn report(&mut self, report: Report) {
        match report {
            Report::Begin { at, part, leave, touches, reply } => {
                if !self.rollout.permits(leave) {
                    // A worker that is gone needs no leave.
                    let _ = reply.send(false);
                    return;
                }
                if touches {
                    self.feed(Input::Touching { at });
                }
                self.begin_stage(at, part);
                self.granted.push((at, reply));
            }
            Report::Finished { at, part, outcome } => self.finish_stage(at, part, outcome),
            Report::Retried { at, stage, attempt, failure } => {
                let target = self.crew.target(at).clone();
                self.ledger.emit(EventKind::Retried { target, stage, attempt, failure });
            }
            Report::Warning { at, message } => {
                let target = Some(self.crew.target(at).clone());
                self.ledger.emit(EventKind::Warning { target, message });
            }
            Report::Done { at, job, result } => {
                self.close_stage(at, "its worker ended without a word");
                self.feed(Input::Done { at, job, result });
            }
        }
    }
}
