//! What `deploy`, `rollback` and `service` share: lock, plan, confirmation, run, summary.

mod applied;
mod last_run;
mod lock;
mod wish;

use std::sync::Arc;

use deploy_core::{
    model::Group,
    plan::{Difference, Plan, PlanRequest},
    record::{Exit, Journal, Observer, RunId, RunInfo, StopCause, Summary},
    run::{Allowances, Begin, Run, Stop},
};

pub(super) use self::{
    applied::Applied,
    last_run::last_run,
    lock::Hold,
    wish::{Wish, is_adopted, request},
};
use crate::{
    ask::Deployer,
    config::NOTIFY_TIMEOUT,
    context::{Context, Project},
    error::CommandError,
    notify::{Notifications, Notifier},
    observers::PlanKeeper,
    report::{self, JsonReporter, LiveReporter, PlainReporter, Screen},
    state::RunDir,
    who,
    wire::{self, Wired},
};

/// Runs a deploy, a rollback or an operation of services from the lock to the summary.
pub(super) async fn run(context: &Context, wish: &Wish) -> Result<Exit, CommandError> {
    refuse_questions_nobody_can_answer(context, wish.yes)?;
    let project = context.project()?;
    if let Some(applied) = &wish.applied {
        applied.refuse_foreign(&project)?;
    }
    let wired = wire::pipeline(context, &project, wish.allow_dirty)?;
    wire::require_variables(&project.loaded)?;
    let request = request(context, &project, wish, &wired).await?;
    told_before(context, &project, wish, &request.groups);
    let hold = Hold::take(context, &project, wish).await?;
    let whole = !wish.is_narrow();
    go(Going { context, project: &project, wish, wired: &wired, whole }, hold, &request).await
}

/// What a run goes with.
#[derive(Clone, Copy)]
pub(super) struct Going<'a> {
    pub(super) context: &'a Context,
    pub(super) project: &'a Project,
    pub(super) wish: &'a Wish,
    pub(super) wired: &'a Wired,
    /// Whether the whole fleet serves the version when the run ends complete.
    pub(super) whole: bool,
}

/// Runs what `request` wants under the lock, to its summary.
pub(super) async fn go(
    going: Going<'_>,
    hold: Hold,
    request: &PlanRequest,
) -> Result<Exit, CommandError> {
    let Going { context, project, wish, wired, whole } = going;
    let Hold { run, stop, lock, signals, unechoed } = hold;
    let moved = match &wish.applied {
        Some(applied) => applied.moved(project).await?,
        None => Vec::new(),
    };
    let deployer = deployer(context, project, wish);
    let known = super::last_known::last_known(&project.state, &request.groups);
    let directory = RunDir::make(&project.state, &run)?;
    let (observers, notifications) = observers(context, project, &directory, &deployer)?;
    let pipeline = wired.pipeline.clone().with_output(Arc::new(directory.output()));
    let pipeline = pipeline.with_last_known(known);
    let begun = pipeline.begin(Begin {
        info: info(project, &run, wish),
        lock: Some(lock),
        observers,
        ask: Arc::new(deployer.clone()),
        stop: stop.clone(),
        // The success tag stands for the whole fleet (rule 9), never for some of its hosts.
        on_complete: wired.completion().filter(|_| whole),
    });
    let driving = Driving { going, deployer: &deployer, stop: &stop };
    let summary = drive(&driving, begun, request, moved).await;
    drop((signals, unechoed));
    wired.close().await;
    for failure in finish_notifications(notifications).await {
        let line = crate::display::line(&failure).into_owned();
        context.ui.error_prose(&format!("warning: {line}"));
    }
    if !context.global.json {
        let mut finish = super::finish(project, &summary);
        finish.allowed = wish.allowed();
        let lines = report::summary_lines(&summary, &finish, 0, &context.ui);
        lines.iter().for_each(|line| context.ui.line(line));
    }
    Ok(summary.exit.unwrap_or(Exit::Mixed))
}

/// What a run is driven with.
struct Driving<'a> {
    going: Going<'a>,
    deployer: &'a Deployer,
    stop: &'a Stop,
}

/// Plans, asks, and runs.
async fn drive(
    driving: &Driving<'_>,
    mut begun: Run,
    request: &PlanRequest,
    moved: Vec<Difference>,
) -> Summary {
    let Driving { going: Going { context, project, wish, .. }, deployer, stop } = driving;
    let allow = Allowances { downgrade: wish.allow_downgrade };
    let planned = match &wish.applied {
        Some(applied) => begun.plan_as_saved(request, allow, &applied.file.saved, moved).await,
        None => begun.plan(request, allow).await,
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(refusal) => {
            let hint = refusal.hint.clone();
            let summary = begun.refuse(refusal).await;
            if let Some(hint) = hint {
                let word = context.ui.paint(context.ui.note(), "hint:");
                context.ui.error_prose(&format!("{word} {}", crate::display::line(&hint)));
            }
            return summary;
        }
    };
    if !confirmed(context, project, &plan, deployer).await {
        deployer.screen.close();
        stop.request(StopCause::GateRefused);
    }
    begun.execute(plan).await
}

