//! What carries a shell: a channel of an SSH connection, or the pipes of a child process.

use std::{fmt, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{driver::Connection, local};

/// The way to a target. Everything above it is the same for both.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    Ssh(Arc<Connection>),
    Local,
}

/// The ends of a shell that was started.
pub(crate) struct ShellIo {
    pub stdin: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    pub stdout: Box<dyn AsyncRead + Send + Sync + Unpin>,
    pub stderr: Box<dyn AsyncRead + Send + Sync + Unpin>,
}

impl fmt::Debug for ShellIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShellIo")
    }
}

impl Link {
    /// Starts `command`, a fixed text, in a session of its own.
    ///
    /// # Errors
    /// What prevented it. Nothing was started then, or it ends when it finds its input closed.
    pub(crate) async fn open_shell(&self, command: &str) -> Result<ShellIo, String> {
        match self {
            Self::Ssh(connection) => connection.exec(command).await,
            Self::Local => local::open_shell(command),
        }
    }

    /// Kills every process of the group `pgid`. For a group that is gone, does nothing.
    pub(crate) async fn kill_group(&self, pgid: i32) -> Result<(), String> {
        match self {
            Self::Ssh(connection) => {
                // Without `--`, which dash and busybox do not take here.
                let command = format!("exec sh -c 'kill -KILL -{pgid}'");
                connection.exec(&command).await.map(drop)
            }
            Self::Local => local::kill_group(pgid),
        }
    }

    /// Whether both are the very same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ssh(one), Self::Ssh(other)) => Arc::ptr_eq(one, other),
            (Self::Local, Self::Local) => true,
            _ => false,
        }
    }

    /// Cuts it at once, without a word to the other side.
    pub(crate) fn cut(&self) {
        if let Self::Ssh(connection) = self {
            connection.cut();
        }
    }

    /// Why it is of no use any more, if it is.
    pub(crate) fn loss(&self) -> Option<String> {
        match self {
            Self::Ssh(connection) => connection.loss(),
            Self::Local => None,
        }
    }
}
