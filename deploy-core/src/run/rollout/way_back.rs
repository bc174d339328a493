//! From the decision to stop to the end: rules 15 to 18 and 20.

use super::{Decision, Job, Mishap, Phase, Rollout};
use crate::{
    backend::{ErrorKind, Question},
    plan::{OnAbort, OnBreach, Stage},
    record::{End, Exit, Failure, StopCause},
};

impl Rollout {
    /// The run goes no further forward, and nothing is in flight: what becomes of the touched?
    pub(super) fn wind_up(&mut self, out: &mut Vec<Decision>) {
        self.end_what_began(out);
        let touched = self.to_bring_back().len();
        self.phase = Phase::AskingToGoBack;
        let cause = self.stop.or(self.breach.as_ref().map(|_| StopCause::Breach));
        match cause {
            _ if touched == 0 => self.close(out),
            None | Some(StopCause::Kill | StopCause::JournalLost) => self.close(out),
            Some(StopCause::GateRefused | StopCause::Interrupt) => {
                out.push(Decision::Ask(Question::RollBackAfterStop { touched }));
            }
            Some(StopCause::Terminate) => match self.strategy.on_abort {
                OnAbort::RollBack => self.go_back(out),
                OnAbort::Leave => self.close(out),
            },
            Some(StopCause::Breach) => match self.strategy.on_breach {
                OnBreach::RollBack => self.go_back(out),
                OnBreach::Leave => self.close(out),
                OnBreach::Ask => {
                    let reason = self.breach.clone().unwrap_or_default();
                    out.push(Decision::Ask(Question::RollBackAfterBreach { reason, touched }));
                }
            },
        }
    }

    fn end_what_began(&mut self, out: &mut Vec<Decision>) {
        if let Phase::Leading { group, batch } | Phase::Batch { group, batch } = self.phase {
            out.push(Decision::EndBatch(group, batch));
        }
        if matches!(self.phase, Phase::AllBack) {
            return self.end_groups(out);
        }
        for group in std::mem::take(&mut self.begun_groups) {
            out.push(Decision::EndGroup(group));
        }
    }

    /// The touched targets that are not back and can be, last touched first.
    fn to_bring_back(&self) -> Vec<usize> {
        let to_do = |at: &usize| self.slots[*at].touched && self.slots[*at].work.can_be_undone();
        self.touched.iter().rev().copied().filter(to_do).collect()
    }

    pub(super) fn go_back(&mut self, out: &mut Vec<Decision>) {
        let all = self.to_bring_back();
        out.push(Decision::BeginRollback(all.clone()));
        self.queue = all.iter().copied().collect();
        self.phase = Phase::GoingBack { all };
        self.start_queued(out);
    }

    pub(super) fn went_back(
        &mut self,
        at: usize,
        result: Result<(), Box<Mishap>>,
        out: &mut Vec<Decision>,
    ) {
        let slot = &mut self.slots[at];
        match result {
            Ok(()) => {
                slot.end = Some(End::Reverted { failure: slot.failure.clone() });
                slot.touched = false;
                slot.back_failed = false;
                self.tell(at, out);
            }
            Err(mishap) => {
                slot.end = Some(mishap.end);
                slot.back_failed = true;
            }
        }
    }

    /// A target whose way back was cut off before it began.
    pub(super) fn left_behind(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        let failure = Failure {
            stage: Stage::Rollback,
            kind: ErrorKind::Cancelled,
            attempted: "bring it back".to_owned(),
            cause: "the rollback was stopped before its turn came".to_owned(),
            hint: None,
            evidence: None,
        };
        slot.back_failed = true;
        slot.end = Some(match slot.end.take() {
            Some(end @ End::Unknown { .. }) => end,
            _ => End::Failed { failure, served: slot.to.clone().into() },
        });
    }

    pub(super) fn end_rollback(&mut self, all: &[usize], out: &mut Vec<Decision>) {
        let back = |at: &usize| matches!(self.slots[*at].end, Some(End::Reverted { .. }));
        let (reverted, failed) = all.iter().copied().partition(|at| back(at));
        out.push(Decision::EndRollback { reverted, failed });
        self.close(out);
    }

    /// All is done that will be: marks what is good, and gives up the claims.
    pub(super) fn close(&mut self, out: &mut Vec<Decision>) {
        self.phase = Phase::Closing;
        for slot in &mut self.slots {
            slot.end.get_or_insert(End::NotAttempted);
        }
        let good = matches!(self.exit(), Exit::Complete | Exit::Incomplete);
        for at in 0..self.slots.len() {
            let slot = &self.slots[at];
            if good && matches!(slot.end, Some(End::Deployed)) {
                self.in_flight += 1;
                out.push(Decision::DoGood { at });
            } else if slot.claimed && slot.can_be_closed() {
                self.start(at, Job::Close, out);
            }
        }
        if self.in_flight == 0 {
            self.finish(out);
        }
    }

    pub(super) fn closed(
        &mut self,
        at: usize,
        result: &Result<(), Box<Mishap>>,
        _out: &mut Vec<Decision>,
    ) {
        let deployed = matches!(self.slots[at].end, Some(End::Deployed));
        self.finalize_failed |= deployed && result.is_err();
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Decision>) {
        self.phase = Phase::Over;
        for at in 0..self.slots.len() {
            self.tell(at, out);
        }
        let exit = self.exit();
        let reason = self.breach.clone().filter(|_| exit == Exit::Refused);
        out.push(Decision::Finish { exit, reason });
    }
}

impl super::Slot {
    /// Whether it can be reached, and is not another run's.
    fn can_be_closed(&self) -> bool {
        match &self.end {
            Some(End::Unreachable { .. } | End::Unknown { .. }) => false,
            Some(end) => end.failure().is_none_or(|failure| failure.kind != ErrorKind::Claimed),
            None => true,
        }
    }
}
