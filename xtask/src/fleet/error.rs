//! What can go wrong with a fleet.

use std::{io, path::PathBuf};

/// Why a fleet could not be booted, used or taken down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// The caller is not root.
    #[error("a fleet of test hosts needs root (for network namespaces and mounts)")]
    NeedsRoot,
    /// Programs that a fleet is made of are not installed.
    #[error("a fleet of test hosts needs {}, not found on this machine", .programs.join(", "))]
    Missing {
        /// Their names.
        programs: Vec<&'static str>,
    },
    /// The name cannot be used for a fleet.
    #[error("`{name}` is no name for a fleet: use 1 to 30 of a-z, 0-9 and -, a letter first")]
    Name {
        /// What was given.
        name: String,
    },
    /// A fleet of this name is up, and belongs to someone else.
    #[error("fleet `{name}` is already up (`cargo xtask fleet --name {name} down` removes it)")]
    InUse {
        /// The fleet's name.
        name: String,
    },
    /// There is no fleet of this name.
    #[error("no fleet `{name}` is up (`cargo xtask fleet --name {name} up 4` boots one)")]
    NoFleet {
        /// The fleet's name.
        name: String,
    },
    /// The fleet has no such host.
    #[error("fleet `{fleet}` has no host `{host}`")]
    NoHost {
        /// The fleet's name.
        fleet: String,
        /// What was asked for.
        host: String,
    },
    /// The host is powered off.
    #[error("{host} is powered off")]
    Off {
        /// The host.
        host: String,
    },
    /// A host did not come up in time.
    #[error("{host} did not {what} in time; the end of its console:\n{console}")]
    Boot {
        /// The host.
        host: String,
        /// What it did not do.
        what: &'static str,
        /// The last lines that it wrote.
        console: String,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// The operating system refused.
    #[error("could not {attempted}")]
    Io {
        /// What was attempted.
        attempted: String,
        /// Why it could not be done.
        #[source]
        source: io::Error,
    },
    /// Something is left after everything was removed.
    #[error("something did not go away: {left:?}")]
    Left {
        /// What is left.
        left: Vec<PathBuf>,
    },
}

impl FleetError {
    /// Wraps an [`io::Error`] for `map_err`; `attempted` completes "could not …".
    pub(super) fn io<E: Into<io::Error>>(attempted: impl Into<String>) -> impl FnOnce(E) -> Self {
        let attempted = attempted.into();
        move |source| Self::Io { attempted, source: source.into() }
    }
}
