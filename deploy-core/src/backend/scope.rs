//! What belongs to one call of a backend.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Cancel, OutputSink};
use crate::{plan::Stage, record::RunId};

/// What belongs to one call of a backend: whose run it is, until when it may take, the order to
/// give up, and where output goes.
///
/// The engine drops no call at its deadline by itself: the backend must end in time (by killing
/// what it began) and say what it knows. The engine waits a grace of a few seconds past the
/// deadline or the order, and only then drops the future, whose outcome is unknown.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The run, with which every change on a target is marked.
    pub run: RunId,
    /// Who runs it, as `user@host` or what `--as` says.
    pub who: String,
    /// The stage that the call belongs to.
    pub stage: Stage,
    /// Which attempt this is, from 1. Above 1, the answer to an earlier one may have been lost:
    /// ask before acting (rule 19).
    pub attempt: u32,
    /// Whether the target goes back: in a run that goes back as a whole, and on the way back of another.
    pub rolling_back: bool,
    /// When the call must have ended.
    pub deadline: Instant,
    /// The order to give up at once.
    pub cancel: Cancel,
    /// Where the output of remote steps goes.
    pub output: Arc<dyn OutputSink>,
}

impl Scope {
    /// How long the call may still take; zero when the deadline has passed.
    pub fn remaining(&self) -> std::time::Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
