//! The command line.

mod options;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::ArgValueCompleter;
use deploy_core::model::Environment;

pub(crate) use self::options::{BatchArgs, BeginArgs, HostsArgs};
use crate::{commands, completion, ui::Color};

/// Bring a version of a service onto a fleet: canary first, checked, and back when it must
///
/// Start with `deploy-cli init` in the repository of what you deploy; then `plan` shows what
/// `deploy` would do.
///
/// Exit codes: 0 done; 1 refused, nothing was touched; 2 wrong usage; 3 a failure budget was
/// exceeded and all hosts are back and healthy; 4 the fleet is mixed, or a host's state is unknown;
/// 5 locked by another run; 6 done within the budget, but not on all hosts; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "deploy-cli", version, max_term_width = 100)]
pub struct Cli {
    /// What holds for all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for all commands.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// The environment: an overlay of the configuration
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCompleter::new(completion::environments))]
    pub env: Option<Environment>,
    /// The configuration, instead of the nearest deploy.toml
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Machine-readable output: JSON, one value a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Who runs this, for lock, journal and hosts
    #[arg(long = "as", global = true, value_name = "WHO")]
    pub as_who: Option<String>,
    /// Show each stage of each host
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colours; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// What to do. Each command has a file of its own in [`commands`].
#[derive(Debug, Subcommand)]
pub enum Command {
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Init(commands::InitArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Versions(commands::VersionsArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Tag(commands::TagArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Plan(commands::PlanArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Deploy(commands::DeployArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Rollback(commands::RollbackArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    CatchUp(commands::CatchUpArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Status(commands::StatusArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Doctor(commands::DoctorArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Service(commands::ServiceArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Run(commands::RunArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Adopt(commands::AdoptArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    History(commands::HistoryArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Show(commands::ShowArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Lock(commands::LockArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Unlock(commands::UnlockArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Config(commands::ConfigArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Completions(commands::CompletionsArgs),
    #[expect(missing_docs, reason = "the doc comment of the arguments is the help")]
    Man(commands::ManArgs),
}

/// The examples of a command's help: command lines, each with what it is for behind a `#`.
pub fn examples(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some(examples) = help.strip_prefix("Examples:\n") else { return Vec::new() };
    examples.lines().map(|line| line.trim().to_owned()).collect()
}

/// Reads how many of something are wanted.
///
/// # Errors
/// For none, and for what is no number.
pub(crate) fn from_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("none would be listed: give 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}
