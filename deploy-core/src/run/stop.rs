//! How signals reach a run.

use std::sync::Arc;

use tokio::sync::watch;

use crate::record::StopCause;

/// The handle by which signals reach a run. Cheap to clone; all clones reach the same run.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<Signals>>);

/// What was requested so far.
#[derive(Debug, Clone, Copy, Default)]
struct Signals {
    strongest: Option<StopCause>,
    last: Option<StopCause>,
    count: u64,
    presses: u32,
}

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Signals::default())))
    }
}

impl Stop {
    /// A handle by which nothing was requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop. A weaker cause never overrides a stronger one (rule 20).
    pub fn request(&self, cause: StopCause) {
        self.0.send_modify(|signals| signals.note(cause));
    }

    /// Ctrl-C was pressed: the first time it [interrupts](StopCause::Interrupt), from the second
    /// on it [kills](StopCause::Kill). A rollback starts the count anew, since one Ctrl-C does not
    /// stop it.
    pub fn interrupt(&self) {
        self.0.send_modify(|signals| {
            signals.presses += 1;
            let again = signals.presses > 1;
            signals.note(if again { StopCause::Kill } else { StopCause::Interrupt });
        });
    }

    /// The strongest cause that was requested so far.
    pub fn cause(&self) -> Option<StopCause> {
        self.0.borrow().strongest
    }

    /// A rollback begins: Ctrl-C is counted anew.
    pub(super) fn rearm(&self) {
        self.0.send_modify(|signals| signals.presses = 0);
    }

    /// A watch of the requests that are still to come; those before are in [`cause`](Self::cause).
    pub(super) fn watch(&self) -> Watch {
        let signals = self.0.subscribe();
        let seen = signals.borrow().count;
        Watch { signals, seen }
    }
}

impl Signals {
    fn note(&mut self, cause: StopCause) {
        self.strongest = self.strongest.max(Some(cause));
        self.last = Some(cause);
        self.count += 1;
    }
}

/// The run's end of a [`Stop`].
#[derive(Debug)]
pub(super) struct Watch {
    signals: watch::Receiver<Signals>,
    seen: u64,
}

impl Watch {
    /// The next request after the watch began; of several at once, the strongest. Cancel-safe.
    pub(super) async fn next(&mut self) -> StopCause {
        loop {
            let now = *self.signals.borrow_and_update();
            if now.count > self.seen {
                let several = now.count - self.seen > 1;
                self.seen = now.count;
                if let Some(cause) = if several { now.strongest } else { now.last } {
                    return cause;
                }
            }
            if self.signals.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
