//! The one emitter of events.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use crate::record::{Clock, Event, EventKind, Observer, Summary};

/// How far the last event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Told,
    HandedOn,
    Durable,
}

/// Numbers and times events, tells them to the observers, and adds them up.
pub(super) struct Ledger {
    clock: Arc<dyn Clock>,
    started: Instant,
    next: u64,
    observers: Vec<Box<dyn Observer>>,
    lost: bool,
    state: State,
    summary: Summary,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("next", &self.next).field("lost", &self.lost).finish()
    }
}

impl Ledger {
    pub(super) fn new(clock: Arc<dyn Clock>, observers: Vec<Box<dyn Observer>>) -> Self {
        let started = Instant::now();
        let summary = Summary::default();
        Self { clock, started, next: 0, observers, lost: false, state: State::Durable, summary }
    }

    pub(super) fn emit(&mut self, kind: EventKind) {
        let event =
            Event { seq: self.next, at: self.clock.now(), elapsed: self.started.elapsed(), kind };
        self.next += 1;
        self.state = State::Told;
        self.summary.apply(&event);
        self.each(|observer| observer.observe(&event).is_ok());
    }

    /// Hands on what was emitted.
    pub(super) fn flush(&mut self) {
        if self.state == State::Told {
            self.state = State::HandedOn;
            self.each(|observer| observer.flush().is_ok());
        }
    }

    /// Makes durable what was emitted.
    pub(super) fn sync(&mut self) {
        if self.state != State::Durable {
            self.state = State::Durable;
            self.each(|observer| observer.sync().is_ok());
        }
    }

    /// Whether an observer failed: the record of the run is lost.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// What the run came to so far.
    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    pub(super) fn into_summary(self) -> Summary {
        self.summary
    }

    /// An observer that failed is told nothing any more.
    fn each(&mut self, mut tell: impl FnMut(&mut dyn Observer) -> bool) {
        let before = self.observers.len();
        self.observers.retain_mut(|observer| tell(observer.as_mut()));
        self.lost |= self.observers.len() < before;
    }
}
