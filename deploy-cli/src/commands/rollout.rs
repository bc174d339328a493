//! What `deploy` and `rollback` share: lock, plan, confirmation, run, summary.

use std::{sync::Arc, time::Duration};

use deploy_core::{
    backend::{Acquired, Holder, Lock, LockGuard, VersionSource},
    model::{Group, VersionRef},
    plan::{BatchSize, Goal, Plan, PlanRequest},
    record::{Command, Exit, FORMAT, Journal, Observer, RunId, RunInfo, StopCause, Summary},
    run::{Allowances, Begin, Run, Stop},
};
use jiff::Timestamp;

use super::selection::selected;
use crate::{
    ask::Deployer,
    context::{Context, Project},
    echo::Unechoed,
    error::CommandError,
    notify::{Notifications, Notifier},
    observers::PlanKeeper,
    report::{self, JsonReporter, LiveReporter, PlainReporter, Screen},
    signals::Signals,
    state::{RunDir, describe_holder},
    who,
    wire::{self, Wired},
};

/// What a person wishes for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) command: Command,
    /// `None`: each host's last good version.
    pub(super) version: Option<VersionRef>,
    pub(super) batch: Option<BatchSize>,
    pub(super) hosts: Vec<String>,
    pub(super) yes: bool,
    pub(super) redeploy: bool,
    pub(super) message: Option<String>,
    pub(super) wait: bool,
    pub(super) allow_dirty: bool,
    pub(super) allow_downgrade: bool,
}

impl Wish {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            version: None,
            batch: None,
            hosts: Vec::new(),
            yes: false,
            redeploy: false,
            message: None,
            wait: false,
            allow_dirty: false,
            allow_downgrade: false,
        }
    }

    /// The options by which a deploy was allowed more than usual.
    fn allowed(&self) -> String {
        let deploy = self.command == Command::Deploy;
        let option = |given: bool, name: &str| {
            if given && deploy { format!(" --{name}") } else { String::new() }
        };
        let downgrade = option(self.allow_downgrade, "allow-downgrade");
        downgrade + &option(self.allow_dirty, "allow-dirty")
    }
}

/// Runs a deploy or a rollback from the lock to the summary.
pub(super) async fn run(context: &Context, wish: &Wish) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let run = context.run_id();
    let wired = wire::pipeline(context, &project, wish.allow_dirty)?;
    let request = request(context, &project, wish, &wired).await?;
    let deployer = deployer(context, &project, wish);
    refuse_questions_nobody_can_answer(&request, &deployer)?;
    told_before(context, &project, &request.groups);

    project.state.make()?;
    let stop = Stop::new();
    let signals = Signals::listen(stop.clone())
        .map_err(|error| CommandError::because("listen for signals", error))?;
    let unechoed = context.ui.is_terminal().then(Unechoed::start);
    let lock = take_lock(context, &project, &run, wish, &stop).await?;
    let known = super::last_known::last_known(&project.state, &request.groups);
    let directory = RunDir::make(&project.state, &run)?;
    let (observers, notifications) = observers(context, &project, &directory, &deployer)?;
    let pipeline = wired.pipeline.clone().with_output(Arc::new(directory.output()));
    let pipeline = pipeline.with_last_known(known);
    let begun = pipeline.begin(Begin {
        info: info(&project, &run, wish),
        lock: Some(lock),
        observers,
        ask: Arc::new(deployer.clone()),
        stop: stop.clone(),
        // The success tag stands for the whole fleet (rule 9), never for some of its hosts.
        on_complete: wish.hosts.is_empty().then(|| wired.completion()),
    });
    let allow = Allowances { downgrade: wish.allow_downgrade };
    let driving = Driving { context, project: &project, deployer: &deployer, stop: &stop, allow };
    let summary = drive(&driving, begun, &request).await;
    drop((signals, unechoed));
    wired.close().await;
    for failure in finish_notifications(notifications).await {
        let line = crate::display::line(&failure).into_owned();
        context.ui.error_line(&format!("warning: {line}"));
    }
    if !context.global.json {
        let mut finish = super::finish(&project, &summary);
        finish.allowed = wish.allowed();
        let lines = report::summary_lines(&summary, &finish, 0, &context.ui);
        lines.iter().for_each(|line| context.ui.line(line));
    }
    Ok(summary.exit.unwrap_or(Exit::Mixed))
}

/// What a run is driven with.
struct Driving<'a> {
    context: &'a Context,
    project: &'a Project,
    deployer: &'a Deployer,
    stop: &'a Stop,
    allow: Allowances,
}

/// Plans, asks, and runs.
async fn drive(driving: &Driving<'_>, mut begun: Run, request: &PlanRequest) -> Summary {
    let Driving { context, project, deployer, stop, allow } = driving;
    let plan = match begun.plan(request, *allow).await {
        Ok(plan) => plan,
        Err(refusal) => {
            let hint = refusal.hint.clone();
            let summary = begun.refuse(refusal).await;
            if let Some(hint) = hint {
                let word = context.ui.paint(context.ui.note(), "hint:");
                context.ui.error_line(&format!("{word} {}", crate::display::line(&hint)));
            }
            return summary;
        }
    };
    if !confirmed(context, project, &plan, deployer).await {
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
        () = crate::signals::ended() => false,
    }
}

