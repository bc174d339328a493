//! `run`: a command of the deployer's own, on the hosts.

use std::sync::{Arc, Mutex};

use clap::Args;
use deploy_core::{
    model::{Group, GroupName, Target},
    plan::{Amount, BatchSize, Budget, Goal, PlanRequest},
    record::{Command, Exit, Journal, RunId, RunInfo, Summary},
    run::{Allowances, Begin, Stop},
};

use super::selection::selected;
use crate::{
    args::HostsArgs,
    config::Span,
    context::{Context, Project},
    display,
    echo::Unechoed,
    error::CommandError,
    observers::PlanKeeper,
    report::{self, CommandReporter, Heard},
    signals::Signals,
    state::RunDir,
    who, wire,
};

/// Run a command on the hosts, all at once, and show what they said; equal answers together
///
/// It runs as the login user in their home directory, with nothing to read. A single word is a line
/// for `sh`, as with ssh: 'df -h | tail -1'. Of several words the first is the program, and the
/// others reach it as they are, without a shell.
///
/// No lock is taken, so that it works during a deploy and in an emergency; who ran what is in the
/// history, so keep secrets out of the command. Ctrl-C starts it nowhere any more; twice, it is
/// killed where it runs.
///
/// Exit codes: 0 it ended with 0 on all hosts; 6 it failed or timed out somewhere, or a host could
/// not be reached; 4 nobody knows how it ended somewhere; 130 interrupted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli run -- 'df -h / | tail -1'
  deploy-cli run --hosts 'web*' --batch 10 --timeout 5m -- sh maintain.sh")]
pub struct RunArgs {
    #[command(flatten)]
    only: HostsArgs,
    /// How many hosts at once: a number, a percentage, or `all`
    #[arg(long, value_name = "SIZE", default_value_t)]
    batch: BatchSize,
    /// How long it may take on a host, before it is killed there
    #[arg(long, value_name = "SPAN", default_value = "60s")]
    timeout: Span,
    /// Start nowhere any more when it failed on more hosts than this: a number or a percentage
    #[arg(long, value_name = "NUMBER")]
    max_failures: Option<Budget>,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// The command, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command, and shows what the hosts said.
pub(crate) async fn cmd_run(context: &Context, args: &RunArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let groups = selected(context, &project, &args.only.hosts, wire::groups(&project.loaded)?)?;
    let run = context.run_id();
    let wired = wire::pipeline(context, &project, true)?;
    let groups = wired.hosts_of(groups, "`run`")?;
    let command = wired.command(args.command.clone()).map_err(CommandError::usage)?;
    let command = Arc::new(command);

    if let Some(hint) = misplaced(&args.command) {
        context.ui.error_prose(&format!("{} {hint}", context.ui.paint(context.ui.note(), "hint:")));
    }
    project.state.make()?;
    let stop = Stop::new();
    let signals = Signals::listen(stop.clone())
        .map_err(|error| CommandError::because("listen for signals", error))?;
    let unechoed = context.ui.is_terminal().then(Unechoed::start);
    let directory = RunDir::make(&project.state, &run)?;
    let journal =
        directory.journal().map_err(|error| CommandError::because("open the journal", error))?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let reporter = CommandReporter::new(context, Arc::clone(&command), &groups, &heard);
    let begin = Begin::new(info(&project, &run, args))
        .with_stop(stop)
        .with_observer(Journal::new(journal))
        .with_observer(PlanKeeper(directory.plan_keeper()))
        .with_observer(context.touched.clone())
        .with_observer(reporter);
    let pipeline =
        wired.commanding(command, args.timeout.0)?.with_output(Arc::new(directory.output()));
    let mut begun = pipeline.begin(begin);
    let summary = match begun.plan(&request(&project, args, groups)?, Allowances::default()).await {
        Ok(plan) => begun.execute(plan).await,
        Err(refusal) => begun.refuse(refusal).await,
    };
    drop((signals, unechoed));
    wired.close().await;
    if !context.global.json {
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(|poison| poison.into_inner()));
        tell(context, &project, &heard, &summary);
    }
    Ok(summary.exit.unwrap_or(Exit::Mixed))
}

/// What to say where an argument of the command is written like an option of ours.
fn misplaced(command: &[String]) -> Option<String> {
    let ours = RunArgs::augment_args(clap::Command::new("run"));
    let is_ours = |word: &&String| {
        let name = word.strip_prefix("--").map(|word| word.split('=').next().unwrap_or(word));
        name.is_some_and(|name| ours.get_arguments().any(|arg| arg.get_long() == Some(name)))
    };
    let word = command.iter().skip(1).find(is_ours)?;
    let word = display::line(word);
    Some(format!("{word} stands after `--`, so the command gets it; options stand before `--`"))
}

fn tell(context: &Context, project: &Project, heard: &[Heard], summary: &Summary) {
    let ui = &context.ui;
    report::heard_lines(heard, ui).iter().for_each(|line| ui.line(line));
    let finish = super::finish(project, summary);
    report::command_lines(summary, &finish, ui).iter().for_each(|line| ui.line(line));
}

/// All targets as one group, so that they start at once.
fn request(
    project: &Project,
    args: &RunArgs,
    groups: Vec<Group>,
) -> Result<PlanRequest, CommandError> {
    let mut seen = std::collections::BTreeSet::new();
    let targets = groups.into_iter().flat_map(|group| group.targets);
    let targets: Vec<Target> = targets.filter(|target| seen.insert(target.clone())).collect();
    let mut all = Group::new(GroupName::new("all").map_err(CommandError::refused)?, targets);
    all.max_failures = args.max_failures.unwrap_or(Budget(Amount::Percent(100)));
    let mut request = wire::request(&project.loaded, Goal::Run, vec![all], Some(args.batch));
    // The budget of a deploy is not meant.
    request.strategy.max_failures = None;
    Ok(request)
}

fn info(project: &Project, run: &RunId, args: &RunArgs) -> RunInfo {
    let app = project.loaded.config.app.clone();
    RunInfo {
        environment: project.loaded.environment.clone(),
        host: who::host(),
        why: args.message.clone(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        ..RunInfo::new(run.clone(), app, Command::Run, project.who.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_after_the_dashes_is_pointed_out() {
        let of = |words: &[&str]| {
            misplaced(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert!(of(&["sleep 9", "--timeout", "2s"]).unwrap().starts_with("--timeout stands"));
        assert!(of(&["sleep 9", "--hosts=h1"]).is_some());
        for fine in [&["grep", "--count", "x"][..], &["--timeout"], &["ls", "timeout"]] {
            assert_eq!(of(fine), None, "{fine:?}");
        }
    }
}
