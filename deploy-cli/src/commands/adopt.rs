//! `adopt`: take over what other tools deployed, and give it back.

mod budget;
mod scene;
mod view;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use deploy_core::{
    backend::Step,
    plan::{Goal, PlanRequest},
    record::{Command, Exit},
};
use deploy_ssh::{Adopt, GiveBack};

use self::scene::Scene;
use super::{
    rollout::{self, Going, Hold, Wish},
    selection::selected,
};
use crate::{
    args::{BatchArgs, BeginArgs, HostsArgs},
    context::{Context, Project},
    display,
    error::CommandError,
    report::escape_json,
    wire::{self, Wired},
};

/// How long it may take on a host.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Take over hosts on which something else deployed until now, without a moment of downtime
///
/// A plain directory, a layout of Capistrano, Deployer or Scap becomes ours; what is live becomes a
/// good version, to which a rollback leads. Nothing is copied, deleted or restarted, and the live
/// path leads to whole files all the time. Hosts that are ours already are left alone.
///
/// Exit codes: 0 done; 1 refused, nothing was touched; 4 nobody knows how it ended somewhere; 5 locked
/// by another run; 6 not done on all hosts; 130 interrupted. Run it again to finish the rest.
#[derive(Debug, Args)]
#[command(
    mut_arg("yes", BeginArgs::asked_once),
    after_help = "\
Examples:
  deploy-cli adopt --dry-run
  deploy-cli adopt --hosts canary1
  deploy-cli adopt --undo -m 'the old tool is still needed'"
)]
pub struct AdoptArgs {
    #[command(flatten)]
    only: HostsArgs,
    /// Look at the hosts and tell what would be done; do nothing
    #[arg(long)]
    dry_run: bool,
    /// Bring back what was there before; what is ours is put aside
    #[arg(long)]
    undo: bool,
    /// Where nothing exchanges two names at once, do it by two renames: for a moment the live path
    /// leads nowhere
    #[arg(long)]
    allow_gap: bool,
    #[command(flatten)]
    pace: BatchArgs,
    #[command(flatten)]
    begin: BeginArgs,
}

/// Looks, tells, and takes over.
pub(crate) async fn cmd_adopt(context: &Context, args: &AdoptArgs) -> Result<Exit, CommandError> {
    rollout::refuse_questions_nobody_can_answer(context, args.begin.yes || args.dry_run)?;
    let project = context.project()?;
    let groups = selected(context, &project, &args.only.hosts, wire::groups(&project.loaded)?)?;
    let wired = wire::pipeline(context, &project, true)?;
    let groups = wired.hosts_of(groups, "`adopt`")?;
    let wish = Wish::begun(Command::Adopt, &args.only, &args.begin);
    let request = wire::request(&project.loaded, Goal::Adopt, groups, args.pace.batch);
    let hold = match args.dry_run {
        true => None,
        false => Some(Hold::take(context, &project, &wish).await?),
    };
    let looked = tokio::select! {
        looked = Scene::look(context, &project, (&wired, &request), args) => looked,
        () = crate::signals::ended() => Err(CommandError::interrupted()),
    };
    let scene = match looked {
        Ok(scene) => scene,
        Err(error) => {
            wired.close().await;
            if let Some(hold) = hold {
                hold.release().await?;
            }
            return Err(error);
        }
    };
    view::tell(context, &scene);
    match hold {
        Some(hold) if scene.is_ready() => {
            act(context, (&project, &wish), wired, (hold, scene), &request).await
        }
        hold => {
            wired.close().await;
            if let Some(hold) = hold {
                hold.release().await?;
            }
            scene.into_exit()
        }
    }
}

/// Runs the step on all hosts, and tells where what is ours lies now.
async fn act(
    context: &Context,
    (project, wish): (&Project, &Wish),
    mut wired: Wired,
    (hold, scene): (Hold, Scene),
    request: &PlanRequest,
) -> Result<Exit, CommandError> {
    let transport = wired.transport()?;
    let (settled, allow_gap) = (scene.settled, scene.allow_gap);
    let mut given_back = None;
    let step: Arc<dyn Step> = if scene.is_undo {
        let (found, aside) = (scene.given_back, Mutex::default());
        let step = Arc::new(GiveBack { transport, found, settled, allow_gap, aside });
        given_back = Some(Arc::clone(&step));
        step
    } else {
        let adoptions = scene.adoptions;
        Arc::new(Adopt { transport, adoptions, settled, allow_gap })
    };
    wired.pipeline = wired.stepping("adopt", step, TIMEOUT)?;
    let going = Going { context, project, wish, wired: &wired, whole: false };
    let exit = rollout::go(going, hold, request).await?;
    if let Some(step) = given_back {
        let places = step.aside.lock().unwrap_or_else(PoisonError::into_inner);
        if context.global.json {
            let line = serde_json::json!({ "aside": *places });
            context.ui.line(&escape_json(&line.to_string()));
            return Ok(exit);
        }
        for (target, place) in places.iter() {
            let place = display::line(place).into_owned();
            context.ui.line(&format!("{target}: what was ours lies in {place}"));
        }
    }
    Ok(exit)
}
