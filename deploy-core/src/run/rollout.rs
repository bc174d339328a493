//! The rules of a rollout, pure: outcomes in, decisions out. Knows no clock, no host, no network.
//!
//! Targets are numbers here: their position in the plan, groups in order, batches in order, the
//! lost ones of a group after its batches.

mod begin;
mod exit;
mod forward;
mod slot;
mod way_back;

use std::collections::{BTreeSet, VecDeque};

use self::slot::{GroupState, Slot};
use crate::{
    backend::{Answer, Question},
    model::GroupName,
    plan::{Direction, Plan, Purpose, Strategy},
    record::{End, Exit, StopCause},
};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The run begins. First, and once.
    Begin,
    /// The target is about to be changed: from now on it is touched (rule 14).
    Touching {
        /// The target.
        at: usize,
    },
    /// A job on a target ended.
    Done {
        /// The target.
        at: usize,
        /// The job.
        job: Job,
        /// How it ended.
        result: Result<(), Box<Mishap>>,
    },
    /// The question was answered.
    Answered(Answer),
    /// Somebody asks the run to stop.
    Stop(StopCause),
}

/// How a job on a target went wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Mishap {
    /// How the target ends if it is left like this.
    pub end: End,
    /// Whether it may have been changed.
    pub touched: bool,
    /// Whether it is only that the run was told to stop.
    pub halted: bool,
    /// Whether a step failed that runs once for all.
    pub once: bool,
}

/// What is done on one target without a further decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job {
    /// Hold the target, and bring the release beside the live one where another is to be served.
    Fetch,
    /// Run the steps that run once for all, before anything is promoted.
    Lead,
    /// Promote, restart, check; for an unchanged target, only check. Or operate services and check,
    /// or run a command.
    Handle,
    /// Repeat the checks until the soak is over.
    Soak,
    /// Bring it back.
    Revert,
    /// Mark good what is good, and give up the claim.
    Close,
}

/// What is to be done next, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Begin a job on a target; its end comes back as [`Input::Done`].
    Do {
        /// The target.
        at: usize,
        /// The job.
        job: Job,
    },
    /// Mark the target's release good while closing it.
    DoGood {
        /// The target.
        at: usize,
    },
    /// A group begins.
    BeginGroup(usize),
    /// A group is over.
    EndGroup(usize),
    /// A batch of a group begins.
    BeginBatch(usize, usize),
    /// A batch of a group is over.
    EndBatch(usize, usize),
    /// A soak begins after a group.
    BeginSoak(usize),
    /// A soak begun has no purpose any more: its jobs are to end soon.
    CutSoak,
    /// The soak after a group is over; these turned out ill.
    EndSoak(usize, Vec<usize>),
    /// Ask the deployer.
    Ask(Question),
    /// Withdraw the question.
    Withdraw,
    /// A budget is exceeded, or what is as bad: tell it.
    Breached {
        /// The group whose budget it is; `None` for the run's own.
        group: Option<usize>,
        /// Why.
        reason: String,
    },
    /// The deployer's answer stops the run: tell it.
    Stopped(StopCause),
    /// Let no new step begin.
    Halt,
    /// These go back together, in this order: tell it.
    BeginRollback(Vec<usize>),
    /// The rollback is over: tell it.
    EndRollback {
        /// Those that are back.
        reverted: Vec<usize>,
        /// Those that are not.
        failed: Vec<usize>,
    },
    /// It is known for good how a target ended: tell it.
    Ended(usize, End),
    /// The run is over.
    Finish {
        /// How.
        exit: Exit,
        /// Why nothing was touched, where nothing was.
        reason: Option<String>,
    },
}

/// On whose leave a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It brings a target forward.
    Forward,
    /// It brings a target back.
    Back,
    /// It ends the run on a target.
    Close,
}

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    Idle,
    Fetching,
    Leading {
        group: usize,
        batch: usize,
    },
    Batch {
        group: usize,
        batch: usize,
    },
    /// All groups at once: a plan that goes back.
    AllBack,
    Soaking {
        group: usize,
        ill: Vec<usize>,
    },
    AskingToGoOn {
        group: usize,
    },
    AskingToGoBack,
    GoingBack {
        all: Vec<usize>,
    },
    Closing,
    Over,
}

/// The state of one run of one plan.
#[derive(Debug)]
pub struct Rollout {
    purpose: Purpose,
    forward: bool,
    strategy: Strategy,
    run_allowance: Option<crate::plan::Allowance>,
    groups: Vec<GroupState>,
    slots: Vec<Slot>,
    /// The steps that run once for all and are still to run, per group.
    once: Vec<Vec<String>>,
    once_done: BTreeSet<String>,
    phase: Phase,
    begun_groups: Vec<usize>,
    in_flight: usize,
    queue: VecDeque<usize>,
    failures: usize,
    breach: Option<String>,
    stop: Option<StopCause>,
    /// The targets in the order in which they were touched.
    touched: Vec<usize>,
    finalize_failed: bool,
}

impl Rollout {
    /// The rollout of `plan`. `once` names, per group, the steps that run once for all before
    /// anything is promoted.
    pub fn new(plan: &Plan, once: Vec<Vec<String>>) -> Self {
        let mut slots = Vec::new();
        let groups = plan.groups.iter().enumerate();
        let mut groups: Vec<GroupState> =
            groups.map(|(at, group)| GroupState::new(at, group, &mut slots)).collect();
        for (at, group) in groups.iter_mut().enumerate() {
            group.gate.ask = plan.asks_after(at);
        }
        Self {
            purpose: plan.purpose,
            forward: plan.direction == Direction::Forward,
            strategy: plan.strategy.clone(),
            run_allowance: plan.allowance,
            groups,
            slots,
            once,
            once_done: BTreeSet::new(),
            phase: Phase::Idle,
            begun_groups: Vec::new(),
            in_flight: 0,
            queue: VecDeque::new(),
            failures: 0,
            breach: None,
            stop: None,
            touched: Vec::new(),
            finalize_failed: false,
        }
    }