/// What is wanted, with every filter applied and the version resolved.
pub(super) async fn request(
    context: &Context,
    project: &Project,
    wish: &Wish,
    wired: &Wired,
) -> Result<PlanRequest, CommandError> {
    let config = &project.loaded.config;
    let groups = wire::groups(&project.loaded)?;
    let mut groups = selected(context, project, &wish.hosts, groups)?;
    if let Some(batch) = wish.batch {
        groups.iter_mut().for_each(|group| group.batch = batch);
    }
    project.state.make_for_app();
    let goal = match (&wish.version, wish.command) {
        (None, _) => Goal::RollBack,
        (Some(version), Command::Rollback) => {
            let version = wire::lenient_source(project).resolve(version).await?;
            wired.admit(&version).await?;
            Goal::RollBackTo(version)
        }
        (Some(version), _) => {
            let version = wire::source(project, wish.allow_dirty).resolve(version).await?;
            wired.admit(&version).await?;
            Goal::Deploy(version)
        }
    };
    Ok(PlanRequest {
        app: config.app.clone(),
        environment: project.loaded.environment.clone(),
        goal,
        groups,
        strategy: wire::strategy(&config.run),
        redeploy: wish.redeploy,
        restarts: Vec::new(),
        checks: Vec::new(),
        steps: Vec::new(),
    })
}

fn deployer(context: &Context, project: &Project, wish: &Wish) -> Deployer {
    Deployer {
        ui: context.ui.clone(),
        screen: Screen::new(),
        can_ask: context.ui.can_ask(),
        yes: wish.yes,
        on_abort: project.loaded.config.run.on_abort,
    }
}

/// A gate that asks needs somebody to ask, or `--yes` (rule 13).
fn refuse_questions_nobody_can_answer(
    request: &PlanRequest,
    deployer: &Deployer,
) -> Result<(), CommandError> {
    if deployer.can_ask || deployer.yes || !matches!(request.goal, Goal::Deploy(_)) {
        return Ok(());
    }
    // The last group's gate leads nowhere and is never asked.
    let asking = request.groups.iter().rev().skip(1).find(|group| group.gate.ask);
    match asking {
        Some(group) => Err(CommandError::usage(format!(
            "group {} has pause = \"ask\", and there is no terminal to ask at",
            group.name
        ))
        .hint("--yes answers yes")),
        None => Ok(()),
    }
}

/// What a person should know that the plan does not say.
fn told_before(context: &Context, project: &Project, groups: &[Group]) {
    let warn = |text: &str| {
        context.ui.error_line(&context.ui.paint(context.ui.note(), &format!("warning: {text}")));
    };
    wire::shared_hosts(groups).iter().for_each(|told| warn(told));
    let ci = ["CI", "GITLAB_CI", "GITHUB_ACTIONS", "JENKINS_URL", "BUILDKITE"];
    let in_ci = ci.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if in_ci && project.loaded.config.state_dir.is_none() {
        warn(
            "lock and journals live in this clone only: other jobs are not kept out; set \
             `state_dir` (docs/ci.md)",
        );
    }
}

async fn take_lock(
    context: &Context,
    project: &Project,
    run: &RunId,
    wish: &Wish,
    stop: &Stop,
) -> Result<Box<dyn LockGuard>, CommandError> {
    let holder = Holder {
        who: project.who.clone(),
        host: who::host(),
        pid: std::process::id(),
        why: wish.message.clone(),
        since: Timestamp::now(),
        run: Some(run.clone()),
        until: None,
    };
    let lock = project.state.lock();
    let mut told = None;
    loop {
        let other = match lock.acquire(&holder).await? {
            Acquired::Yes(guard) => return Ok(guard),
            Acquired::HeldBy(other) => other,
        };
        if !wish.wait {
            return Err(CommandError::locked(&other).hint(if other.run.is_some() {
                "--wait waits for it; `deploy-cli show --follow` watches it"
            } else {
                "--wait waits for it; `deploy-cli unlock` removes it"
            }));
        }
        if told.as_ref() != Some(&other) {
            context.ui.error_line(&format!("waiting: locked by {}", describe_holder(&other)));
            told = Some(other);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = crate::signals::ended() => return Err(super::interrupted()),
        }
        // A signal that came between two waits is seen here.
        if stop.cause().is_some() {
            return Err(super::interrupted());
        }
    }
}

fn info(project: &Project, run: &RunId, wish: &Wish) -> RunInfo {
    RunInfo {
        format: FORMAT,
        run: run.clone(),
        app: project.loaded.config.app.clone(),
        environment: project.loaded.environment.clone(),
        command: wish.command,
        who: project.who.clone(),
        host: who::host(),
        pid: std::process::id(),
        why: wish.message.clone(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        saved_plan: None,
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
        let limit = section.timeout.map_or(Duration::from_secs(10), |span| span.0);
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
