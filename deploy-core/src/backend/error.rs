//! The one error that every backend returns.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

/// What kind of failure a backend met. Retry and outcome depend on this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The target could not be reached; nothing was begun there.
    Unreachable,
    /// The link was lost after something was begun; whether it happened is unknown.
    Lost,
    /// A deadline passed; what was begun was killed, and how far it came is unknown.
    TimedOut,
    /// The run was told to stop; what was begun was killed, and how far it came is unknown.
    Cancelled,
    /// The target knows us and says no: login, host key, permission, sudo.
    Denied,
    /// What was asked for does not exist.
    NotFound,
    /// The target answered, and the answer is no: a command failed, a disk is full.
    Rejected,
    /// The target is not in the state that the plan was made for.
    Conflict,
    /// Another run, which is not known to be dead, holds the target or the lock.
    Claimed,
    /// The answer makes no sense, or a promise of the backend was broken.
    Broken,
}

impl ErrorKind {
    /// Whether the same call may succeed when it is repeated soon.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::Lost)
    }

    /// Whether the call may have taken effect although it failed.
    pub fn is_uncertain(self) -> bool {
        matches!(self, Self::Lost | Self::TimedOut | Self::Cancelled | Self::Broken)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unreachable => "unreachable",
            Self::Lost => "connection lost",
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
            Self::Denied => "denied",
            Self::NotFound => "not found",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Claimed => "claimed",
            Self::Broken => "broken",
        })
    }
}

/// Why a backend could not do what it was asked.
///
/// `Display` shows what was attempted; the cause is in [`source`](Error::source), so that a chain
/// prints each fact once.
#[derive(Debug)]
pub struct BackendError {
    kind: ErrorKind,
    attempted: String,
    hint: Option<String>,
    evidence: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BackendError {
    /// An error of `kind` while doing `attempted`: a lower-case phrase such as
    /// `fetch 3f2c1a to web-07`.
    pub fn new(kind: ErrorKind, attempted: impl Into<String>) -> Self {
        Self { kind, attempted: attempted.into(), hint: None, evidence: None, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the deployer can do about it: a sentence or a command.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what was seen: the last lines of output, a unit's status. The text is the target's
    /// own, to be escaped before it reaches a terminal.
    #[must_use]
    pub fn with_evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = Some(evidence.into());
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was being done.
    pub fn attempted(&self) -> &str {
        &self.attempted
    }

    /// What the deployer can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What was seen when it failed.
    pub fn evidence(&self) -> Option<&str> {
        self.evidence.as_deref()
    }

    /// The cause in one line: the messages of all sources joined by `: `, or the kind where there
    /// is no source. Repeated messages are told once.
    pub fn cause(&self) -> String {
        let mut messages: Vec<String> = Vec::new();
        let mut next = self.source.as_deref().map(|s| s as &(dyn Error + 'static));
        while let Some(error) = next {
            let message = error.to_string();
            if messages.last().is_none_or(|last| !last.contains(&message)) {
                messages.push(message);
            }
            next = error.source();
        }
        if messages.is_empty() { self.kind.to_string() } else { messages.join(": ") }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempted)
    }
}

impl Error for BackendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_tells_each_message_once() {
        let inner =
            BackendError::new(ErrorKind::Lost, "read the frame").with_source("reset by peer");
        let outer = BackendError::new(ErrorKind::Lost, "fetch to h1").with_source(inner);
        assert_eq!(outer.to_string(), "fetch to h1");
        assert_eq!(outer.cause(), "read the frame: reset by peer");
        assert_eq!(BackendError::new(ErrorKind::Denied, "log in").cause(), "denied");
    }
}
