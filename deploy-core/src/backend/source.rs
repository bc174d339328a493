//! Where versions come from.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BackendError;
use crate::model::{Version, VersionId, VersionRef};

/// Knows the versions of an app: a git repository, a registry.
///
/// # How to implement it
/// `resolve` gives an id that never means anything else later (a commit, a digest), and keeps the name
/// that was typed. Refuse here, with a hint, what may not be deployed: nothing is touched yet. Order
/// by the scheme, not by time. Use what is local where that is possible: a plan asks `changes` once
/// per pair of versions.
#[async_trait]
pub trait VersionSource: fmt::Debug + Send + Sync {
    /// Resolves what a person typed to an exact version.
    ///
    /// # Errors
    /// `NotFound` when there is no such version, with the nearest names as the hint; `Rejected`
    /// when it may not be deployed (a modified tree, a commit outside the allowed branch or
    /// remote); also for [`VersionRef::Previous`], which only the targets can answer.
    async fn resolve(&self, wanted: &VersionRef) -> Result<Version, BackendError>;

    /// Lists at most `limit` versions of the scheme, newest first.
    async fn list(&self, limit: usize) -> Result<Vec<Listed>, BackendError>;

    /// What lies between two versions. A version that the source does not have gives
    /// [`Relation::Unknown`], not an error.
    async fn changes(&self, from: &Version, to: &Version) -> Result<Changes, BackendError>;
}

/// A version as it is listed for a person. All strings are somebody's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The version; its name is the tag.
    pub version: Version,
    /// Who made it.
    pub author: String,
    /// When.
    pub date: Timestamp,
    /// The first line of its message.
    pub subject: String,
}

/// How one version stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// They are the same.
    Same,
    /// The second contains the first.
    Forward,
    /// The first contains the second: going there is a downgrade.
    Backward,
    /// Each has what the other lacks.
    Diverged,
    /// The source cannot say.
    Unknown,
}

/// What lies between two versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// How the second stands to the first.
    pub relation: Relation,
    /// The commits that arrive, newest first; for a downgrade, those that leave.
    pub commits: Vec<Commit>,
}

/// A commit, for a person to read. All strings are somebody's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: VersionId,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
}
