//! Options that several commands have.

use clap::{Arg, Args};
use clap_complete::ArgValueCompleter;
use deploy_core::plan::BatchSize;

use crate::completion;

/// Which hosts a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct HostsArgs {
    /// Only these hosts: globs, h[01-20], !not, @FILE, @RUN/failed, separated by commas
    #[arg(long, value_name = "HOSTS", add = ArgValueCompleter::new(completion::hosts))]
    pub(crate) hosts: Vec<String>,
}

/// How fast a command goes through a group.
#[derive(Debug, Clone, Args)]
pub(crate) struct BatchArgs {
    /// How many hosts of a group at once: a number, a percentage, or `all`
    #[arg(long, value_name = "SIZE")]
    pub(crate) batch: Option<BatchSize>,
}

/// How a command that changes hosts, under the lock, is begun.
#[derive(Debug, Clone, Args)]
pub(crate) struct BeginArgs {
    /// Answer yes: to the first confirmation, and between groups; without a terminal it is needed
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Why, for lock, journal and notifications
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Wait for the lock instead of giving up
    #[arg(long)]
    pub(crate) wait: bool,
}

impl BeginArgs {
    /// The help of `--yes` where nothing is asked between groups.
    pub(crate) fn asked_once(yes: Arg) -> Arg {
        yes.help("Do not ask first; without a terminal it is needed")
    }
}
