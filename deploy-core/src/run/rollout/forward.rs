//! Group by group and batch by batch: rules 5, 6, 11, 13 and 15.

use super::{Decision, Job, Mishap, Phase, Rollout};
use crate::{
    backend::Question,
    plan::{OnFailure, Purpose, Work},
    record::End,
};

impl Rollout {
    /// Begins `group`, or ends the run when there is none left.
    pub(super) fn next_group(&mut self, group: usize, out: &mut Vec<Decision>) {
        if group == self.groups.len() {
            return self.close(out);
        }
        out.push(Decision::BeginGroup(group));
        self.begun_groups.push(group);
        self.next_batch(group, 0, out);
    }

    /// Begins the first batch from `batch` on in which a target is left, or ends the group.
    fn next_batch(&mut self, group: usize, mut batch: usize, out: &mut Vec<Decision>) {
        let ready = loop {
            let Some(targets) = self.groups[group].batches.get(batch) else {
                return self.end_group(group, out);
            };
            let ready: Vec<usize> =
                targets.iter().copied().filter(|at| self.slots[*at].end.is_none()).collect();
            if !ready.is_empty() {
                break ready;
            }
            batch += 1;
        };
        out.push(Decision::BeginBatch(group, batch));
        let leader = ready.iter().copied().find(|at| self.slots[*at].work == Work::Move);
        if let Some(leader) = leader.filter(|_| !self.once_steps(group).is_empty()) {
            self.phase = Phase::Leading { group, batch };
            return self.start(leader, Job::Lead, out);
        }
        self.phase = Phase::Batch { group, batch };
        for at in ready {
            self.start(at, Job::Handle, out);
        }
    }

    /// The leader ran what runs once for all; without that, nobody may go on.
    pub(super) fn led(
        &mut self,
        at: usize,
        result: Result<(), Box<Mishap>>,
        out: &mut Vec<Decision>,
    ) {
        let Phase::Leading { group, batch } = self.phase else { return };
        if let Err(mishap) = result {
            return self.once_failed(at, *mishap, out);
        }
        for name in self.once_steps(group) {
            self.once_done.insert(name);
        }
        if self.stop.is_some() {
            return;
        }
        self.phase = Phase::Batch { group, batch };
        for at in self.groups[group].batches[batch].clone() {
            if self.slots[at].end.is_none() {
                self.start(at, Job::Handle, out);
            }
        }
    }

    fn once_failed(&mut self, at: usize, mishap: Mishap, out: &mut Vec<Decision>) {
        let cause = mishap.end.failure().map(|f| format!("{}: {}", f.attempted, f.cause));
        let halted = mishap.halted;
        let group = self.slots[at].group;
        let once = mishap.once;
        // The step is the cause, whatever the budget says of one failure more.
        if once && !halted {
            let reason = cause.unwrap_or_default();
            self.breach(Some(group), format!("a step that runs once failed: {reason}"), out);
        }
        self.fail(at, mishap, out);
        if !self.slots[at].touched {
            self.tell(at, out);
        }
    }

    pub(super) fn handled(
        &mut self,
        at: usize,
        result: Result<(), Box<Mishap>>,
        out: &mut Vec<Decision>,
    ) {
        let Err(mishap) = result else {
            let end = match self.slots[at].work {
                Work::Nothing => End::Unchanged,
                Work::Confirm | Work::Move => End::Deployed,
                Work::Operate(_) | Work::Run => End::Done,
            };
            let is_watched = self.groups.iter().any(|group| group.gate.soak.is_some());
            let is_final = match end {
                End::Done => !is_watched,
                _ => end == End::Unchanged,
            };
            self.slots[at].end = Some(end);
            self.groups[self.slots[at].group].well += 1;
            if is_final {
                self.tell(at, out);
            }
            return;
        };
        if self.forward {
            self.ill(at, *mishap, out);
        } else {
            self.slots[at].back_failed = mishap.touched || !mishap.halted;
            self.fail(at, *mishap, out);
        }
    }