/// The first confirmation: shows the plan, and asks where somebody can be asked.
async fn confirmed(context: &Context, project: &Project, plan: &Plan, deployer: &Deployer) -> bool {
    let lines = super::plan_lines(context, project, plan);
    let asks = deployer.can_ask && !deployer.yes && !plan.is_idle();
    deployer.screen.aside(|| match (context.global.json, asks) {
        (false, _) => lines.iter().for_each(|line| context.ui.line(line)),
        // Standard output is for the events; the plan is for whoever is asked.
        (true, true) => lines.iter().for_each(|line| context.ui.error_line(line)),
        (true, false) => {}
    });
    if !asks {
        return true;
    }
    tokio::select! {
        answer = deployer.confirm("Go on?", false) => answer == Some(true),
        () = crate::signals::ended() => {
            // The question stands without its line break.
            context.ui.error_line("");
            false
        }
    }
}

fn deployer(context: &Context, project: &Project, wish: &Wish) -> Deployer {
    Deployer {
        ui: context.ui.clone(),
        screen: Screen::new(),
        can_ask: context.ui.can_ask(),
        yes: wish.yes,
        on_abort: project.loaded.config.run.on_abort,
        noun: project.noun(),
    }
}

/// The first confirmation and gates need somebody to ask, or `--yes` (rule 13). It is so whatever
/// there is to do, so that a job that works today does not fail for it tomorrow.
pub(super) fn refuse_questions_nobody_can_answer(
    context: &Context,
    yes: bool,
) -> Result<(), CommandError> {
    if yes || context.ui.can_ask() {
        return Ok(());
    }
    Err(CommandError::usage("there is no terminal to ask at; nothing was touched")
        .hint("--yes answers yes: to the first confirmation, and between groups"))
}

/// What a person should know that the plan does not say.
pub(super) fn told_before(context: &Context, project: &Project, wish: &Wish, groups: &[Group]) {
    if let Some(applied) = wish.applied.as_ref().filter(|_| !context.global.json) {
        context.ui.line(&applied.told());
    }
    let warn = |text: &str| {
        context.ui.error_prose(&context.ui.paint(context.ui.note(), &format!("warning: {text}")));
    };
    wire::shared_hosts(groups).iter().for_each(|told| warn(told));
    if who::in_ci() && project.loaded.config.state_dir.is_none() {
        warn(
            "lock and journals live in this clone only: other jobs are not kept out; set \
             `state_dir` (docs/ci.md)",
        );
    }
}

fn info(project: &Project, run: &RunId, wish: &Wish) -> RunInfo {
    RunInfo {
        format: wish.command.format(),
        run: run.clone(),
        app: project.loaded.config.app.clone(),
        environment: project.loaded.environment.clone(),
        command: wish.command,
        who: project.who.clone(),
        host: who::host(),
        pid: std::process::id(),
        why: wish.message.clone(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        saved_plan: wish.applied.as_ref().map(|applied| applied.digest.clone()),
    }
}

type Observers = (Vec<Box<dyn Observer>>, Option<Notifications>);

/// Who is told what happens: the journal first, since it must not miss what others show.
fn observers(
    context: &Context,
    project: &Project,
    directory: &RunDir,
    deployer: &Deployer,
) -> Result<Observers, CommandError> {
    let journal =
        directory.journal().map_err(|error| CommandError::because("open the journal", error))?;
    let ui = context.ui.clone();
    let reporter: Box<dyn Observer> = if context.global.json {
        Box::new(JsonReporter::new(ui))
    } else if ui.is_terminal() {
        Box::new(LiveReporter::new(ui, deployer.screen.clone()))
    } else {
        Box::new(PlainReporter::new(ui))
    };
    let mut observers: Vec<Box<dyn Observer>> = vec![
        Box::new(Journal::new(journal)),
        Box::new(PlanKeeper(directory.plan_keeper())),
        Box::new(context.touched.clone()),
        reporter,
    ];
    let notify = project.loaded.config.notify.as_ref();
    let notifications = notify.map(|section| {
        let limit = section.timeout.map_or(NOTIFY_TIMEOUT, |span| span.0);
        let directory = project.loaded.directory().to_owned();
        let (notifier, notifications) = Notifier::new(section.command.clone(), directory, limit);
        observers.push(Box::new(notifier));
        notifications
    });
    Ok((observers, notifications))
}

async fn finish_notifications(notifications: Option<Notifications>) -> Vec<String> {
    match notifications {
        Some(notifications) => notifications.finish().await,
        None => Vec::new(),
    }
}
