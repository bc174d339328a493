//! Why a connection did not come to be.

use std::{sync::Arc, time::Duration};

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::Target,
};

use super::distrust::Distrust;

/// Why a connection did not come to be. Nothing was begun on the target.
///
/// The messages name no address, name or key of the target: the same trouble on many of them is
/// told once. What belongs to one alone is in [`detail`](ConnectError::detail).
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Local(String),
    #[error("its name cannot be resolved: {reason}")]
    Resolve { host: String, reason: String },
    #[error("cannot connect: {reason}")]
    Tcp { address: String, reason: String },
    /// Before authentication, as an sshd does that has too many starts at once.
    #[error("the connection was closed before the login: {reason}")]
    Early { address: String, reason: String },
    #[error("no answer within {:.0} s ({phase})", .after.as_secs_f64())]
    Silent { address: String, phase: &'static str, after: Duration },
    #[error("{0}")]
    Protocol(String),
    #[error(transparent)]
    HostKey(#[from] Distrust),
    #[error("{user} was refused the login; {}", .offered.join("; "))]
    Login {
        user: String,
        host: String,
        /// The same login as a command for a person's shell.
        by_hand: String,
        offered: Vec<String>,
    },
    #[error("jump host {host}")]
    Jump { host: String, source: Arc<ConnectError> },
    #[error("the ProxyCommand ended: {0}")]
    Proxy(String),
    #[error("the time was up while connecting")]
    TimeUp,
    #[error("told to stop while connecting")]
    Cancelled,
    #[error("cannot start a shell on the target")]
    Shell { source: ShellRefused },
}

/// What prevented a shell on a connection that stands.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ShellRefused(pub(crate) String);

impl ConnectError {
    /// How often a start that failed like this is worth repeating.
    pub(crate) fn repeats(&self) -> u32 {
        match self {
            Self::Early { .. } => 12,
            // Perhaps the sshd behind it was too busy; more likely it is wrong.
            Self::Proxy(_) => 3,
            _ => 0,
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::HostKey(_) | Self::Login { .. } => ErrorKind::Denied,
            Self::Jump { source, .. } => source.kind(),
            Self::Config(_) | Self::Shell { .. } => ErrorKind::Rejected,
            Self::Local(_) | Self::Protocol(_) => ErrorKind::Broken,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Resolve { .. }
            | Self::Tcp { .. }
            | Self::Early { .. }
            | Self::Silent { .. }
            | Self::Proxy(_)
            | Self::TimeUp => ErrorKind::Unreachable,
        }
    }

    /// What belongs to this one target: where it was looked for, which key it showed.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Resolve { host, .. } => Some(format!("name: {host:?}")),
            Self::Tcp { address, .. }
            | Self::Early { address, .. }
            | Self::Silent { address, .. }
            | Self::Login { host: address, .. } => Some(format!("address: {address}")),
            Self::HostKey(distrust) => distrust.detail(),
            Self::Jump { source, .. } => source.detail(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::HostKey(distrust) => Some(distrust.hint()),
            Self::Jump { source, .. } => source.hint(),
            Self::Login { offered, .. } if offered.iter().any(|o| o.contains("ssh-add")) => {
                Some("add the key to the agent with ssh-add, and try again".to_owned())
            }
            Self::Login { by_hand, .. } => Some(format!("see that `{by_hand}` works")),
            Self::Early { .. } => Some(
                "sshd drops bursts of logins (MaxStartups); is anything else blocking us?"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// The same as the engine is told it.
    pub(crate) fn about(self, target: &Target) -> BackendError {
        let attempted = format!("connect to {target}");
        let (kind, hint, detail) = (self.kind(), self.hint(), self.detail());
        let mut error = BackendError::new(kind, attempted).with_source(self);
        if let Some(hint) = hint {
            error = error.with_hint(hint);
        }
        match detail {
            Some(detail) => error.with_evidence(detail),
            None => error,
        }
    }
}
