//! How version tags are written and ordered: date tags, semantic versions and timestamps.
//!
//! Pure: no clock and no repository. Whoever wants "today" passes it in.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

/// How version tags are written and ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Date tags such as `release/2015-06-10/1`.
    Date(DateTags),
    /// Semantic versions such as `v1.4.2`.
    Semver(SemverTags),
    /// Timestamps such as `2024-06-10-123456-production`, as image pipelines write them.
    Timestamp(TimestampTags),
    /// Any tag; ordered by when it was made, which only the source knows.
    Any,
}

impl Scheme {
    /// Whether `tag` is a version of this scheme.
    pub fn matches(&self, tag: &str) -> bool {
        match self {
            Self::Date(tags) => tags.parse(tag).is_some(),
            Self::Semver(tags) => tags.parse(tag).is_some(),
            Self::Timestamp(tags) => tags.parse(tag).is_some(),
            Self::Any => true,
        }
    }

    /// Compares two tags, older first; tags that are not of the scheme come before all others.
    /// [`Scheme::Any`] finds all tags equal: a stable sort keeps the source's order.
    pub fn compare(&self, left: &str, right: &str) -> Ordering {
        match self {
            Self::Date(tags) => tags.parse(left).cmp(&tags.parse(right)),
            Self::Semver(tags) => tags.parse(left).cmp(&tags.parse(right)),
            Self::Timestamp(tags) => tags.parse(left).cmp(&tags.parse(right)),
            Self::Any => Ordering::Equal,
        }
    }
}

/// Date tags: a prefix, the day, and a revision that a hotfix increments
/// (Wikimedia's deployment notes, 2015-06-15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateTags {
    /// What stands before the day, without the slash; `release` in `release/2015-06-10/1`.
    pub prefix: String,
}

/// A parsed date tag. Ordered by day, then by revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTag {
    /// The day.
    pub date: Date,
    /// The revision of that day, from 1.
    pub revision: u32,
}

impl DateTags {
    /// Reads `tag`, or returns `None` when it is not of this scheme.
    pub fn parse(&self, tag: &str) -> Option<DateTag> {
        let rest = strip_prefix(tag, &self.prefix, '/')?;
        let (day, revision) = rest.split_once('/')?;
        let canonical = |n: &str| n.bytes().all(|b| b.is_ascii_digit()) && !n.starts_with('0');
        if !canonical(revision) || day.len() != "2015-06-10".len() {
            return None;
        }
        let date = Date::strptime("%Y-%m-%d", day).ok()?;
        Some(DateTag { date, revision: revision.parse().ok()? })
    }

    /// Writes a tag.
    pub fn format(&self, tag: DateTag) -> String {
        let prefix =
            if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        format!("{prefix}{}/{}", tag.date.strftime("%Y-%m-%d"), tag.revision)
    }

    /// The next tag of the day `today`: one revision above the highest one that exists.
    pub fn next<'a>(&self, existing: impl IntoIterator<Item = &'a str>, today: Date) -> String {
        let highest = existing
            .into_iter()
            .filter_map(|tag| self.parse(tag))
            .filter(|tag| tag.date == today)
            .map(|tag| tag.revision)
            .max()
            .unwrap_or(0);
        self.format(DateTag { date: today, revision: highest + 1 })
    }
}

/// Semantic versions, by the rules of semver 2.0.0: a pre-release comes before its release, and
/// build metadata does not make a version newer in the sense of the specification (it only breaks
/// ties, so that the order is total).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SemverTags {
    /// What stands before the number; `v` in `v1.4.2`.
    pub prefix: String,
}

/// Which part of a semantic version the next release increments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SemverPart {
    /// Incompatible changes.
    Major,
    /// New, compatible features.
    Minor,
    /// Fixes.
    Patch,
}

impl SemverTags {
    /// Reads `tag`, or returns `None` when it is not of this scheme.
    pub fn parse(&self, tag: &str) -> Option<semver::Version> {
        semver::Version::parse(tag.strip_prefix(self.prefix.as_str())?).ok()
    }

    /// The next tag: the highest release or pre-release that exists, with `part` incremented.
    ///
    /// A patch after a pre-release is that release itself, as in `1.4.0-rc.1` to `1.4.0`.
    pub fn next<'a>(
        &self,
        existing: impl IntoIterator<Item = &'a str>,
        part: SemverPart,
    ) -> String {
        let highest = existing
            .into_iter()
            .filter_map(|tag| self.parse(tag))
            .max()
            .unwrap_or_else(|| semver::Version::new(0, 0, 0));
        let (major, minor, patch) = (highest.major, highest.minor, highest.patch);
        let next = match part {
            SemverPart::Major => semver::Version::new(major + 1, 0, 0),
            SemverPart::Minor => semver::Version::new(major, minor + 1, 0),
            SemverPart::Patch if highest.pre.is_empty() => {
                semver::Version::new(major, minor, patch + 1)
            }
            SemverPart::Patch => semver::Version::new(major, minor, patch),
        };
        format!("{}{next}", self.prefix)
    }
}

