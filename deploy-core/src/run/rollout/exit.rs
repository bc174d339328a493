//! How a run ended as a whole: the table of exit codes.

use super::Rollout;
use crate::{
    backend::ErrorKind,
    plan::Purpose,
    record::{End, Exit, StopCause},
};

impl Rollout {
    /// The exit code; of those that fit, the first in this order.
    ///
    /// A claim of another run is `Locked` only while nothing was touched: once part of the fleet
    /// was deployed within the budget, that part is good, and the claimed target is one that
    /// failed.
    pub(super) fn exit(&self) -> Exit {
        if !self.purpose.is_version() {
            return self.exit_without_way_back();
        }
        let ends = || self.slots.iter().filter_map(|slot| slot.end.as_ref());
        let touched = self.slots.iter().any(|slot| slot.ever_touched);
        let is_claimed = |end: &End| end.failure().is_some_and(|f| f.kind == ErrorKind::Claimed);
        if !touched && ends().any(is_claimed) {
            return Exit::Locked;
        }
        if self.forward && self.slots.iter().any(|slot| slot.back_failed) {
            return Exit::Mixed;
        }
        match self.stop {
            Some(StopCause::JournalLost) if touched => return Exit::Mixed,
            Some(StopCause::JournalLost) => return Exit::Refused,
            Some(StopCause::Kill) if !self.forward && touched => {
                let done = ends().all(End::is_success);
                return if done { Exit::Interrupted } else { Exit::Mixed };
            }
            Some(_) => return Exit::Interrupted,
            None => {}
        }
        let all_well = ends().all(End::is_success);
        if !self.forward {
            return match (all_well && !self.finalize_failed, touched) {
                (true, _) => Exit::Complete,
                (false, true) => Exit::Mixed,
                (false, false) if ends().any(End::is_success) => Exit::Mixed,
                (false, false) => Exit::Refused,
            };
        }
        if ends().any(|end| matches!(end, End::Unknown { .. })) {
            return Exit::Mixed;
        }
        if self.breach.is_some() {
            return match (touched, self.slots.iter().any(|slot| slot.touched)) {
                (false, _) => Exit::Refused,
                (true, false) => Exit::RolledBack,
                (true, true) => Exit::Mixed,
            };
        }
        if all_well && !self.finalize_failed { Exit::Complete } else { Exit::Incomplete }
    }

    /// The exit code where nothing can be taken back: services that were operated, a command that
    /// was run. `Mixed` says that somebody must look: a service was left down, unhealthy or
    /// unknown, or nobody knows how the command ended.
    fn exit_without_way_back(&self) -> Exit {
        let ends = || self.slots.iter().filter_map(|slot| slot.end.as_ref());
        let touched = self.slots.iter().any(|slot| slot.ever_touched);
        let is_claimed = |end: &End| end.failure().is_some_and(|f| f.kind == ErrorKind::Claimed);
        if !touched && ends().any(is_claimed) {
            return Exit::Locked;
        }
        match self.stop {
            Some(StopCause::JournalLost) if touched => return Exit::Mixed,
            Some(StopCause::JournalLost) => return Exit::Refused,
            Some(_) => return Exit::Interrupted,
            None => {}
        }
        let left_ill = self.slots.iter().any(|slot| match (&slot.end, self.purpose) {
            (Some(End::Unknown { .. }), _) => true,
            // A command that failed says so by itself: that is an answer. So does an adoption.
            (_, Purpose::Run | Purpose::Adopt) => false,
            (Some(end), _) => slot.touched && end.is_failure(),
            (None, _) => false,
        });
        if left_ill {
            return Exit::Mixed;
        }
        if self.breach.is_some() && !touched && !self.purpose.is_steps() {
            return Exit::Refused;
        }
        if ends().all(End::is_success) { Exit::Complete } else { Exit::Incomplete }
    }
}
