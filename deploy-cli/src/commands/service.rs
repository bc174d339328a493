//! `service`: the services of the hosts, without another version.

mod status;

use clap::{Args, Subcommand};
use deploy_core::{
    plan::Action,
    record::{Command, Exit},
};

use super::rollout::{self, Wish};
use crate::{
    args::{BatchArgs, BeginArgs, HostsArgs},
    context::Context,
    error::CommandError,
};

/// Start, stop, restart or reload the services of the hosts, or ask how they are
///
/// Like a deploy: canary first, batch by batch, within the budgets, locked, checked and in the
/// history; but nothing can be taken back, so a budget that is exceeded stops the run. Hosts that
/// serve nothing are left alone.
///
/// Exit codes: 0 done; 1 refused, nothing was touched; 4 a service is left down, unhealthy or
/// unknown; 5 locked by another run; 6 not done on all hosts; 130 interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli service status
  deploy-cli service restart --batch 10%")]
pub struct ServiceArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Start what is not running, and check
    #[command(after_help = "\
Examples:
  deploy-cli service start --hosts web07")]
    Start(OperateArgs),
    /// Stop; nothing is checked afterwards
    #[command(after_help = "\
Examples:
  deploy-cli service stop --hosts 'web0*' -m 'the disk is changed'")]
    Stop(OperateArgs),
    /// Restart, and check
    #[command(after_help = "\
Examples:
  deploy-cli service restart --batch 1 --yes")]
    Restart(OperateArgs),
    /// Let what is running read its files anew, and check
    #[command(after_help = "\
Examples:
  deploy-cli service reload")]
    Reload(OperateArgs),
    /// Show how the services are; hosts that are alike together
    ///
    /// Takes no lock and changes nothing. Exit code 6 when a host could not be asked.
    #[command(after_help = "\
Examples:
  deploy-cli service status --hosts web07")]
    Status(StatusArgs),
}

#[derive(Debug, Args)]
struct OperateArgs {
    #[command(flatten)]
    only: HostsArgs,
    #[command(flatten)]
    pace: BatchArgs,
    #[command(flatten)]
    begin: BeginArgs,
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    only: HostsArgs,
}

/// Operates the services, or asks how they are.
pub(crate) async fn cmd_service(
    context: &Context,
    args: &ServiceArgs,
) -> Result<Exit, CommandError> {
    let (action, args) = match &args.what {
        What::Start(args) => (Action::Start, args),
        What::Stop(args) => (Action::Stop, args),
        What::Restart(args) => (Action::Restart, args),
        What::Reload(args) => (Action::Reload, args),
        What::Status(args) => return status::show(context, &args.only.hosts).await,
    };
    let wish = Wish {
        batch: args.pace.batch,
        // No version is brought anywhere, so what lies in the work tree is no matter.
        allow_dirty: true,
        ..Wish::begun(Command::Service(action), &args.only, &args.begin)
    };
    rollout::run(context, &wish).await
}
