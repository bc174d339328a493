//! Which hosts are meant: lists in the configuration, files, and the `--hosts` filter.

mod ended;
mod filter;
mod pattern;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use deploy_core::model::Target;

pub use ended::{Ended, ParseEndedError};
pub use filter::{Filter, FilterError, Lists};
pub use pattern::{PatternError, expand};

/// The longest file of hosts that is read.
const LONGEST: u64 = 16 << 20;

/// The most hosts that one file may stand for.
const MOST: usize = 100_000;

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
    /// It stands for more hosts than anybody means.
    #[error("{path} stands for more than {MOST} hosts")]
    TooMany {
        /// The file.
        path: String,
    },
}

/// Reads a file with one host a line; empty lines and what follows a `#` are left out, ranges such
/// as `web[01-20]` are expanded.
///
/// # Errors
/// [`HostsFileError`] with the line that is no host.
pub fn read_file(path: &Path) -> Result<Vec<Target>, HostsFileError> {
    let shown = path.display().to_string();
    let text = read_bounded(path)
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
        if targets.len() > MOST {
            return Err(HostsFileError::TooMany { path: shown });
        }
    }
    Ok(targets)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 16 MiB"));
    }
    Ok(text)
}
