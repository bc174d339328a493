//! How many targets may fail.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A number of targets, or a percentage of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// So many of a hundred, from 0 to 100.
    Percent(u8),
}

impl Amount {
    /// The number for a scope of `targets`; percentages round down: 25 % of 2 is 0 (rule 5).
    pub fn of(self, targets: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => targets * usize::from(percent) / 100,
        }
    }
}

/// Why a number or percentage could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseAmountError(String);

impl ParseAmountError {
    pub(super) fn zero_batch() -> Self {
        Self("a batch of 0 would never end: give a number from 1, a percentage, or `all`".into())
    }
}

impl FromStr for Amount {
    type Err = ParseAmountError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || {
            ParseAmountError(format!(
                "{text:?} is neither a number such as 3 nor a percentage such as \"25%\""
            ))
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.strip_suffix('%') {
            Some(percent) if digits(percent) => match percent.parse() {
                Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
                _ => Err(ParseAmountError(format!("{text:?} is more than 100 %"))),
            },
            None if digits(text) => text.parse().map(Self::Count).map_err(|_| refuse()),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => f.pad(&count.to_string()),
            Self::Percent(percent) => f.pad(&format!("{percent}%")),
        }
    }
}

/// How many targets of a scope may fail. Default: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget(pub Amount);

impl Default for Budget {
    fn default() -> Self {
        Self(Amount::Count(0))
    }
}

impl Budget {
    /// The budget as a number, for a scope of `planned` targets, unchanged ones included.
    pub fn resolve(self, planned: usize) -> Allowance {
        Allowance { failures: self.0.of(planned), of: planned }
    }
}

impl FromStr for Budget {
    type Err = ParseAmountError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Budget {
    type Error = ParseAmountError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> String {
        budget.to_string()
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A budget that was resolved to a number.
///
/// Displays as `stops at the 3rd failure of 40`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// How many may fail without consequence.
    pub failures: usize,
    /// Of how many planned targets.
    pub of: usize,
}

impl Allowance {
    /// Whether `failures` are too many: exceeded means more than allowed.
    pub fn exceeded_by(self, failures: usize) -> bool {
        failures > self.failures
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures >= self.of {
            return write!(f, "never stops: all {} may fail", self.of);
        }
        let nth = self.failures + 1;
        let suffix = match (nth % 10, nth % 100) {
            (1, n) if n != 11 => "st",
            (2, n) if n != 12 => "nd",
            (3, n) if n != 13 => "rd",
            _ => "th",
        };
        write!(f, "stops at the {nth}{suffix} failure of {}", self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(text: &str) -> Budget {
        text.parse().unwrap()
    }

    #[test]
    fn percents_round_down() {
        assert_eq!(budget("25%").resolve(2).failures, 0);
        assert_eq!(budget("10%").resolve(40).failures, 4);
        assert_eq!(budget("100%").resolve(3).failures, 3);
    }

    #[test]
    fn exceeded_means_more_than_allowed() {
        let allowance = budget("2").resolve(40);
        assert!(!allowance.exceeded_by(2));
        assert!(allowance.exceeded_by(3));
        assert_eq!(allowance.to_string(), "stops at the 3rd failure of 40");
    }

    #[test]
    fn an_unparsable_budget_is_refused() {
        for bad in ["", "%", "-1", "101%", "1.5", "ten", "5 %", "+5", "99999999999999999999999"] {
            assert!(bad.parse::<Budget>().is_err(), "{bad:?}");
        }
    }
}
