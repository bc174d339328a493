//! Moments, as a person reads them.

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// A moment in the local time zone: `2015-06-10 14:15:03`.
pub fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time of day in the local time zone: `14:15:03`.
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// A moment in few columns: the time if it was on the day of `now`, else the day or the month:
/// `14:15`, `06-10`, `2014-12`.
pub fn brief(at: Timestamp, now: &Zoned) -> String {
    let at = at.to_zoned(now.time_zone().clone());
    let form = match () {
        () if at.date() == now.date() => "%H:%M",
        () if at.year() == now.year() => "%m-%d",
        () => "%Y-%m",
    };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_the_finer() {
        let now: Zoned = "2015-06-10T20:00[UTC]".parse().unwrap();
        let told = |at: &str| brief(at.parse().unwrap(), &now);
        assert_eq!(told("2015-06-10T14:15:03Z"), "14:15");
        assert_eq!(told("2015-06-09T14:15:03Z"), "06-09");
        assert_eq!(told("2014-06-10T14:15:03Z"), "2014-06");
    }
}
