//! What a run came to, in a line or two, by what it was for.

use deploy_core::{
    plan::{Action, Direction, Noun, Purpose},
    record::{Command, Counts, Exit, Summary},
};

use super::summary_view::Finish;
use crate::{
    config::short,
    display,
    ui::{Paint, Ui},
};

/// Whether the run brings hosts back.
pub(super) fn is_back(summary: &Summary) -> bool {
    match &summary.plan {
        Some(plan) => plan.direction == Direction::Back,
        None => summary.info.as_ref().is_some_and(|info| info.command == Command::Rollback),
    }
}

/// What the run is for.
pub(super) fn purpose(summary: &Summary) -> Purpose {
    match summary.info.as_ref().map(|info| info.command) {
        Some(Command::Service(action)) => Purpose::Operate(action),
        Some(Command::Run) => Purpose::Run,
        Some(Command::Adopt) => Purpose::Adopt,
        _ => Purpose::Version,
    }
}

/// `restarted`, as what was done to a service.
fn past(action: Action) -> &'static str {
    match action {
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Restart => "restarted",
        Action::Reload => "reloaded",
    }
}

/// What a run of a command ran, or an adoption did, as its plan tells it: `run uptime`.
pub fn command(summary: &Summary) -> String {
    let steps = summary.plan.iter().flat_map(|plan| &plan.steps);
    let told: Vec<&str> = steps.map(|step| step.does.as_str()).collect();
    match purpose(summary) {
        _ if !told.is_empty() => told.join(", "),
        Purpose::Adopt => "adopt".to_owned(),
        _ => "run a command".to_owned(),
    }
}

/// The line that says how the run ended.
pub(super) fn verdict(summary: &Summary, finish: &Finish, ui: &Ui) -> String {
    let (paint, text) = match summary.exit {
        Some(Exit::Complete) => (ui.good(), complete(summary)),
        Some(Exit::Incomplete) => (ui.note(), incomplete(summary)),
        Some(Exit::Mixed) => (ui.bad(), mixed(summary)),
        exit => plain(summary, exit, finish, ui),
    };
    let code = summary.exit.map_or(String::new(), |exit| format!(", exit {}", exit.code()));
    let run = summary.info.as_ref().map_or(String::new(), |info| format!("run {}, ", info.run));
    format!("{}  ({run}{}{code})", ui.paint(paint, &text), short(summary.duration))
}

/// What the run is about: a version, or what was to be done.
fn subject(summary: &Summary) -> String {
    let told = match purpose(summary) {
        Purpose::Operate(action) => format!("{action} of {}", app(summary)),
        Purpose::Run | Purpose::Adopt => command(summary),
        Purpose::Version => match summary.plan.as_ref().and_then(|plan| plan.version.as_ref()) {
            Some(version) => version.to_string(),
            None if is_back(summary) => "the last good versions".to_owned(),
            None => "the run".to_owned(),
        },
    };
    display::line(&told).into_owned()
}

fn app(summary: &Summary) -> String {
    summary.info.as_ref().map_or_else(|| "the services".to_owned(), |info| info.app.to_string())
}

fn complete(summary: &Summary) -> String {
    match purpose(summary) {
        Purpose::Operate(action) => format!("{} {}", past(action), app(summary)),
        Purpose::Run | Purpose::Adopt => format!("{}: done", subject(summary)),
        Purpose::Version if is_back(summary) => format!("rolled back to {}", subject(summary)),
        Purpose::Version => format!("deployed {}", subject(summary)),
    }
}

fn incomplete(summary: &Summary) -> String {
    let counts = summary.counts();
    let missing = counts.planned - counts.deployed - counts.unchanged - counts.done;
    let hosts = noun(summary).count(missing);
    match purpose(summary) {
        Purpose::Operate(action) if counts.done == 0 => format!("{} nothing", past(action)),
        Purpose::Operate(_) => format!("{}, but not on {hosts}", complete(summary)),
        Purpose::Run | Purpose::Adopt => {
            format!("{}: not done on {hosts}", subject(summary))
        }
        // Every host has it; what failed is to mark that.
        Purpose::Version if missing == 0 => {
            format!("deployed {}; see the warnings, the next run finishes it", subject(summary))
        }
        Purpose::Version => format!("deployed {}, but not on {hosts}", subject(summary)),
    }
}

fn mixed(summary: &Summary) -> String {
    let what = subject(summary);
    match purpose(summary) {
        Purpose::Operate(_) => {
            format!("{what}: a service is left DOWN, unhealthy or unknown; see below")
        }
        Purpose::Run | Purpose::Adopt => {
            let one = noun(summary).one();
            format!("{what}: how it ended is NOT KNOWN on every {one}; see below")
        }
        Purpose::Version => format!("{what}: the fleet is MIXED; see below"),
    }
}

/// The ends that are told alike, whatever the run is for.
fn plain(summary: &Summary, exit: Option<Exit>, finish: &Finish, ui: &Ui) -> (Paint, String) {
    let (paint, told) = match exit {
        Some(Exit::RolledBack) => {
            let many = noun(summary).many();
            let told = format!("failed; all touched {many} are back and healthy");
            return (ui.bad(), format!("{} {told}", subject(summary)));
        }
        Some(Exit::Interrupted) => (ui.note(), "interrupted"),
        Some(Exit::Locked) => (ui.bad(), "locked by another run"),
        Some(_) => (ui.bad(), "refused; nothing was touched"),
        None if finish.running => (ui.note(), "still running"),
        None => (ui.bad(), "the run DIED: it has no end"),
    };
    (paint, format!("{}: {told}", subject(summary)))
}

/// What the targets of the run are called.
pub(super) fn noun(summary: &Summary) -> Noun {
    summary.plan.as_ref().map_or_else(Noun::default, |plan| plan.noun)
}

/// How many hosts ended in which way.
pub(super) fn counts(summary: &Summary) -> String {
    let counts: Counts = summary.counts();
    let done = match purpose(summary) {
        Purpose::Operate(action) => past(action),
        Purpose::Run | Purpose::Adopt | Purpose::Version => "done",
    };
    let parts = [
        (counts.deployed, if is_back(summary) { "brought back" } else { "deployed" }),
        (counts.done, done),
        (counts.unchanged, "unchanged"),
        (counts.reverted, "went back"),
        (counts.failed, "failed"),
        (counts.unreachable, "unreachable"),
        (counts.unknown, "unknown"),
        (counts.not_attempted, "not attempted"),
        (counts.open, "not ended"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    format!("{}: {}", noun(summary).count(counts.planned), told.join(", "))
}
