//! What can go wrong with a cluster.

use std::{io, path::PathBuf};

/// Why a cluster could not be started, used or taken down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KubeError {
    /// What a cluster is made of is not there.
    #[error("a test cluster needs {}: `cargo xtask kube build` brings it here", .programs.join(", "))]
    Missing {
        /// The programs.
        programs: Vec<String>,
    },
    /// It is not there, and only root can bring it here, on a machine with `apt-get`.
    #[error(
        "a control plane has to be built once, as root and with apt-get, in 5 to 8 minutes:\n    {command}"
    )]
    NeedsRoot {
        /// What to run.
        command: String,
    },
    /// The name cannot be used for a cluster.
    #[error("`{name}` is no name for a cluster: use 1 to 30 of a-z, 0-9 and -, a letter first")]
    Name {
        /// What was given.
        name: String,
    },
    /// A cluster of this name is up.
    #[error("cluster `{name}` is already up (`cargo xtask kube --name {name} down` removes it)")]
    InUse {
        /// The cluster's name.
        name: String,
    },
    /// There is no cluster of this name.
    #[error("no cluster `{name}` is up (`cargo xtask kube --name {name} up` starts one)")]
    NoCluster {
        /// The cluster's name.
        name: String,
    },
    /// A part of it did not come up in time.
    #[error("{part} of the cluster did not come up in time; the end of its log:\n{log}")]
    Start {
        /// The part.
        part: &'static str,
        /// The last lines of its log.
        log: String,
    },
    /// Its API server did not do what it was asked.
    #[error("the API server answered {status} to {request}: {answer}")]
    Refused {
        /// What was asked.
        request: String,
        /// The status.
        status: u16,
        /// What it said.
        answer: String,
    },
    /// A program ended with an error.
    #[error("{program} failed: {said}")]
    Program {
        /// The program.
        program: String,
        /// What it said.
        said: String,
    },
    /// Something with a file or a process.
    #[error("could not {attempted} {}", .path.display())]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl KubeError {
    /// For `map_err`.
    pub(crate) fn io(
        attempted: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { attempted, path, source }
    }
}
