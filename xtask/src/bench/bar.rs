//! A bar: a limit that a measured figure must not exceed.

/// One thing that must not be more than a limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) limit: f64,
    pub(super) unit: Unit,
}

/// What a bar is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// A multiple of something else.
    Times,
    Bytes,
    Seconds,
    Count,
}

impl Bar {
    pub(super) fn is_met(&self) -> bool {
        self.measured <= self.limit
    }

    /// A value of the bar for people.
    pub(super) fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Times => format!("{value:.2} ×"),
            Unit::Bytes => format!("{:.1} MB", value / 1e6),
            Unit::Seconds => format!("{value:.2} s"),
            // A part of one would be rounded to none.
            Unit::Count if value.fract() != 0.0 => format!("{value:.2}"),
            Unit::Count => format!("{value:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_still_met() {
        let bar = |measured| Bar { what: String::new(), measured, limit: 0.4, unit: Unit::Times };
        assert!(bar(0.4).is_met());
        assert!(!bar(0.401).is_met());
        assert!(!bar(f64::NAN).is_met());
    }

    #[test]
    fn values_are_shown_in_their_unit() {
        let show = |unit, value| {
            Bar { what: String::new(), measured: value, limit: value, unit }.show(value)
        };
        assert_eq!(show(Unit::Times, 0.354), "0.35 ×");
        assert_eq!(show(Unit::Bytes, 39_400_000.0), "39.4 MB");
        assert_eq!(show(Unit::Count, 1.0), "1");
        assert_eq!(show(Unit::Count, 1.02), "1.02");
    }
}
