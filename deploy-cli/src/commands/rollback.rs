//! `rollback`: bring the hosts back.

use clap::Args;
use deploy_core::{
    model::VersionRef,
    record::{Command, Exit},
};

use super::rollout::{self, Wish};
use crate::{context::Context, error::CommandError};

/// Bring the hosts back to their last good version, all at once
///
/// Without VERSION each host goes to the last version that once finished on it and is not live.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The version to go back to: a tag, branch or commit
    #[arg(value_name = "VERSION")]
    version: Option<VersionRef>,
    /// Only these hosts: globs, h[01-20], !not, @FILE, @RUN/failed, separated by commas
    #[arg(long, value_name = "HOSTS")]
    hosts: Vec<String>,
    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
    /// Why, for lock, journal and notifications
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Wait for the lock instead of giving up
    #[arg(long)]
    wait: bool,
}

/// Runs a rollback.
pub(crate) async fn cmd_rollback(
    context: &Context,
    args: &RollbackArgs,
) -> Result<Exit, CommandError> {
    let wish = Wish {
        command: Command::Rollback,
        version: args.version.clone().filter(|version| *version != VersionRef::Previous),
        batch: None,
        hosts: args.hosts.clone(),
        yes: args.yes,
        redeploy: false,
        message: args.message.clone(),
        wait: args.wait,
        allow_dirty: true,
        allow_downgrade: true,
    };
    rollout::run(context, &wish).await
}