    /// A target failed: within the budget it goes back on its own (rule 15).
    fn ill(&mut self, at: usize, mishap: Mishap, out: &mut Vec<Decision>) {
        let halted = mishap.halted;
        if mishap.once {
            self.once_failed(at, mishap, out);
        } else {
            self.fail(at, mishap, out);
        }
        let slot = &self.slots[at];
        if !slot.touched {
            return self.tell(at, out);
        }
        let revert = self.strategy.on_failure == OnFailure::Revert && slot.work.can_be_undone();
        if revert && !halted && self.breach.is_none() && self.stop.is_none() {
            self.start(at, Job::Revert, out);
        }
    }

    pub(super) fn end_batch(&mut self, group: usize, batch: usize, out: &mut Vec<Decision>) {
        if self.breach.is_some() || self.stop.is_some() {
            return self.wind_up(out);
        }
        out.push(Decision::EndBatch(group, batch));
        self.next_batch(group, batch + 1, out);
    }

    fn end_group(&mut self, group: usize, out: &mut Vec<Decision>) {
        self.phase = Phase::Soaking { group, ill: Vec::new() };
        if self.has_failed(group, out) {
            return self.wind_up(out);
        }
        let watched = match self.groups[group].gate.soak {
            Some(_) => self.deployed(),
            None => Vec::new(),
        };
        if watched.is_empty() {
            return self.ask_to_go_on(group, out);
        }
        out.push(Decision::BeginSoak(group));
        for at in watched {
            self.start(at, Job::Soak, out);
        }
    }

    fn deployed(&self) -> Vec<usize> {
        let deployed = |at: &usize| matches!(self.slots[*at].end, Some(End::Deployed | End::Done));
        (0..self.slots.len()).filter(deployed).collect()
    }

    /// A group in which nobody ended well has failed, whatever its budget (rule 6).
    fn has_failed(&mut self, group: usize, out: &mut Vec<Decision>) -> bool {
        if self.groups[group].well == 0 && !self.purpose.is_steps() {
            let name = &self.groups[group].name;
            let what = match self.purpose {
                Purpose::Operate(action) => format!("did the {action}"),
                Purpose::Version | Purpose::Run | Purpose::Adopt => {
                    "is healthy on the version".to_owned()
                }
            };
            let reason = format!("group {name}: none of its targets {what}");
            self.breach(Some(group), reason, out);
        }
        self.breach.is_some() || self.stop.is_some()
    }

    pub(super) fn soaked(
        &mut self,
        at: usize,
        result: Result<(), Box<Mishap>>,
        out: &mut Vec<Decision>,
    ) {
        let Err(mishap) = result else { return };
        if mishap.halted {
            return;
        }
        if let Phase::Soaking { ill, .. } = &mut self.phase {
            ill.push(at);
        }
        self.groups[self.slots[at].group].well -= 1;
        self.ill(at, *mishap, out);
    }

    pub(super) fn end_soak(&mut self, group: usize, ill: Vec<usize>, out: &mut Vec<Decision>) {
        out.push(Decision::EndSoak(group, ill));
        let failed = (0..=group).any(|group| self.has_failed(group, out));
        self.phase = Phase::AskingToGoOn { group };
        if failed {
            return self.wind_up(out);
        }
        self.ask_to_go_on(group, out);
    }

    fn ask_to_go_on(&mut self, group: usize, out: &mut Vec<Decision>) {
        self.phase = Phase::AskingToGoOn { group };
        let next = self.groups.get(group + 1).map(|next| next.name.clone());
        if let Some(next) = next.filter(|_| self.groups[group].gate.ask) {
            let after = self.groups[group].name.clone();
            out.push(Decision::Ask(Question::Continue { after, next }));
        } else {
            self.leave_group(group, out);
            self.next_group(group + 1, out);
        }
    }

    pub(super) fn leave_group(&mut self, group: usize, out: &mut Vec<Decision>) {
        self.begun_groups.retain(|begun| *begun != group);
        out.push(Decision::EndGroup(group));
    }
}
