//! The id of an object, checked before it meets a command.

use deploy_core::model::VersionId;

/// The full id of a git object: 40 or 64 lower-case hexadecimal digits.
///
/// Ids reach us from journals, targets and people; only this type reaches a command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Oid(String);

impl Oid {
    /// Reads an id, or `None` when it is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (matches!(text.len(), 40 | 64) && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// Reads an id from what a command wrote, line feed and all.
    pub(crate) fn from_output(bytes: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(bytes).ok()?.trim_end_matches('\n'))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits.
    pub(crate) fn short(&self) -> &str {
        &self.0[..12]
    }

    pub(crate) fn of(version: &VersionId) -> Option<Self> {
        Self::parse(version.as_str())
    }
}

impl std::fmt::Display for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_lower_case_ids_pass() {
        let good = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Oid::parse(good).unwrap().short(), "0123456789ab");
        assert!(Oid::from_output(format!("{good}\n").as_bytes()).is_some());
        for bad in ["", "0123", &good.to_uppercase(), &format!("-{}", &good[1..]), &good[1..]] {
            assert!(Oid::parse(bad).is_none(), "{bad}");
        }
    }
}
