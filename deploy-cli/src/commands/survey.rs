//! Asking all hosts what they serve, without a run.

use deploy_core::{backend::Cancel, model::Group, plan::Survey};

use crate::{
    context::{Context, Project},
    error::CommandError,
    wire,
};

/// Asks all configured hosts. Takes no lock and changes nothing.
pub(super) async fn ask_all(context: &Context, project: &Project) -> Result<Survey, CommandError> {
    ask(context, project, &wire::groups(&project.loaded)?).await
}

/// Asks the hosts of `groups`.
pub(super) async fn ask(
    context: &Context,
    project: &Project,
    groups: &[Group],
) -> Result<Survey, CommandError> {
    let run = context.run_id();
    let wired = wire::pipeline(context, project, false)?;
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
    let survey = tokio::select! {
        survey = survey => survey,
        () = crate::signals::ended() => return Err(super::interrupted()),
    };
    wired.close().await;
    Ok(survey)
}
