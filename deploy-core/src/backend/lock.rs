//! One run at a time per app and environment.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BackendError;
use crate::record::RunId;

/// Excludes other runs of the same app and environment.
///
/// How far that reaches is the implementation's: a file excludes runs of the same state directory.
///
/// # How to implement it
/// Take it with one step that fails when somebody has it; never look first and write then. Put who,
/// why and since into it, for those who are kept out. Free it when the holder is proven dead, and
/// only then. The guard's `Drop` must free it too: a panic unwinds through it.
#[async_trait]
pub trait Lock: fmt::Debug + Send + Sync {
    /// Tries to take the lock for `holder`, once and without waiting. A lock whose holder is proven
    /// dead is taken over.
    ///
    /// # Errors
    /// An error means the lock could not be asked for; a held lock is an answer.
    async fn acquire(&self, holder: &Holder) -> Result<Acquired, BackendError>;

    /// Who holds it now, if anybody. Changes nothing.
    async fn holder(&self) -> Result<Option<Holder>, BackendError>;
}

/// The answer to [`Lock::acquire`].
#[derive(Debug)]
pub enum Acquired {
    /// It is ours until the guard is released or dropped.
    Yes(Box<dyn LockGuard>),
    /// Somebody else holds it.
    HeldBy(Holder),
}

/// A lock that is held. Dropping it gives it up as well as it can; `release` reports.
#[async_trait]
#[must_use = "a lock that is dropped at once protects nothing"]
pub trait LockGuard: fmt::Debug + Send + Sync {
    /// Gives the lock up.
    async fn release(self: Box<Self>) -> Result<(), BackendError>;
}

/// Who holds a lock, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Who: `--as`, or the user.
    pub who: String,
    /// On which machine.
    pub host: String,
    /// The process there, for a person to look at.
    pub pid: u32,
    /// Why: the message of the deploy, or of `lock -m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// The run, where it is one; `None` for a lock that a person took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Until when, for a lock that a person took with an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
