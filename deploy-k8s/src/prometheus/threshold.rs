//! What the values of a query are compared with.

use std::{fmt, str::FromStr};

/// What each value must keep to: `< 0.05`, `>= 1`, `== 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    comparison: Comparison,
    limit: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
    Unequal,
}

/// As they are written; the longer ones first, of which the shorter ones are a part.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

impl Threshold {
    /// Whether `value` keeps to it. What is not a number keeps to nothing.
    pub(super) fn holds(&self, value: f64) -> bool {
        let Self { comparison, limit } = *self;
        match comparison {
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
            Comparison::Above => value > limit,
            Comparison::AtLeast => value >= limit,
            Comparison::Equal => value == limit,
            Comparison::Unequal => value != limit && !value.is_nan(),
        }
    }

    /// How bad `value` is: the larger, the worse. What is not a number is the worst.
    pub(super) fn badness(&self, value: f64) -> f64 {
        if value.is_nan() {
            return f64::INFINITY;
        }
        let Self { comparison, limit } = *self;
        match comparison {
            Comparison::Below | Comparison::AtMost => value - limit,
            Comparison::Above | Comparison::AtLeast => limit - value,
            Comparison::Equal => (value - limit).abs(),
            Comparison::Unequal => -(value - limit).abs(),
        }
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let read = |(word, comparison): (&str, Comparison)| {
            let number = text.strip_prefix(word)?.trim();
            let limit: f64 = number.parse().ok()?;
            limit.is_finite().then_some(Self { comparison, limit })
        };
        COMPARISONS.into_iter().find_map(read).ok_or_else(|| ThresholdError(text.to_owned()))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = COMPARISONS.iter().find(|(_, it)| *it == self.comparison);
        write!(f, "{} {}", word.map_or("", |(word, _)| word), self.limit)
    }
}

/// Text that is no threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no threshold: `<`, `<=`, `>`, `>=`, `==` or `!=`, and a number, such as `< 0.05`"
)]
pub struct ThresholdError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_hold_or_do_not() {
        for (text, good, bad) in [
            ("< 0.05", 0.049, 0.05),
            ("<=0.05", 0.05, 0.051),
            (" > -1 ", 0.0, -1.0),
            (">= 1", 1.0, 0.9),
            ("== 0", 0.0, 1e-9),
            ("!= 0", 1.0, 0.0),
            ("< 1e3", f64::NEG_INFINITY, f64::INFINITY),
        ] {
            let threshold: Threshold = text.parse().unwrap();
            assert!(threshold.holds(good) && !threshold.holds(bad), "{text}");
            assert!(!threshold.holds(f64::NAN), "{text}: not a number");
            assert!(threshold.badness(good) < threshold.badness(bad), "{text}");
            assert!(threshold.badness(bad) <= threshold.badness(f64::NAN), "{text}");
            assert_eq!(threshold.to_string().parse(), Ok(threshold), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_one() {
        for text in ["", "1", "<", "=< 1", "= 1", "< NaN", "< inf", "< 1 2", "<> 1", "< 5%"] {
            assert_eq!(text.parse::<Threshold>(), Err(ThresholdError(text.to_owned())), "{text}");
        }
    }
}
