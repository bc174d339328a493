//! What a change brings beside commits.

use std::fmt;

use async_trait::async_trait;

use super::{BackendError, Scope};
use crate::plan::Change;

/// Says what a change brings beside the files of the version itself: files that are rendered for
/// each target, objects of a cluster.
///
/// ```
/// use async_trait::async_trait;
/// use deploy_core::backend::{BackendError, FileDiff, Preview, Scope};
/// use deploy_core::plan::Change;
///
/// /// Each target gets a file with its own name.
/// #[derive(Debug)]
/// struct NamesFile;
///
/// #[async_trait]
/// impl Preview for NamesFile {
///     async fn diffs(&self, change: &Change, _: &Scope) -> Result<Vec<FileDiff>, BackendError> {
///         let diff = FileDiff { file: "name".into(), diff: format!("+{}", change.target) };
///         Ok(if change.from.is_none() { vec![diff] } else { Vec::new() })
///     }
/// }
/// ```
#[async_trait]
pub trait Preview: fmt::Debug + Send + Sync {
    /// What changes on the target of `change`, file by file. Asked while a plan is made, after the
    /// target said what is live, of several targets at once. Cancel-safe.
    ///
    /// # Guarantees
    /// Nothing on the target is changed. Nothing in the answer is secret: it is shown, and kept in
    /// journals. What cannot be known is left out, or said in words.
    ///
    /// # Errors
    /// When it cannot be known at all. A plan is made all the same, and warns.
    async fn diffs(&self, change: &Change, scope: &Scope) -> Result<Vec<FileDiff>, BackendError>;
}

/// What changes in one file on one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// The file.
    pub file: String,
    /// A unified diff, or words; several lines, for a person to read.
    pub diff: String,
}
