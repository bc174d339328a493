//! How sessions are made.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use deploy_core::model::Target;

/// How sessions are made: what goes beyond ssh's own configuration. Cheap to clone.
///
/// Hosts, ports, users, keys, jump hosts and algorithms come from `ssh_config`, as `ssh -G` reads
/// it. Host keys are always checked strictly, whatever `StrictHostKeyChecking` says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SshConfig {
    /// The user to log in as on targets. A `user@` in a target's name goes before it; it goes
    /// before `User` in `ssh_config`, and does not apply to jump hosts.
    pub user: Option<String>,
    /// The `ssh_config` to read instead of the user's and the system's, as `ssh -F`.
    pub config_file: Option<PathBuf>,
    /// Where the answers of `ssh -G` are kept from run to run, for as long as nothing changes that
    /// they depend on; it is made, for its owner alone. `None`: every run asks anew.
    pub cache_dir: Option<PathBuf>,
    /// How long a connection may take to stand; the login may take as long again. A
    /// `ConnectTimeout` of `ssh_config` goes before it.
    pub connect_timeout: Duration,
    /// How often a target gives a sign of life; after three are missing the link is lost. A
    /// shorter `ServerAliveInterval` of `ssh_config` goes before it.
    pub heartbeat: Duration,
    /// How many connections to one sshd, jump host or ProxyCommand may be on their way at a time.
    /// Halved for as long as the other side drops them before the login.
    pub max_starts: usize,
    /// How many connections may be on their way in all.
    pub max_starts_in_all: usize,
    /// How many steps may run on one target at a time; each needs a channel, and one more is
    /// needed to kill (sshd's `MaxSessions` is 10).
    pub max_shells: usize,
    /// Targets that are this machine: steps run in a local `sh`. A target named `local` always is.
    pub local: BTreeSet<Target>,
}

impl Default for SshConfig {
    fn default() -> Self {
        Self {
            user: None,
            config_file: None,
            cache_dir: None,
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(5),
            max_starts: 10,
            max_starts_in_all: 64,
            max_shells: 4,
            local: BTreeSet::new(),
        }
    }
}

impl SshConfig {
    /// Whether `target` is this machine.
    pub fn is_local(&self, target: &Target) -> bool {
        target.as_str() == "local" || self.local.contains(target)
    }
}
