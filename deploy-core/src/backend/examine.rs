//! What would stop a deploy, found before one. Each backend examines what it will need; see
//! `docs/doctor.md`.

use std::fmt;

use async_trait::async_trait;
use serde::Serialize;

use super::{BackendError, ErrorKind, Scope};
use crate::model::Target;

/// How bad a finding is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// A deploy goes on, but something of it may fail, or be missed.
    Warning,
    /// It could not be asked.
    Unasked,
    /// A deploy would fail, or be refused.
    Problem,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unasked => "not asked",
            Self::Problem => "problem",
        })
    }
}

/// One thing that was looked at. What is the same on many targets has the same words: what belongs
/// to one target alone is in `detail` and `cure`. All of it may hold words of a target, to be
/// escaped before they reach a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What it is about, in one or two words.
    pub about: &'static str,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: Option<String>,
    /// What cures it: mostly a command.
    pub cure: Option<String>,
    /// What belongs to this target alone.
    pub detail: Option<String>,
}

impl Finding {
    fn new(grade: Grade, about: &'static str, what: impl Into<String>) -> Self {
        Self { grade, about, what: what.into(), why: None, cure: None, detail: None }
    }

    /// Something is as it should be.
    pub fn ok(about: &'static str, what: impl Into<String>) -> Self {
        Self::new(Grade::Ok, about, what)
    }

    /// Something does not stop a deploy, but should be known.
    pub fn warning(about: &'static str, what: impl Into<String>) -> Self {
        Self::new(Grade::Warning, about, what)
    }

    /// Something would stop a deploy.
    pub fn problem(about: &'static str, what: impl Into<String>) -> Self {
        Self::new(Grade::Problem, about, what)
    }

    /// Why something could not be asked. What the target refused, or would refuse again, is a
    /// problem; a target that is not heard of was not asked.
    pub fn of_error(about: &'static str, error: &BackendError) -> Self {
        let grade = match error.kind() {
            ErrorKind::Unreachable | ErrorKind::Lost | ErrorKind::TimedOut => Grade::Unasked,
            _ => Grade::Problem,
        };
        let mut finding = Self::new(grade, about, error.cause());
        finding.cure = error.hint().map(str::to_owned);
        finding.detail = error.evidence().map(str::to_owned);
        finding
    }

    /// Says why it matters.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Says what cures it.
    #[must_use]
    pub fn cured_by(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// Adds what belongs to this target alone.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Looks whether a target has what one part of a deploy will need there.
#[async_trait]
pub trait Examiner: fmt::Debug + Send + Sync {
    /// Examines `target`: what is well, and what is not.
    ///
    /// # Guarantees
    /// Changes nothing there; may be repeated, and dropped at any time.
    ///
    /// # Errors
    /// When it could not be asked.
    async fn examine(&self, target: &Target, scope: &Scope) -> Result<Vec<Finding>, BackendError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_a_problem_and_silence_is_none() {
        let of = |kind| Finding::of_error("login", &BackendError::new(kind, "connect")).grade;
        assert_eq!(of(ErrorKind::Denied), Grade::Problem);
        assert_eq!(of(ErrorKind::Rejected), Grade::Problem);
        assert_eq!(of(ErrorKind::Unreachable), Grade::Unasked);
        assert_eq!(of(ErrorKind::TimedOut), Grade::Unasked);
        assert!(Grade::Problem > Grade::Unasked && Grade::Unasked > Grade::Warning);
    }
}
