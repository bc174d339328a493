//! `show`: one run, from its journal; also while it runs.

use std::{io::BufReader, time::Duration};

use clap::Args;
use clap_complete::ArgValueCompleter;
use deploy_core::{
    model::Target,
    record::{Event, EventKind, Exit, Observer, Summary, read_journal},
};

use super::history::fold;
use crate::{
    completion,
    context::{Context, Project},
    display,
    error::CommandError,
    report::{self, JsonReporter, PlainReporter, escape_json},
    state::Past,
};

/// The most lines of evidence for equal failures; the files have all.
const EVIDENCE: usize = 40;

/// Show a run: its summary, and what each host said
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli show                       # the last run
  deploy-cli show last --follow
  deploy-cli show last --host web07")]
pub struct ShowArgs {
    /// The run: its id, the beginning of one, or `last`
    #[arg(default_value = "last", value_name = "RUN", add = ArgValueCompleter::new(completion::runs))]
    run: String,
    /// Watch it while it runs, from its beginning
    #[arg(short, long)]
    follow: bool,
    /// Show the whole output of this host only
    #[arg(
        long,
        value_name = "HOST",
        conflicts_with = "follow",
        add = ArgValueCompleter::new(completion::host)
    )]
    host: Option<Target>,
}

/// Shows a run from its journal.
pub(crate) async fn cmd_show(context: &Context, args: &ShowArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let past = Past::find(&project.state, &args.run, &project.options)?;
    if args.follow {
        return follow(context, &project, &past).await;
    }
    if let Some(host) = &args.host {
        return said(context, &project, &past, host);
    }
    let mut reporter = context.global.json.then(|| JsonReporter::new(context.ui.clone()));
    let mut summary = Summary::default();
    let file = past.journal().map_err(|error| {
        CommandError::because(format!("open the journal of run {}", past.run), error)
    })?;
    for event in read_journal(BufReader::new(file)) {
        let event = event.map_err(|error| {
            CommandError::because(format!("read the journal of run {}", past.run), error)
        })?;
        summary.apply(&event);
        if let Some(reporter) = &mut reporter {
            let _ = reporter.observe(&event);
        }
    }
    if reporter.is_none() {
        show(context, &project, &past, &summary);
    }
    Ok(Exit::Complete)
}

/// What one host said.
fn said(
    context: &Context,
    project: &Project,
    past: &Past,
    host: &Target,
) -> Result<Exit, CommandError> {
    let (run, output) = (&past.run, past.output(host));
    let has_it = || fold(past).in_order().iter().any(|(target, _)| *target == host);
    if output.is_empty() && !has_it() {
        let options = &project.options;
        return Err(CommandError::refused(format!("{host} is no host of run {run}"))
            .hint(format!("deploy-cli show{options} {run} names its hosts")));
    }
    if context.global.json {
        let line = serde_json::json!({ "run": run, "host": host, "output": output });
        context.ui.line(&escape_json(&line.to_string()));
        return Ok(Exit::Complete);
    }
    if output.is_empty() {
        context.ui.error_line(&format!("{host} said nothing in run {run}"));
    }
    context.ui.line(&display::block(output.trim_end()));
    Ok(Exit::Complete)
}

fn show(context: &Context, project: &Project, past: &Past, summary: &Summary) {
    let ui = &context.ui;
    if let Some(info) = &summary.info {
        let why =
            info.why.as_ref().map_or(String::new(), |why| format!(": {}", display::line(why)));
        let when = summary.started.map_or(String::new(), crate::time::moment);
        let (who, host) = (display::line(&info.who), display::line(&info.host));
        ui.line(&format!("{when} by {who} on {host}{why}"));
        if let Some(digest) = &info.saved_plan {
            ui.line(&format!("applied the saved plan with sha256 {}", display::line(digest)));
        }
    }
    let mut finish = super::finish(project, summary);
    finish.running = summary.exit.is_none() && past.is_alive();
    report::summary_lines(summary, &finish, EVIDENCE, ui).iter().for_each(|line| ui.line(line));
    if finish.running {
        let (options, run) = (&project.options, &past.run);
        ui.line(&format!("\nwatch it: deploy-cli show{options} --follow {run}"));
    }
    for (target, _) in summary.in_order() {
        let output = past.output(target);
        if !output.is_empty() {
            ui.line(&format!("\n{}", ui.paint(ui.strong(), &format!("output of {target}"))));
            ui.line(&display::block(output.trim_end()));
        }
    }
    ui.line(&format!("\nfiles: {}", display::line(&past.path().display().to_string())));
}

/// Reads the journal as it grows, until the run ends or its process is gone.
async fn follow(context: &Context, project: &Project, past: &Past) -> Result<Exit, CommandError> {
    let cannot =
        |error| CommandError::because(format!("read the journal of run {}", past.run), error);
    let mut reporter: Box<dyn Observer> = if context.global.json {
        Box::new(JsonReporter::new(context.ui.clone()))
    } else {
        Box::new(PlainReporter::new(context.ui.clone()))
    };
    // It may be another user's: read event by event, in bounded memory.
    let mut events = read_journal(BufReader::new(past.journal().map_err(cannot)?));
    let mut summary = Summary::default();
    loop {
        // Asked before reading: what a process wrote before it died is then still read.
        let alive = past.is_alive();
        for event in events.by_ref() {
            let event: Event = event.map_err(|error| {
                CommandError::because(format!("read the journal of run {}", past.run), error)
            })?;
            summary.apply(&event);
            let _ = reporter.observe(&event);
            if matches!(event.kind, EventKind::RunFinished { .. }) {
                return Ok(end(context, project, &summary));
            }
        }
        if !alive {
            context.ui.error_line(&format!("run {} died: it has no end", past.run));
            return Ok(end(context, project, &summary));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn end(context: &Context, project: &Project, summary: &Summary) -> Exit {
    if !context.global.json {
        let finish = super::finish(project, summary);
        let lines = report::summary_lines(summary, &finish, 0, &context.ui);
        lines.iter().for_each(|line| context.ui.line(line));
    }
    Exit::Complete
}
