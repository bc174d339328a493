//! What is done once, when the whole fleet serves the version.

use std::fmt;

use async_trait::async_trait;

use super::BackendError;
use crate::{plan::Plan, record::RunInfo};

/// Told once, after the last target was finalized and before the lock is given up, and only when
/// the whole fleet serves the version (rule 9): the place of the success tag.
#[async_trait]
pub trait Completion: fmt::Debug + Send + Sync {
    /// Marks the success of the run.
    ///
    /// # Errors
    /// An error is told as a warning, and changes nothing about how the run ended.
    async fn complete(&self, info: &RunInfo, plan: &Plan) -> Result<(), BackendError>;
}
