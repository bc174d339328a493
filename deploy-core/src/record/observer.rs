//! Who is told what happens.

use super::Event;

/// Is told each event of a run, in order.
///
/// Blanket-implemented for closures.
///
/// # How to implement it
/// Match the kinds that matter and pass over the others: kinds are added over time. Adding up is done
/// already, by [`Summary::apply`](super::Summary::apply). `examples/custom_reporter.rs` is a whole one.
///
/// ```
/// use deploy_core::record::{Event, EventKind, Observer};
///
/// let mut ended = 0;
/// let mut count = |event: &Event| {
///     ended += u32::from(matches!(event.kind, EventKind::TargetFinished { .. }));
///     Ok(())
/// };
/// fn takes(_: &mut impl Observer) {}
/// takes(&mut count);
/// ```
pub trait Observer: Send {
    /// Takes one event. Must not block for long: the engine waits.
    ///
    /// # Errors
    /// An error means that the record of the run is lost: the engine stops the run in order
    /// (rule 20: journal lost), and tells this observer nothing any more. A reporter that merely
    /// cannot draw returns `Ok`.
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError>;

    /// Hands on what was observed, to whoever reads the record while the run goes on. The engine
    /// calls it after one or more events that no step waits for, such as the end of a step. Whoever
    /// keeps nothing back need not implement it.
    ///
    /// # Errors
    /// As for [`observe`](Self::observe).
    fn flush(&mut self) -> Result<(), ObserveError> {
        Ok(())
    }

    /// Makes durable what was observed. The engine calls it before a step begins whose intent was
    /// among it, and at the end of the run. Whoever keeps nothing need not implement it.
    ///
    /// # Errors
    /// As for [`observe`](Self::observe).
    fn sync(&mut self) -> Result<(), ObserveError> {
        Ok(())
    }
}

/// Why an event could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("keep the record of the run")]
pub struct ObserveError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl<F> Observer for F
where
    F: FnMut(&Event) -> Result<(), ObserveError> + Send,
{
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        self(event)
    }
}