    /// Takes what happened, and says what is to be done.
    pub fn take(&mut self, input: Input) -> Vec<Decision> {
        let mut out = Vec::new();
        match input {
            Input::Begin => self.begin(&mut out),
            Input::Touching { at } => self.touch(at),
            Input::Done { at, job, result } => self.done(at, job, result, &mut out),
            Input::Answered(answer) => self.answered(answer, &mut out),
            Input::Stop(cause) => self.stop(cause, &mut out),
        }
        out
    }

    /// Whether a step may begin now (rule 20).
    pub fn permits(&self, leave: Leave) -> bool {
        match leave {
            Leave::Forward => self.stop.is_none(),
            Leave::Back => self.stop.is_none_or(|cause| cause < StopCause::Kill),
            Leave::Close => true,
        }
    }

    /// The names of the steps that the leader of `group` runs.
    pub fn once_steps(&self, group: usize) -> Vec<String> {
        let names = self.once.get(group).into_iter().flatten();
        names.filter(|name| !self.once_done.contains(*name)).cloned().collect()
    }

    /// The name of `group`.
    pub fn group_name(&self, group: usize) -> &GroupName {
        &self.groups[group].name
    }

    fn touch(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        if !slot.touched {
            slot.touched = true;
            slot.ever_touched = true;
            self.touched.push(at);
        }
    }

    fn done(
        &mut self,
        at: usize,
        job: Job,
        result: Result<(), Box<Mishap>>,
        out: &mut Vec<Decision>,
    ) {
        self.in_flight -= 1;
        match job {
            Job::Fetch => self.fetched(at, result, out),
            Job::Lead => self.led(at, result, out),
            Job::Handle => self.handled(at, result, out),
            Job::Soak => self.soaked(at, result, out),
            Job::Revert => self.went_back(at, result, out),
            Job::Close => self.closed(at, &result, out),
        }
        self.start_queued(out);
        if self.in_flight == 0 && self.queue.is_empty() {
            self.advance(out);
        }
    }

    /// Starts what waits in the queue, up to `rollback_batch` at once.
    fn start_queued(&mut self, out: &mut Vec<Decision>) {
        let (job, of) = match &self.phase {
            Phase::AllBack => (Job::Handle, self.slots.len()),
            Phase::GoingBack { all } => (Job::Revert, all.len()),
            _ => return,
        };
        let at_once = self.strategy.rollback_batch.resolve(of);
        while self.in_flight < at_once
            && let Some(at) = self.queue.pop_front()
        {
            self.start(at, job, out);
        }
    }

    fn start(&mut self, at: usize, job: Job, out: &mut Vec<Decision>) {
        self.in_flight += 1;
        out.push(Decision::Do { at, job });
    }

    /// Nothing is in flight: what comes next?
    fn advance(&mut self, out: &mut Vec<Decision>) {
        match self.phase.clone() {
            Phase::Fetching => self.barrier(out),
            Phase::Leading { .. } => self.wind_up(out),
            Phase::Batch { group, batch } => self.end_batch(group, batch, out),
            Phase::AllBack => {
                self.end_groups(out);
                self.close(out);
            }
            Phase::Soaking { group, ill } => self.end_soak(group, ill, out),
            Phase::GoingBack { all } => self.end_rollback(&all, out),
            Phase::Closing => self.finish(out),
            Phase::Idle | Phase::AskingToGoOn { .. } | Phase::AskingToGoBack | Phase::Over => {}
        }
    }

    fn answered(&mut self, answer: Answer, out: &mut Vec<Decision>) {
        match (&self.phase, answer) {
            (Phase::AskingToGoOn { group }, Answer::Yes) => {
                let group = *group;
                self.leave_group(group, out);
                self.next_group(group + 1, out);
            }
            (Phase::AskingToGoOn { .. }, Answer::No) => {
                self.stop = Some(StopCause::GateRefused);
                out.push(Decision::Stopped(StopCause::GateRefused));
                out.push(Decision::Halt);
                self.wind_up(out);
            }
            (Phase::AskingToGoBack, Answer::Yes) => self.go_back(out),
            (Phase::AskingToGoBack, Answer::No) => self.close(out),
            _ => {}
        }
    }

    fn stop(&mut self, cause: StopCause, out: &mut Vec<Decision>) {
        let going_back = matches!(self.phase, Phase::GoingBack { .. } | Phase::AllBack);
        let closing = matches!(self.phase, Phase::Closing | Phase::Over);
        let weak = cause < StopCause::Kill;
        if closing || (going_back && weak) || self.stop.is_some_and(|stop| stop >= cause) {
            return;
        }
        self.stop = Some(cause);
        out.push(Decision::Halt);
        for at in std::mem::take(&mut self.queue) {
            self.left_in_queue(at, out);
        }
        match self.phase {
            Phase::AskingToGoOn { .. } | Phase::AskingToGoBack => {
                out.push(Decision::Withdraw);
                self.wind_up(out);
            }
            _ if self.in_flight == 0 => self.advance(out),
            _ => {}
        }
    }
}
