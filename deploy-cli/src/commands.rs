//! One file a command: its arguments, whose doc comment is the help, and what it does.

mod config;
mod deploy;
mod history;
mod init;
mod last_known;
mod lock;
mod plan;
mod rollback;
mod rollout;
mod show;
mod status;
mod survey;
mod tag;
mod unlock;
mod versions;

pub use config::ConfigArgs;
pub use deploy::DeployArgs;
pub use history::HistoryArgs;
pub use init::InitArgs;
pub use lock::LockArgs;
pub use plan::PlanArgs;
pub use rollback::RollbackArgs;
pub use show::ShowArgs;
pub use status::StatusArgs;
pub use tag::TagArgs;
pub use unlock::UnlockArgs;
pub use versions::VersionsArgs;

use deploy_core::{model::Group, plan::Plan, record::Exit};

use crate::{
    args::Command,
    config::StepStage,
    context::{Context, Project},
    error::{CommandError, Kind},
    hosts::{Filter, FilterError},
    report::{self, Finish},
    wire,
};

/// Runs one command.
pub(crate) async fn dispatch(context: &Context, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Init(args) => init::cmd_init(context, args),
        Command::Versions(args) => versions::cmd_versions(context, args).await,
        Command::Tag(args) => tag::cmd_tag(context, args).await,
        Command::Plan(args) => plan::cmd_plan(context, args).await,
        Command::Deploy(args) => deploy::cmd_deploy(context, args).await,
        Command::Rollback(args) => rollback::cmd_rollback(context, args).await,
        Command::Status(args) => status::cmd_status(context, args).await,
        Command::History(args) => history::cmd_history(context, args),
        Command::Show(args) => show::cmd_show(context, args).await,
        Command::Lock(args) => lock::cmd_lock(context, args),
        Command::Unlock(args) => unlock::cmd_unlock(context, args).await,
        Command::Config(args) => config::cmd_config(context, args),
    }
}

/// The groups that a filter leaves, or the error that says what it does not match.
fn filtered(
    filter: Result<Filter, FilterError>,
    groups: Vec<Group>,
) -> Result<Vec<Group>, CommandError> {
    let applied = filter.and_then(|filter| filter.apply(groups));
    applied.map_err(|error| {
        let hint = match &error {
            FilterError::Unmatched { near, .. } if !near.is_empty() => {
                Some(format!("did you mean {}?", near.join(", ")))
            }
            FilterError::Unmatched { .. } | FilterError::Nothing => {
                Some("`deploy-cli status` lists the hosts".to_owned())
            }
            FilterError::Empty => Some("leave it out to mean all hosts".to_owned()),
            FilterError::Part(..) | FilterError::File(..) => None,
        };
        let error = CommandError::refused(error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

/// What the summary needs to write the command that finishes the rest.
fn finish(project: &Project, hosts: &[String]) -> Finish {
    Finish {
        scheme: wire::scheme(&project.loaded.config.version),
        options: project.options.clone(),
        allowed: String::new(),
        hosts: hosts.to_vec(),
        running: false,
    }
}

/// The plan in lines, with the steps that build a release.
fn plan_lines(context: &Context, project: &Project, plan: &Plan) -> Vec<String> {
    let steps = project.loaded.config.step.iter();
    let builds: Vec<(String, String)> = steps
        .filter(|step| step.stage == StepStage::Fetch)
        .map(|step| (step.name.clone(), step.command.clone()))
        .collect();
    report::plan_lines(plan, &builds, &context.ui)
}

fn interrupted() -> CommandError {
    CommandError::new(Kind::Interrupted, "interrupted; nothing was touched")
}
