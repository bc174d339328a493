//! How a stage and a target ended.

use serde::{Deserialize, Serialize};

use crate::{
    backend::{BackendError, ErrorKind},
    model::{Release, Target},
    plan::Stage,
};

/// How one stage on one target ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum StageOutcome {
    /// It did what it should.
    Done,
    /// It did not.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// Why a stage failed, with all that a person needs. The strings may hold a target's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In which stage.
    pub stage: Stage,
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What was attempted, such as `check "answers"`.
    pub attempted: String,
    /// Why it failed, in one line, without the target's name where that can be had: equal causes
    /// are grouped by it.
    pub cause: String,
    /// What the deployer can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What was seen: output, unit status, last log lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl Failure {
    /// The failure that `error` is in `stage` on `target`.
    pub fn from_error(stage: Stage, target: &Target, error: &BackendError) -> Self {
        Self {
            stage,
            kind: error.kind(),
            attempted: error.attempted().to_owned(),
            cause: neutral(&error.cause(), target),
            hint: error.hint().map(str::to_owned),
            evidence: error.evidence().map(str::to_owned),
        }
    }
}

/// `text` with `the target` wherever it names `target` as a word of its own: the same trouble on
/// many targets then reads the same.
pub(super) fn neutral(text: &str, target: &Target) -> String {
    let name = target.as_str();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        plain.push_str(before);
        let word =
            plain.chars().next_back().is_none_or(|c| c.is_whitespace() || "\"'`([".contains(c))
                && ends_word(after);
        plain.push_str(if word { "the target" } else { name });
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// Whether `after` does not go on with the word before it: `h1` is no part of `h1.example.org`.
fn ends_word(after: &str) -> bool {
    let mut after = after.chars();
    match after.next() {
        None => true,
        Some('.') => after.next().is_none_or(char::is_whitespace),
        Some(c) => c.is_whitespace() || "\"'`)],:;".contains(c),
    }
}

/// What a target serves at the end, as far as that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "serving", rename_all = "kebab-case")]
pub enum Served {
    /// Nothing.
    Nothing,
    /// This release.
    Release {
        /// Which.
        release: Release,
    },
    /// It was never asked.
    NeverAsked,
}

impl Served {
    /// [`Served::NeverAsked`], for what is absent in a record.
    pub(crate) fn never_asked() -> Self {
        Self::NeverAsked
    }
}

impl From<Option<Release>> for Served {
    fn from(release: Option<Release>) -> Self {
        match release {
            Some(release) => Self::Release { release },
            None => Self::Nothing,
        }
    }
}

/// How a planned target ended. Each ends in exactly one of these (rule 18).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// It serves the version, restarted and checked.
    Deployed,
    /// It served the version already, that was good, and its checks pass.
    Unchanged,
    /// What was asked for was done, and what it serves is as before: its services were operated and
    /// are healthy, or the command ended with success.
    Done,
    /// It was touched, and is back and healthy.
    Reverted {
        /// Why it went back; `None` when it went back with the others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// It failed.
    Failed {
        /// Why, and in which stage. `rollback` means it could not be brought back.
        failure: Failure,
        /// What it serves.
        served: Served,
    },
    /// It could not be reached.
    Unreachable {
        /// Why.
        failure: Failure,
        /// What it is last known to serve.
        served: Served,
    },
    /// It serves one of these; nobody could ask which.
    Unknown {
        /// Why nobody could ask.
        failure: Failure,
        /// What it may serve.
        one_of: Vec<Served>,
    },
    /// Its turn never came.
    NotAttempted,
}

impl End {
    /// Whether it counts as a failure in a budget. A target that was brought back because others
    /// failed does not.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Deployed | Self::Unchanged | Self::Done | Self::NotAttempted => false,
            Self::Reverted { failure } => failure.is_some(),
            Self::Failed { .. } | Self::Unreachable { .. } | Self::Unknown { .. } => true,
        }
    }

    /// Whether the target is where the run wants it, and healthy.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Deployed | Self::Unchanged | Self::Done)
    }

    /// Why it failed, where it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Reverted { failure } => failure.as_ref(),
            Self::Failed { failure, .. }
            | Self::Unreachable { failure, .. }
            | Self::Unknown { failure, .. } => Some(failure),
            Self::Deployed | Self::Unchanged | Self::Done | Self::NotAttempted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_does_not_name_its_target_and_keeps_all_other_words() {
        let plain = |text: &str, target: &str| neutral(text, &Target::new(target).unwrap());
        assert_eq!(
            plain("h1: cannot reach h10 from h1", "h1"),
            "the target: cannot reach h10 from the target"
        );
        assert_eq!(plain("no route to \"h1\".", "h1"), "no route to \"the target\".");
        assert_eq!(plain("h1.example.org is not h1.", "h1"), "h1.example.org is not the target.");
        assert_eq!(plain("/usr/local/bin is missing", "local"), "/usr/local/bin is missing");
        assert_eq!(plain("xh1 \u{e9}h1 h1\u{e9}", "h1"), "xh1 \u{e9}h1 h1\u{e9}");
    }
}
