//! Observers that are neither reporters nor notifications.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use deploy_core::{
    plan::Plan,
    record::{Event, EventKind, ObserveError, Observer},
};

/// Keeps the plan beside the journal, for people: the journal has it too.
pub struct PlanKeeper<F>(pub F);

impl<F: Fn(&Plan) -> io::Result<()> + Send> Observer for PlanKeeper<F> {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        match &event.kind {
            EventKind::Planned { plan } => {
                (self.0)(plan).map_err(|error| ObserveError(Box::new(error)))
            }
            _ => Ok(()),
        }
    }
}

/// Remembers whether any target was touched, for whoever must end without a summary.
#[derive(Debug, Clone, Default)]
pub struct Touched(Arc<AtomicBool>);

impl Touched {
    /// Whether any target was touched.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Observer for Touched {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        if matches!(event.kind, EventKind::StageStarted { stage, .. } if stage.touches()) {
            self.0.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}
