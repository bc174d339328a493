//! `plan`: what `deploy` would do.

use clap::Args;
use deploy_core::{
    backend::Cancel, model::VersionRef, plan::BatchSize, record::Exit, run::Allowances,
};

use super::rollout::{self, Wish};
use crate::{context::Context, error::CommandError, report::escape_json, wire};

/// Show what a deploy would do: per host what is live and what will be, and where it would go back
///
/// Asks all hosts, takes no lock, and changes nothing.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A tag, branch or commit; `latest`; or `previous` for what `rollback` would do
    #[arg(default_value = "latest", value_name = "VERSION")]
    version: VersionRef,
    /// How many hosts of a group at once: a number, a percentage, or `all`
    #[arg(long, value_name = "SIZE")]
    batch: Option<BatchSize>,
    /// Only these hosts: globs, h[01-20], !not, @FILE, @RUN/failed, separated by commas
    #[arg(long, value_name = "HOSTS")]
    hosts: Vec<String>,
    /// Treat no host as unchanged
    #[arg(long)]
    redeploy: bool,
    /// Allow modified files; they are not deployed
    #[arg(long)]
    allow_dirty: bool,
}

/// Makes the plan and prints it.
pub(crate) async fn cmd_plan(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let back = args.version == VersionRef::Previous;
    let wish = Wish {
        version: (!back).then(|| args.version.clone()),
        batch: args.batch,
        hosts: args.hosts.clone(),
        redeploy: args.redeploy,
        allow_dirty: args.allow_dirty,
        ..Wish::new(if back {
            deploy_core::record::Command::Rollback
        } else {
            deploy_core::record::Command::Deploy
        })
    };
    let run = context.run_id();
    let wired = wire::pipeline(context, &project, args.allow_dirty)?;
    let request = rollout::request(context, &project, &wish, &wired).await?;
    let cancel = Cancel::new();
    let allow = Allowances { downgrade: true };
    let planning = wired.pipeline.plan(&request, allow, &run, &project.who, &cancel);
    let plan = tokio::select! {
        plan = planning => plan.map_err(CommandError::refused)?,
        () = crate::signals::ended() => return Err(super::interrupted()),
    };
    wired.close().await;
    if context.global.json {
        let line = serde_json::to_string(&plan)
            .map_err(|error| CommandError::because("write the plan", error))?;
        context.ui.line(&escape_json(&line));
    } else {
        super::plan_lines(context, &project, &plan).iter().for_each(|line| context.ui.line(line));
    }
    Ok(Exit::Complete)
}
