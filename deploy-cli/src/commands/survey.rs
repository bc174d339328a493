//! Asking all hosts what they serve, without a run.

use deploy_core::{backend::Cancel, model::Group, plan::Survey};

use crate::{
    context::{Context, Project},
    error::CommandError,
    wire::{self, Wired},
};

/// Asks all configured hosts. Takes no lock and changes nothing.
pub(super) async fn ask_all(context: &Context, project: &Project) -> Result<Survey, CommandError> {
    let wired = wire::pipeline(context, project, false)?;
    let survey = ask(context, project, &wired, &wire::groups(&project.loaded)?).await;
    wired.close().await;
    survey
}

/// Asks the hosts of `groups`.
pub(super) async fn ask(
    context: &Context,
    project: &Project,
    wired: &Wired,
    groups: &[Group],
) -> Result<Survey, CommandError> {
    let run = context.run_id();
    let strategy = wire::strategy(&project.loaded.config.run);
    let cancel = Cancel::new();
    let survey = wired.pipeline.survey(
        groups,
        &strategy.timeouts,
        &strategy.retry,
        &run,
        &project.who,
        &cancel,
    );
    tokio::select! {
        survey = survey => Ok(survey),
        () = crate::signals::ended() => Err(CommandError::interrupted()),
    }
}
