//! Moments, as a person reads them.

use jiff::{Timestamp, tz::TimeZone};

/// A moment in the local time zone: `2015-06-10 14:15:03`.
pub fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time of day in the local time zone: `14:15:03`.
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}
