//! `plan`: what `deploy` would do.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use deploy_core::{
    backend::Cancel,
    model::VersionRef,
    plan::Plan,
    record::{Command, Exit},
    run::Allowances,
};

use super::{
    rollout::{self, Wish},
    saving::Saving,
};
use crate::{
    args::{BatchArgs, HostsArgs},
    completion,
    context::{Context, Project},
    error::CommandError,
    report::escape_json,
    wire,
};

/// Show what a deploy would do: per host what is live and what will be, and where it would go back
///
/// Asks all hosts, takes no lock, and changes nothing. A plan that is saved can be reviewed, and
/// applied later by `deploy --plan` (or `rollback --plan`): exactly, or not at all.
///
/// Exit codes: 0 all hosts can be deployed to; 6 some cannot, within the budget; 1 refused, or a deploy
/// would be, since too many hosts cannot be deployed to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli plan
  deploy-cli plan v1.4.2 -o next.plan   # to be reviewed, and applied later")]
pub struct PlanArgs {
    /// A tag, branch or commit; `latest`; or `previous` for what `rollback` would do
    #[arg(
        default_value = "latest",
        value_name = "VERSION",
        add = ArgValueCompleter::new(completion::versions)
    )]
    version: VersionRef,
    /// Save the plan in this file, or write it to standard output for `-`
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    #[command(flatten)]
    pace: BatchArgs,
    #[command(flatten)]
    only: HostsArgs,
    /// Treat no host as unchanged
    #[arg(long)]
    redeploy: bool,
    /// Allow modified files; they are not deployed
    #[arg(long)]
    allow_dirty: bool,
}

/// Makes the plan and prints it, or saves it.
pub(crate) async fn cmd_plan(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let back = args.version == VersionRef::Previous;
    let wish = Wish {
        version: (!back).then(|| args.version.clone()),
        batch: args.pace.batch,
        hosts: args.only.hosts.clone(),
        redeploy: args.redeploy,
        allow_dirty: args.allow_dirty,
        ..Wish::new(if back { Command::Rollback } else { Command::Deploy })
    };
    let saving = args.output.as_deref();
    let saving = saving.map(|path| Saving::begin(context, &project, path)).transpose()?;
    let run = context.run_id();
    let wired = wire::pipeline(context, &project, args.allow_dirty)?;
    wire::require_variables(&project.loaded)?;
    let request = rollout::request(context, &project, &wish, &wired).await?;
    let cancel = Cancel::new();
    let allow = Allowances { downgrade: true };
    let planning = wired.pipeline.plan_to_save(&request, allow, &run, &project.who, &cancel);
    let saved = tokio::select! {
        saved = planning => saved.map_err(CommandError::refused)?,
        () = crate::signals::ended() => return Err(CommandError::interrupted()),
    };
    wired.close().await;
    let exit = exit(context, &saved.plan);
    if !saving.as_ref().is_some_and(Saving::is_to_stdout) {
        show(context, &project, &saved.plan)?;
    }
    if let Some(saving) = saving {
        saving.end(&wish, &run, saved)?;
    }
    Ok(exit)
}

/// How a run of the plan would end, as far as that is known before it.
fn exit(context: &Context, plan: &Plan) -> Exit {
    if plan.is_hopeless() {
        let many = plan.noun.many();
        let told = format!("too many {many} cannot be deployed to: a deploy would touch none");
        context.ui.error_line(&context.ui.paint(context.ui.bad(), &told));
        return Exit::Refused;
    }
    match plan.groups.iter().all(|group| group.lost.is_empty()) {
        true => Exit::Complete,
        false => Exit::Incomplete,
    }
}

fn show(context: &Context, project: &Project, plan: &Plan) -> Result<(), CommandError> {
    if context.global.json {
        let line = serde_json::to_string(plan)
            .map_err(|error| CommandError::because("write the plan", error))?;
        context.ui.line(&escape_json(&line));
    } else {
        super::plan_lines(context, project, plan).iter().for_each(|line| context.ui.line(line));
    }
    Ok(())
}
