//! Which hosts are meant: lists in the configuration, files, and the `--hosts` filter.

mod filter;
mod pattern;

use std::path::Path;

use deploy_core::model::Target;

pub use filter::{Filter, FilterError};
pub use pattern::{PatternError, expand};

/// Why a file of hosts was refused.
#[derive(Debug, thiserror::Error)]
pub enum HostsFileError {
    /// It could not be read.
    #[error("read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is no host.
    #[error("{path}:{line}")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// Why.
        #[source]
        source: PatternError,
    },
}

/// Reads a file with one host a line; empty lines and what follows a `#` are left out, ranges such
/// as `web[01-20]` are expanded.
///
/// # Errors
/// [`HostsFileError`] with the line that is no host.
pub fn read_file(path: &Path) -> Result<Vec<Target>, HostsFileError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| HostsFileError::Unreadable { path: shown.clone(), source })?;
    let mut targets = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let host = line.split('#').next().unwrap_or_default().trim();
        if host.is_empty() {
            continue;
        }
        let expanded = expand(host).map_err(|source| HostsFileError::Line {
            path: shown.clone(),
            line: index + 1,
            source,
        })?;
        targets.extend(expanded);
    }
    Ok(targets)
}
