//! `config --check`: whether a deploy would be refused because of the configuration.

use deploy_core::{
    backend::VersionSource,
    model::{Environment, VersionRef},
    record::Exit,
};

use crate::{
    config, context::Context, display, error::CommandError, repo::Repo, report::escape_json, wire,
};

/// Reads the configuration of each environment, and makes of it what a deploy would. Asks no host.
pub(super) async fn check(context: &Context) -> Result<Exit, CommandError> {
    let mut wrong = Vec::new();
    let environments = environments(context)?;
    for environment in &environments {
        let mut context = context.clone();
        context.global.env.clone_from(environment);
        let checked = usable(&context).await;
        if context.global.json {
            let error = checked.as_ref().err().map(CommandError::told);
            let line = serde_json::json!({ "environment": environment, "error": error });
            context.ui.line(&escape_json(&line.to_string()));
        }
        if let Err(error) = checked {
            wrong.push(error);
        }
    }
    let last = wrong.pop();
    wrong.iter().for_each(|error| error.print(&context.ui));
    if let Some(last) = last {
        return Err(last);
    }
    if !context.global.json {
        let names: Vec<&str> = environments.iter().flatten().map(Environment::as_str).collect();
        let of = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        context.ui.line(&format!("the configuration is right{}", display::line(&of)));
    }
    Ok(Exit::Complete)
}

/// What is to be checked: the environment that was chosen, else each that there is.
fn environments(context: &Context) -> Result<Vec<Option<Environment>>, CommandError> {
    if context.global.env.is_some() {
        return Ok(vec![context.global.env.clone()]);
    }
    let all = config::environments(&context.wanted(&Repo::find(&context.cwd)?))?;
    Ok(if all.is_empty() { vec![None] } else { all.into_iter().map(Some).collect() })
}

async fn usable(context: &Context) -> Result<(), CommandError> {
    let project = context.project()?;
    let groups = wire::groups(&project.loaded)?;
    let wired = wire::pipeline(context, &project, true)?;
    wire::require_variables(&project.loaded)?;
    wired.renderable()?;
    // The templates that belong to this configuration are those of the last commit.
    let head = VersionRef::Named("HEAD".to_owned());
    match wire::lenient_git_source(&project).resolve(&head).await {
        Ok(version) => wired.render(&version, &groups).await,
        // Before the first commit there is nothing to render.
        Err(_) => Ok(()),
    }
}
