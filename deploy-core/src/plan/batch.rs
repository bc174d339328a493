//! How many targets are handled at once.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::budget::{Amount, ParseAmountError};

/// How many targets of a group are handled at once: a number, a percentage of the group, or all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum BatchSize {
    /// The whole group.
    #[default]
    All,
    /// A number or a percentage.
    Of(Amount),
}

impl BatchSize {
    /// The size for a group of `targets`: percentages round down, but never below one (rule 5).
    pub fn resolve(self, targets: usize) -> usize {
        match self {
            Self::All => targets.max(1),
            Self::Of(amount) => amount.of(targets).max(1),
        }
    }
}

impl FromStr for BatchSize {
    type Err = ParseAmountError;

    /// Reads `all`, a number from 1, or a percentage from 1 to 100.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        match text.parse()? {
            Amount::Count(0) | Amount::Percent(0) => Err(ParseAmountError::zero_batch()),
            amount => Ok(Self::Of(amount)),
        }
    }
}

impl TryFrom<String> for BatchSize {
    type Error = ParseAmountError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<BatchSize> for String {
    fn from(size: BatchSize) -> String {
        size.to_string()
    }
}

impl fmt::Display for BatchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Of(amount) => amount.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_round_down_but_hold_at_least_one() {
        let size = |text: &str| text.parse::<BatchSize>().unwrap();
        assert_eq!(size("25%").resolve(10), 2);
        assert_eq!(size("25%").resolve(2), 1);
        assert_eq!(size("all").resolve(7), 7);
        assert_eq!(size("3").resolve(7), 3);
        assert!("0".parse::<BatchSize>().is_err() && "0%".parse::<BatchSize>().is_err());
    }
}
