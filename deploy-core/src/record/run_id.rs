//! The name of one run.

use jiff::{Timestamp, tz::TimeZone};

use crate::model::name_type;

name_type! {
    /// The name of one run: `20150610-141503-a1b2`. Sorts by time; safe as a file and ref name.
    RunId, "run id", "", 64
}

impl RunId {
    /// The id of a run that starts `at`, told apart from others of the same second by `salt`.
    pub fn at(at: Timestamp, salt: u16) -> Self {
        let when = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S");
        Self(format!("{when}-{salt:04x}"))
    }
}
