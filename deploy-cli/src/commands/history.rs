//! `history`: the runs that were.

use std::io::BufReader;

use clap::Args;
use deploy_core::record::{Command, Exit, Summary, read_journal};

use crate::{
    args::from_one,
    config::short,
    context::Context,
    error::CommandError,
    report::{self, escape_json},
    state::Past,
};

mod view;

use view::Row;

/// How much of a command is shown in the list.
const CLIPPED: usize = 48;

/// List past runs, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli history -n 50")]
pub struct HistoryArgs {
    /// How many
    #[arg(short = 'n', long, default_value = "20", value_name = "NUMBER", value_parser = from_one)]
    number: usize,
}

/// Lists runs from their journals.
pub(crate) fn cmd_history(context: &Context, args: &HistoryArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let mut rows = Vec::new();
    for past in Past::all(&project.state).into_iter().take(args.number) {
        let summary = fold(&past);
        if context.global.json {
            let line = serde_json::json!({
                "run": past.run, "started": summary.started, "info": summary.info,
                "version": summary.plan.as_ref().and_then(|plan| plan.version.clone()),
                "exit": summary.exit, "exit_code": summary.exit.map(Exit::code),
                "counts": summary.counts(), "duration": summary.duration.as_secs_f64(),
            });
            context.ui.line(&escape_json(&line.to_string()));
        } else {
            rows.push(Row::new(&past, summary));
        }
    }
    if context.global.json {
        return Ok(Exit::Complete);
    }
    if rows.is_empty() {
        context.ui.line("no run yet");
    }
    view::lines(&rows, context.ui.width()).iter().for_each(|line| context.ui.line(line));
    Ok(Exit::Complete)
}

impl Row {
    fn new(past: &Past, summary: Summary) -> Self {
        let counts = summary.counts();
        Self {
            run: past.run.to_string(),
            started: summary.started,
            what: what(&summary),
            outcome: outcome(&summary, past),
            hosts: format!(
                "{}/{}",
                counts.deployed + counts.unchanged + counts.done,
                counts.planned
            ),
            took: short(summary.duration),
            by: summary.info.as_ref().map_or(String::new(), |info| info.who.clone()),
            why: summary.info.and_then(|info| info.why).unwrap_or_default(),
        }
    }
}

/// What the journal adds up to, as far as it can be read.
pub(super) fn fold(past: &Past) -> Summary {
    let mut summary = Summary::default();
    if let Ok(file) = past.journal() {
        for event in read_journal(BufReader::new(file)).map_while(Result::ok) {
            summary.apply(&event);
        }
    }
    summary
}

/// What it did: `deploy v2`.
pub(super) fn what(summary: &Summary) -> String {
    let command = match summary.info.as_ref().map(|info| info.command) {
        Some(Command::Rollback) => "rollback".to_owned(),
        Some(Command::Service(action)) => format!("service {action}"),
        Some(Command::Run | Command::Adopt) => clipped(report::command(summary)),
        Some(_) => "deploy".to_owned(),
        None => "?".to_owned(),
    };
    match summary.plan.as_ref().and_then(|plan| plan.version.as_ref()) {
        Some(version) => format!("{command} {version}"),
        None => command,
    }
}

/// The beginning of a long command; `show` has the whole.
fn clipped(command: String) -> String {
    if command.chars().count() <= CLIPPED {
        return command;
    }
    command.chars().take(CLIPPED - 1).chain(['…']).collect()
}

/// How a run ended, in a word or few.
fn outcome(summary: &Summary, past: &Past) -> String {
    match summary.exit {
        Some(Exit::Complete) => "complete".into(),
        Some(Exit::Incomplete) => "incomplete".into(),
        Some(Exit::RolledBack) => "rolled back".into(),
        Some(Exit::Mixed) => match summary.info.as_ref().map(|info| info.command) {
            Some(Command::Service(_)) => "NOT WELL".into(),
            Some(Command::Run | Command::Adopt) => "UNKNOWN".into(),
            _ => "MIXED".into(),
        },
        Some(Exit::Interrupted) => "interrupted".into(),
        Some(Exit::Locked) => "locked".into(),
        Some(Exit::Refused | Exit::Usage) => "refused".into(),
        None if past.is_alive() => "running".into(),
        None => "DIED".into(),
    }
}
