//! What a target remembers of what was at its live path before it was ours.

use deploy_core::{model::ReleaseId, record::RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::found::What;
use crate::layout::is_release_id;

/// The most that is read of a record.
const LARGEST: usize = 16 * 1024;
const FORMAT: u32 = 1;

/// What was at the live path of a target, and is brought back when the adoption is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// The layout it was in.
    pub what: What,
    /// The release that it became.
    pub release: ReleaseId,
    /// The directory that was served.
    pub origin: String,
    /// Where the live path led, where it was a link; else empty.
    pub link: String,
    /// The run that adopted it.
    pub run: RunId,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Record {
    pub(super) fn new(
        (what, origin, link): (What, &str, &str),
        release: &ReleaseId,
        (run, by): (&RunId, String),
        at: Timestamp,
    ) -> Self {
        let (origin, link, release) = (origin.to_owned(), link.to_owned(), release.clone());
        Self { format: FORMAT, what, release, origin, link, run: run.clone(), by, at }
    }

    pub(super) fn line(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads what a target remembers. It is used on that target only, and names nothing there but
    /// what it names.
    pub(super) fn parse(line: &str) -> Option<Self> {
        if line.len() > LARGEST {
            return None;
        }
        let record: Self = serde_json::from_str(line).ok()?;
        let is_clean = |text: &str| !text.chars().any(char::is_control);
        let is_whole = record.format == FORMAT
            && record.what.can_be_adopted()
            && is_release_id(record.release.as_str())
            && record.origin.starts_with('/')
            && is_clean(&record.origin)
            && is_clean(&record.link)
            && (record.link.is_empty() == (record.what == What::Directory));
        is_whole.then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_strange_one_does_not() {
        let release = ReleaseId::new("0123456789ab-0123456789ab").unwrap();
        let run = RunId::new("r1").unwrap();
        let what = (What::Capistrano, "/srv/app/releases/1", "releases/1");
        let record = Record::new(what, &release, (&run, "ann".into()), Timestamp::UNIX_EPOCH);
        let line = record.line();
        assert_eq!(Record::parse(&line), Some(record));
        for (from, to) in [
            ("capistrano", "ours"),
            ("capistrano", "directory"),
            ("/srv/app/releases/1", "srv"),
            ("/srv/app/releases/1", "/srv\\n"),
            ("0123456789ab-0123456789ab", "../x"),
            ("\"format\":1", "\"format\":2"),
        ] {
            assert_eq!(Record::parse(&line.replace(from, to)), None, "{from} {to}");
        }
    }
}
