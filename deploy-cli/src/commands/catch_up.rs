//! `catch-up`: bring the hosts that are behind to what the others serve.

mod choice;
mod scene;

use clap::Args;
use clap_complete::ArgValueCompleter;
use deploy_core::{
    model::{Group, VersionRef},
    plan::Goal,
    record::{Command, Exit},
};

use self::{choice::Choice, scene::Scene};
use super::{
    rollout::{self, Going, Hold, Wish},
    selection::selected,
    survey,
};
use crate::{
    args::{BatchArgs, BeginArgs, HostsArgs},
    completion,
    context::Context,
    error::CommandError,
    wire,
};

/// Bring the hosts that are behind to the version that the others serve, and touch nobody else
///
/// Which version that is, the record of runs says: the last that was deployed and not gone back
/// from. A healthy host has to serve it, and no other version may be served by more, else nothing is
/// done, and you are told how to choose. New hosts, repaired ones and those that a deploy could not reach are brought
/// to it in groups and batches, checked, as by a deploy. Hosts that cannot be reached are named
/// (exit code 6), and count in no budget.
#[derive(Debug, Args)]
#[command(mut_arg("message", |message| message.default_value("catch up")), after_help = "\
Examples:
  deploy-cli catch-up --yes
  deploy-cli catch-up --hosts web07 --to v1.4.2")]
pub struct CatchUpArgs {
    /// The version, where record and hosts do not agree; a host has to serve it already
    #[arg(long, value_name = "VERSION", add = ArgValueCompleter::new(completion::versions))]
    to: Option<VersionRef>,
    #[command(flatten)]
    pace: BatchArgs,
    #[command(flatten)]
    only: HostsArgs,
    #[command(flatten)]
    begin: BeginArgs,
}

/// Looks who is behind, and deploys to those.
pub(crate) async fn cmd_catch_up(
    context: &Context,
    args: &CatchUpArgs,
) -> Result<Exit, CommandError> {
    rollout::refuse_questions_nobody_can_answer(context, args.begin.yes)?;
    let project = context.project()?;
    let all = with_canary(wire::groups(&project.loaded)?);
    let meant = selected(context, &project, &args.only.hosts, all.clone())?;
    let wish = Wish::begun(Command::Deploy, &args.only, &args.begin);
    project.state.make_for_app();
    let wired = wire::pipeline(context, &project, true)?;
    let hold = Hold::take(context, &project, &wish).await?;
    let survey = survey::ask(context, &project, &wired, &all).await?;
    let choice = Choice::make(&project, args.to.as_ref(), &survey).await?;
    let scene = Scene::look(&project, &survey, meant, choice).await?;
    if scene.behind.is_empty() {
        wired.close().await;
        hold.release().await?;
        scene.tell_nothing_behind(context);
        return Ok(if scene.silent.is_empty() { Exit::Complete } else { Exit::Incomplete });
    }
    scene.choice.refuse_adopted(&project)?;
    scene.tell(context);
    wire::require_variables(&project.loaded)?;
    wired.admit(&scene.choice.version).await?;
    // Those that are not behind get nothing; what they would get is only compared with what they have.
    let _ = wired.render(&scene.choice.version, &scene.groups).await;
    wired.render(&scene.choice.version, &scene.groups_behind()).await?;
    let goal = Goal::CatchUp(scene.choice.version.clone());
    rollout::told_before(context, &project, &wish, &scene.groups);
    let whole = args.only.hosts.is_empty() && scene.ahead.is_empty();
    let request = wire::request(&project.loaded, goal, scene.groups, args.pace.batch);
    let going = Going { context, project: &project, wish: &wish, wired: &wired, whole };
    rollout::go(going, hold, &request).await
}

/// The canary group is one by its place in the whole configuration, whoever is behind.
fn with_canary(mut groups: Vec<Group>) -> Vec<Group> {
    let several = groups.len() > 1 && !groups.iter().any(|group| group.canary);
    if let Some(first) = groups.first_mut().filter(|_| several) {
        first.canary = true;
    }
    groups
}
