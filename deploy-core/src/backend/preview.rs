//! What a change brings beside commits.

use std::fmt;

use crate::plan::Change;

/// Says what a change brings beside the files of the version itself: files that are rendered for
/// each target, values of a chart.
///
/// Asks nobody: it answers from what the targets said when they were asked what is live.
///
/// ```
/// use deploy_core::backend::{FileDiff, Preview};
/// use deploy_core::plan::Change;
///
/// /// Each target gets a file with its own name.
/// #[derive(Debug)]
/// struct NamesFile;
///
/// impl Preview for NamesFile {
///     fn diffs(&self, change: &Change) -> Vec<FileDiff> {
///         match &change.from {
///             Some(_) => Vec::new(),
///             None => vec![FileDiff { file: "name".into(), diff: format!("+{}", change.target) }],
///         }
///     }
/// }
/// ```
pub trait Preview: fmt::Debug + Send + Sync {
    /// What changes on the target of `change`, file by file.
    ///
    /// # Guarantees
    /// Nothing in it is secret: it is shown, and kept in journals. What cannot be known is left
    /// out.
    fn diffs(&self, change: &Change) -> Vec<FileDiff>;
}

/// What changes in one file on one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// The file.
    pub file: String,
    /// A unified diff, or words; several lines, for a person to read.
    pub diff: String,
}
