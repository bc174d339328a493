//! `deploy`: bring a version onto the hosts.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use deploy_core::{
    model::VersionRef,
    record::{Command, Exit},
};

use super::rollout::{self, Applied, Wish};
use crate::{
    args::{BatchArgs, BeginArgs, HostsArgs},
    completion,
    context::Context,
    error::CommandError,
};

/// Deploy a version: canary first, batch by batch, checked, and back when it must
///
/// The same command again finishes what is left: hosts that serve the version already are only
/// checked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli deploy                     # the latest version
  deploy-cli --env beta deploy v1.4.2 -m 'mend the login'
  deploy-cli deploy v1.4.2 --hosts 'web[01-20],!web07' --batch 25%
  deploy-cli deploy --plan next.plan --yes --wait")]
pub struct DeployArgs {
    /// A tag, branch or commit; `latest`; or `previous`, which is the same as `rollback`
    #[arg(
        default_value = "latest",
        value_name = "VERSION",
        add = ArgValueCompleter::new(completion::versions)
    )]
    version: VersionRef,
    /// Apply this saved plan (`plan -o FILE`), and refuse when anything has moved since
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["version", "batch", "hosts", "redeploy"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    pace: BatchArgs,
    #[command(flatten)]
    only: HostsArgs,
    #[command(flatten)]
    begin: BeginArgs,
    /// Treat no host as unchanged: fetch, switch, restart and check all
    #[arg(long)]
    redeploy: bool,
    /// Allow modified files; they are not deployed
    #[arg(long)]
    allow_dirty: bool,
    /// Allow a version that is older than what is live, or diverged from it
    #[arg(long)]
    allow_downgrade: bool,
}

/// Runs a deploy.
pub(crate) async fn cmd_deploy(context: &Context, args: &DeployArgs) -> Result<Exit, CommandError> {
    let back = args.version == VersionRef::Previous;
    let applied = args.plan.as_deref();
    let applied = applied.map(|path| Applied::read(context, path, Command::Deploy)).transpose()?;
    let command = if back { Command::Rollback } else { Command::Deploy };
    let wish = Wish {
        version: (!back).then(|| args.version.clone()),
        batch: args.pace.batch,
        redeploy: args.redeploy,
        allow_dirty: args.allow_dirty,
        allow_downgrade: args.allow_downgrade,
        applied,
        ..Wish::begun(command, &args.only, &args.begin)
    };
    rollout::run(context, &wish).await
}