/// Timestamps to the second, with what stands around them (Wikimedia's deployment pipeline).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampTags {
    /// What stands before the day, with its separator.
    pub prefix: String,
    /// What stands after the second, with its separator; `-production` in
    /// `2024-06-10-123456-production`.
    pub suffix: String,
}

impl TimestampTags {
    /// Reads `tag`, or returns `None` when it is not of this scheme.
    pub fn parse(&self, tag: &str) -> Option<DateTime> {
        let stamp = tag.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        if stamp.len() != "2024-06-10-123456".len() {
            return None;
        }
        DateTime::strptime("%Y-%m-%d-%H%M%S", stamp).ok()
    }

    /// Writes a tag.
    pub fn format(&self, at: DateTime) -> String {
        format!("{}{}{}", self.prefix, at.strftime("%Y-%m-%d-%H%M%S"), self.suffix)
    }
}

fn strip_prefix<'a>(tag: &'a str, prefix: &str, separator: char) -> Option<&'a str> {
    if prefix.is_empty() {
        return Some(tag);
    }
    tag.strip_prefix(prefix)?.strip_prefix(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> DateTags {
        DateTags { prefix: "release".into() }
    }

    #[test]
    fn date_tags_order_by_day_then_revision() {
        let scheme = Scheme::Date(release());
        let mut tags =
            vec!["release/2015-06-10/10", "release/2015-06-10/9", "release/2014-12-31/1"];
        tags.sort_by(|a, b| scheme.compare(b, a));
        assert_eq!(tags, ["release/2015-06-10/10", "release/2015-06-10/9", "release/2014-12-31/1"]);
    }

    #[test]
    fn date_tags_refuse_what_only_looks_like_one() {
        for bad in [
            "release/2015-06-10",
            "release/2015-02-30/1",
            "release/2015-06-10/0",
            "release/2015-06-10/01",
            "release/2015-06-10/+1",
            "release/2015-6-1/1",
            "other/2015-06-10/1",
            "release2015-06-10/1",
            "release/2015-06-10/1/2",
        ] {
            assert_eq!(release().parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_hotfix_increments_the_revision_of_the_day() {
        let today = jiff::civil::date(2015, 6, 10);
        let existing = ["release/2015-06-10/1", "release/2015-06-10/2", "release/2015-06-09/7"];
        assert_eq!(release().next(existing, today), "release/2015-06-10/3");
        assert_eq!(release().next([], today), "release/2015-06-10/1");
    }

    #[test]
    fn semver_orders_pre_releases_before_the_release() {
        let scheme = Scheme::Semver(SemverTags { prefix: "v".into() });
        let mut tags = vec!["v1.4.0", "v1.4.0-rc.2", "v1.4.0-rc.10", "v1.10.0", "v1.4.0-alpha"];
        tags.sort_by(|a, b| scheme.compare(a, b));
        assert_eq!(tags, ["v1.4.0-alpha", "v1.4.0-rc.2", "v1.4.0-rc.10", "v1.4.0", "v1.10.0"]);
        assert!(!scheme.matches("1.4.0") && !scheme.matches("v1.4"));
    }

    #[test]
    fn timestamps_order_by_the_second_within_their_suffix() {
        let tags = TimestampTags { prefix: String::new(), suffix: "-production".into() };
        let scheme = Scheme::Timestamp(tags.clone());
        let mut found = [
            "2024-06-10-123456-production",
            "2024-06-10-123457-production",
            "2023-12-31-235959-production",
        ];
        found.sort_by(|a, b| scheme.compare(b, a));
        assert_eq!(found[0], "2024-06-10-123457-production");
        assert_eq!(found[2], "2023-12-31-235959-production");
        for bad in [
            "2024-06-10-123456",
            "2024-06-10-123456-test",
            "2024-06-31-123456-production",
            "2024-06-10-250000-production",
            "2024-6-10-123456-production",
            "latest",
        ] {
            assert!(!scheme.matches(bad), "{bad}");
        }
        let at = jiff::civil::datetime(2024, 6, 10, 12, 34, 56, 0);
        assert_eq!(tags.format(at), "2024-06-10-123456-production");
        assert_eq!(tags.parse(&tags.format(at)), Some(at));
    }

    #[test]
    fn semver_next_increments_one_part() {
        let tags = SemverTags { prefix: "v".into() };
        let existing = ["v1.4.2", "v1.3.9"];
        assert_eq!(tags.next(existing, SemverPart::Patch), "v1.4.3");
        assert_eq!(tags.next(existing, SemverPart::Minor), "v1.5.0");
        assert_eq!(tags.next(existing, SemverPart::Major), "v2.0.0");
        assert_eq!(tags.next(["v1.5.0-rc.1", "v1.4.2"], SemverPart::Patch), "v1.5.0");
        assert_eq!(tags.next([], SemverPart::Minor), "v0.1.0");
    }
}
