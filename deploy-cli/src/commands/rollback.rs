//! `rollback`: bring the hosts back.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use deploy_core::{
    model::VersionRef,
    record::{Command, Exit},
};

use super::rollout::{self, Applied, Wish};
use crate::{
    args::{BeginArgs, HostsArgs},
    completion,
    context::Context,
    error::CommandError,
};

/// Bring the hosts back to their last good version, all at once
///
/// Without VERSION each host goes to the last version that once finished on it and is not live.
#[derive(Debug, Args)]
#[command(
    mut_arg("yes", BeginArgs::asked_once),
    after_help = "\
Examples:
  deploy-cli rollback                   # to what was good before
  deploy-cli rollback v1.4.1 --yes"
)]
pub struct RollbackArgs {
    /// The version to go back to: a tag, branch or commit
    #[arg(value_name = "VERSION", add = ArgValueCompleter::new(completion::versions))]
    version: Option<VersionRef>,
    /// Apply this saved plan of a rollback, and refuse when anything has moved since
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["version", "hosts"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    only: HostsArgs,
    #[command(flatten)]
    begin: BeginArgs,
}

/// Runs a rollback.
pub(crate) async fn cmd_rollback(
    context: &Context,
    args: &RollbackArgs,
) -> Result<Exit, CommandError> {
    let applied = args.plan.as_deref();
    let applied =
        applied.map(|path| Applied::read(context, path, Command::Rollback)).transpose()?;
    let wish = Wish {
        applied,
        version: args.version.clone().filter(|version| *version != VersionRef::Previous),
        allow_dirty: true,
        allow_downgrade: true,
        ..Wish::begun(Command::Rollback, &args.only, &args.begin)
    };
    rollout::run(context, &wish).await
}
