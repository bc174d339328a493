//! One file a command: its arguments, whose doc comment is the help, and what it does.

mod adopt;
mod catch_up;
mod completions;
mod config;
mod deploy;
mod doctor;
mod history;
mod init;
mod last_known;
mod lock;
mod man;
mod plan;
mod rollback;
mod rollout;
mod run;
mod saving;
mod selection;
mod service;
mod show;
mod status;
mod survey;
mod tag;
mod unlock;
mod versions;

pub use adopt::AdoptArgs;
pub use catch_up::CatchUpArgs;
pub use completions::CompletionsArgs;
pub use config::ConfigArgs;
pub use deploy::DeployArgs;
pub use doctor::DoctorArgs;
pub use history::HistoryArgs;
pub use init::InitArgs;
pub use lock::LockArgs;
pub use man::ManArgs;
pub use plan::PlanArgs;
pub use rollback::RollbackArgs;
pub use run::RunArgs;
pub use service::ServiceArgs;
pub use show::ShowArgs;
pub use status::StatusArgs;
pub use tag::TagArgs;
pub use unlock::UnlockArgs;
pub use versions::VersionsArgs;

use deploy_core::{
    plan::Plan,
    record::{Exit, Summary},
};

use crate::{
    args::Command,
    config::StepStage,
    context::{Context, Project},
    error::CommandError,
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
        Command::CatchUp(args) => catch_up::cmd_catch_up(context, args).await,
        Command::Rollback(args) => rollback::cmd_rollback(context, args).await,
        Command::Status(args) => status::cmd_status(context, args).await,
        Command::Doctor(args) => doctor::cmd_doctor(context, args).await,
        Command::Service(args) => service::cmd_service(context, args).await,
        Command::Run(args) => run::cmd_run(context, args).await,
        Command::Adopt(args) => adopt::cmd_adopt(context, args).await,
        Command::History(args) => history::cmd_history(context, args),
        Command::Show(args) => show::cmd_show(context, args).await,
        Command::Lock(args) => lock::cmd_lock(context, args).await,
        Command::Unlock(args) => unlock::cmd_unlock(context, args).await,
        Command::Config(args) => config::cmd_config(context, args).await,
        Command::Completions(args) => completions::cmd_completions(context, args),
        Command::Man(args) => man::cmd_man(context, args),
    }
}

/// What the summary needs to write the command that finishes the rest.
fn finish(project: &Project, summary: &Summary) -> Finish {
    // Where nobody can tell what the whole fleet is, the hosts of the run are named.
    let narrowed = wire::groups(&project.loaded).map_or(true, |groups| {
        let mut all = groups.iter().flat_map(|group| &group.targets);
        all.any(|target| !summary.targets.contains_key(target))
    });
    Finish {
        scheme: wire::scheme(&project.loaded.config.version),
        options: project.options.clone(),
        allowed: String::new(),
        narrowed,
        running: false,
    }
}

/// The plan in lines, with the steps that build a release.
fn plan_lines(context: &Context, project: &Project, plan: &Plan) -> Vec<String> {
    report::plan_lines(plan, &builds(project), &context.ui)
}

/// The steps that build a release, each with its command.
fn builds(project: &Project) -> Vec<(String, String)> {
    let steps = project.loaded.config.step.iter();
    let builds = steps.filter(|step| step.stage == StepStage::Fetch);
    builds.map(|step| (step.name.clone(), step.command.clone())).collect()
}
