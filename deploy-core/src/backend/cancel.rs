//! The order to give up at once.

use tokio_util::sync::CancellationToken;

/// The order to give up a call at once: a second Ctrl-C, a lost journal.
///
/// A first Ctrl-C does not cancel: it only keeps new steps from starting (rule 20).
/// Cheap to clone; all clones see the same order.
#[derive(Debug, Clone, Default)]
pub struct Cancel(CancellationToken);

impl Cancel {
    /// An order that has not been given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the order. Idempotent.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether the order was given.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Completes when the order is given. Cancel-safe.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// An order that is given with this one, and can be given by itself.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}
