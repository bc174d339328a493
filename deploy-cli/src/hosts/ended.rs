//! `@RUN/failed`: the hosts that ended so in a past run.

use std::{fmt, str::FromStr};

use deploy_core::{
    model::Target,
    record::{End, Summary},
};

/// How hosts of a past run ended, by the words of its summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// They serve the version, restarted and checked.
    Deployed,
    /// They served it already.
    Unchanged,
    /// Their services were operated, or a command ended with success there.
    Done,
    /// They were touched, and went back.
    Reverted,
    /// They failed, and did not go back.
    Failed,
    /// They could not be reached.
    Unreachable,
    /// Nobody knows what they serve, be it that the run died.
    Unknown,
    /// Their turn never came.
    NotAttempted,
    /// All on which something is left to do, whatever became of them.
    Unfinished,
}

/// A word that is no way to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no way in which a host ends")]
pub struct ParseEndedError(String);

impl Ended {
    const ALL: [Self; 9] = [
        Self::Deployed,
        Self::Unchanged,
        Self::Reverted,
        Self::Failed,
        Self::Unreachable,
        Self::Unknown,
        Self::NotAttempted,
        Self::Done,
        Self::Unfinished,
    ];

    /// All words, for a person to choose from.
    pub fn words() -> String {
        Self::each_word().join(", ")
    }

    /// The words, one by one.
    pub fn each_word() -> [&'static str; 9] {
        Self::ALL.map(Self::word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Unchanged => "unchanged",
            Self::Done => "done",
            Self::Reverted => "reverted",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::NotAttempted => "not-attempted",
            Self::Unfinished => "unfinished",
        }
    }

    /// The targets of a run that ended so, in the order of its plan.
    pub fn of(self, summary: &Summary) -> Vec<Target> {
        if self == Self::Unfinished {
            return summary.unfinished().into_iter().cloned().collect();
        }
        let order = summary.in_order().into_iter();
        let meant = order.filter(|(_, target)| self.is(target.end.as_ref()));
        meant.map(|(target, _)| target.clone()).collect()
    }

    fn is(self, end: Option<&End>) -> bool {
        match self {
            // More than its end says whether something is left to do on a target.
            Self::Unfinished => false,
            Self::Deployed => matches!(end, Some(End::Deployed)),
            Self::Unchanged => matches!(end, Some(End::Unchanged)),
            Self::Done => matches!(end, Some(End::Done)),
            Self::Reverted => matches!(end, Some(End::Reverted { .. })),
            Self::Failed => matches!(end, Some(End::Failed { .. })),
            Self::Unreachable => matches!(end, Some(End::Unreachable { .. })),
            Self::Unknown => matches!(end, Some(End::Unknown { .. }) | None),
            Self::NotAttempted => matches!(end, Some(End::NotAttempted)),
        }
    }
}

impl FromStr for Ended {
    type Err = ParseEndedError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|ended| ended.word() == text);
        found.ok_or_else(|| ParseEndedError(text.to_owned()))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_meant_by_one_word() {
        let ends = [Some(End::Deployed), Some(End::Unchanged), Some(End::NotAttempted), None];
        let words = |end: Option<&End>| -> Vec<String> {
            let meant = Ended::ALL.into_iter().filter(|ended| ended.is(end));
            meant.map(|ended| ended.to_string()).collect()
        };
        let told: Vec<Vec<String>> = ends.iter().map(|end| words(end.as_ref())).collect();
        assert_eq!(told, [["deployed"], ["unchanged"], ["not-attempted"], ["unknown"]]);
    }

    #[test]
    fn words_are_read_back() {
        for ended in Ended::ALL {
            assert_eq!(ended.to_string().parse(), Ok(ended));
        }
        assert!("faild".parse::<Ended>().is_err());
    }
}
