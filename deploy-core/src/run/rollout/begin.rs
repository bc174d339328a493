//! From the beginning to the first promote: rules 4, 6, 9 and 10.

use super::{Decision, Job, Mishap, Phase, Rollout};
use crate::{plan::Purpose, record::End};

impl Rollout {
    pub(super) fn begin(&mut self, out: &mut Vec<Decision>) {
        self.phase = Phase::Fetching;
        for group in 0..self.groups.len() {
            for at in self.groups[group].lost.clone() {
                self.count(at, out);
                self.tell(at, out);
            }
        }
        if self.breach.is_none() && self.stop.is_none() {
            for at in 0..self.slots.len() {
                if self.slots[at].end.is_none() && self.slots[at].work.claims() {
                    self.slots[at].claimed = true;
                    self.start(at, Job::Fetch, out);
                }
            }
        }
        if self.in_flight == 0 {
            self.barrier(out);
        }
    }

    pub(super) fn fetched(
        &mut self,
        at: usize,
        result: Result<(), Box<Mishap>>,
        out: &mut Vec<Decision>,
    ) {
        let Err(mishap) = result else { return };
        self.fail(at, *mishap, out);
        self.tell(at, out);
    }

    /// All fetches ended: nothing was touched yet, and nothing will be unless every group can
    /// still succeed (rule 10).
    pub(super) fn barrier(&mut self, out: &mut Vec<Decision>) {
        if self.forward && self.breach.is_none() && self.stop.is_none() {
            let hopeless = |group: &super::GroupState| {
                group.batches.iter().flatten().all(|at| self.slots[*at].end.is_some())
            };
            if let Some(group) = self.groups.iter().position(hopeless) {
                let name = &self.groups[group].name;
                let what = match self.purpose {
                    Purpose::Version => "can be deployed to",
                    Purpose::Operate(_) | Purpose::Run | Purpose::Adopt => {
                        "can be reached and held"
                    }
                };
                let reason = format!("group {name}: none of its targets {what}");
                self.breach(Some(group), reason, out);
            }
        }
        if self.breach.is_some() || self.stop.is_some() {
            self.wind_up(out);
        } else if self.forward {
            self.next_group(0, out);
        } else {
            self.all_back(out);
        }
    }

    /// A plan that goes back: all groups at once.
    fn all_back(&mut self, out: &mut Vec<Decision>) {
        self.phase = Phase::AllBack;
        for group in 0..self.groups.len() {
            let ready: Vec<usize> = self.groups[group].batches.iter().flatten().copied().collect();
            let ready: Vec<usize> =
                ready.into_iter().filter(|at| self.slots[*at].end.is_none()).collect();
            if ready.is_empty() {
                continue;
            }
            out.push(Decision::BeginGroup(group));
            out.push(Decision::BeginBatch(group, 0));
            self.begun_groups.push(group);
            self.queue.extend(ready);
        }
        self.start_queued(out);
        if self.in_flight == 0 {
            self.close(out);
        }
    }

    pub(super) fn end_groups(&mut self, out: &mut Vec<Decision>) {
        for group in std::mem::take(&mut self.begun_groups) {
            out.push(Decision::EndBatch(group, 0));
            out.push(Decision::EndGroup(group));
        }
    }

    /// Notes how a job went wrong, and counts it in the budgets.
    pub(super) fn fail(&mut self, at: usize, mishap: Mishap, out: &mut Vec<Decision>) {
        let slot = &mut self.slots[at];
        slot.failure = mishap.end.failure().cloned();
        slot.end = Some(mishap.end);
        if slot.touched && !mishap.touched {
            slot.touched = false;
            slot.ever_touched = false;
        } else if mishap.touched {
            self.touch(at);
        }
        if !mishap.halted {
            self.count(at, out);
        }
    }

    /// Counts a failure, in its group's budget and in the run's.
    fn count(&mut self, at: usize, out: &mut Vec<Decision>) {
        let number = self.slots[at].group;
        self.failures += 1;
        let group = &mut self.groups[number];
        group.failures += 1;
        if !self.forward || self.breach.is_some() {
            return;
        }
        let (failed, allowance) = (group.failures, group.allowance);
        if allowance.exceeded_by(failed) {
            let canary = if group.canary { "canary " } else { "" };
            let reason = format!(
                "{canary}group {}: {failed} of {} failed, {} allowed",
                group.name, allowance.of, allowance.failures
            );
            self.breach(Some(number), reason, out);
        } else if let Some(allowance) = self.run_allowance.filter(|a| a.exceeded_by(self.failures))
        {
            let reason = format!(
                "{} of all {} targets failed, {} allowed",
                self.failures, allowance.of, allowance.failures
            );
            self.breach(None, reason, out);
        }
    }

    /// From now on no target starts. After somebody asked the run to stop, a budget does not
    /// matter any more.
    pub(super) fn breach(&mut self, group: Option<usize>, reason: String, out: &mut Vec<Decision>) {
        if self.breach.is_some() || self.stop.is_some() {
            return;
        }
        out.push(Decision::Breached { group, reason: reason.clone() });
        self.breach = Some(reason);
        if matches!(self.phase, Phase::Soaking { .. }) {
            out.push(Decision::CutSoak);
        }
    }

    /// Tells how a target ended, once that cannot change any more.
    pub(super) fn tell(&mut self, at: usize, out: &mut Vec<Decision>) {
        let slot = &mut self.slots[at];
        let last = slot.end.clone().filter(|_| !slot.told);
        if let Some(end) = last {
            slot.told = true;
            out.push(Decision::Ended(at, end));
        }
    }

    /// Notes that a target's turn never came, or that it was left on its way back.
    pub(super) fn left_in_queue(&mut self, at: usize, out: &mut Vec<Decision>) {
        if matches!(self.phase, Phase::GoingBack { .. }) {
            self.left_behind(at);
        } else {
            self.slots[at].end = Some(End::NotAttempted);
            self.tell(at, out);
        }
    }
}
