//! Versions: what a person types, what it resolves to, and the release that a target serves.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::name::name_type;

name_type! {
    /// The exact, immutable identity of a version: a commit's object id, or an image digest.
    VersionId, "version id", ":", 128
}

name_type! {
    /// The identity of what a target serves: the version, and a digest of whatever else decides
    /// what is served (rendered files, shared list, steps, layout options).
    ReleaseId, "release id", ":", 128
}

impl VersionId {
    /// The first twelve characters, enough for a person to tell versions apart.
    pub fn short(&self) -> &str {
        let digest = self.as_str().rsplit(':').next().unwrap_or_default();
        &digest[..digest.len().min(12)]
    }
}

/// An exact version, with the name by which it was found.
///
/// The name is somebody's words (a tag, a branch): escape it before it reaches a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// What exactly is meant.
    pub id: VersionId,
    /// The tag or branch it was resolved from, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.pad(name),
            None => f.pad(self.id.short()),
        }
    }
}

/// What a target serves, or is to serve: a version as it is laid out there.
///
/// Two targets that serve the same release serve the same bytes; so equality is by `id`.
#[derive(Debug, Clone, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The identity, and the name of the release's directory where there is one.
    pub id: ReleaseId,
    /// The version that it was made from.
    pub version: Version,
}

impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.version.fmt(f)
    }
}

/// What a person typed to say which version is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionRef {
    /// The newest version by the scheme's own order.
    Latest,
    /// The last good version that is not live. Resolved per target, from what it has.
    Previous,
    /// A tag, a branch, a commit or any other name the source understands.
    Named(String),
}

impl FromStr for VersionRef {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "latest" => Self::Latest,
            "previous" => Self::Previous,
            name => Self::Named(name.to_owned()),
        })
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Latest => "latest",
            Self::Previous => "previous",
            Self::Named(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_drop_the_algorithm() {
        let id = VersionId::new("sha256:0123456789abcdef").unwrap();
        assert_eq!(id.short(), "0123456789ab");
        assert_eq!(VersionId::new("abc").unwrap().short(), "abc");
    }
}
