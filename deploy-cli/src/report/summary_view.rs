//! What a run came to, for a stranger to understand (rule 18).

use deploy_core::{
    model::Scheme,
    plan::{Purpose, Stage, Work},
    record::{Cluster, End, Served, Summary, TargetSummary},
};

use super::{
    failure,
    next_step::next,
    teller::{names, stage_name},
    verdict::{counts, is_back, noun, purpose, verdict},
};
use crate::{display, table::Table, ui::Ui};

/// What is needed to write the command that finishes the rest.
#[derive(Debug, Clone)]
pub struct Finish {
    /// By which a tag is told from a branch: only a tag is exact.
    pub scheme: Scheme,
    /// The options that mean the same project: ` --env beta`, or nothing.
    pub options: String,
    /// What the run was allowed, and needs to be again: ` --allow-downgrade`, or nothing.
    pub allowed: String,
    /// Whether the run was for some of the hosts only.
    pub narrowed: bool,
    /// Whether the run's process lives: then nothing is to be finished by hand.
    pub running: bool,
}

/// The summary in lines, escaped and painted. `evidence` is how many lines of it are shown for
/// equal failures: none where they were shown when it happened.
pub fn summary_lines(summary: &Summary, finish: &Finish, evidence: usize, ui: &Ui) -> Vec<String> {
    let mut lines = vec![verdict(summary, finish, ui)];
    if let Some(reason) = &summary.reason
        && summary.breach.as_ref() != Some(reason)
    {
        lines.push(format!("  {}", display::block(reason)));
    }
    if let Some(breach) = &summary.breach {
        lines.push(format!("  stopped: {}", display::line(breach)));
    }
    if summary.plan.is_some() {
        lines.push(format!("  {}", counts(summary)));
    }
    lines.extend(clusters(summary, evidence, ui));
    lines.extend(elsewhere(summary, finish, ui));
    for (target, message) in &summary.warnings {
        let target = target.as_ref().map_or(String::new(), |target| format!("{target}: "));
        lines.push(ui.paint(ui.note(), &format!("warning: {target}{}", display::line(message))));
    }
    lines.extend(next(summary, finish, ui));
    ui.wrap(lines)
}

/// Equal failures once, with the hosts that met them.
fn clusters(summary: &Summary, evidence: usize, ui: &Ui) -> Vec<String> {
    let mut lines = Vec::new();
    for cluster in summary.clusters() {
        let hosts = noun(summary).count(cluster.targets.len());
        lines.push(String::new());
        lines.push(ui.paint(ui.bad(), &format!("{hosts}: {}", common(&cluster))));
        lines.push(format!("    on {}", names(&cluster.targets)));
        if let Some(hint) = &cluster.failure.hint {
            lines.push(format!("    {} {}", ui.paint(ui.note(), "hint:"), display::line(hint)));
        }
        lines.extend(failure::evidence(&cluster.failure, evidence));
    }
    lines
}

/// What the failures of a cluster have in common: without the name of the first host.
fn common(cluster: &Cluster) -> String {
    match cluster.targets.first() {
        Some(first) => failure::in_stage(&cluster.failure, first),
        None => display::line(&cluster.failure.cause).into_owned(),
    }
}

/// What each host serves that is not where it should be, or with which the run is not done.
fn elsewhere(summary: &Summary, finish: &Finish, ui: &Ui) -> Vec<String> {
    let (mut off, mut on) = (Table::default(), Table::default());
    for (target, ended) in summary.in_order() {
        if let Some(told) = on_it(summary, ended).filter(|_| !finish.running) {
            on.row([target.to_string(), told.to_owned()]);
            continue;
        }
        match &ended.end {
            Some(end) if end.is_success() => {}
            Some(end) => {
                let told = how_it_ended(end, purpose(summary));
                off.row([target.to_string(), told + &steps_run(ended), serves(ended)]);
            }
            None if finish.running => {
                off.row([target.to_string(), at(ended), String::new()]);
            }
            None => off.row([target.to_string(), "not ended".to_owned(), serves(ended)]),
        }
    }
    let title = match purpose(summary) {
        _ if finish.running => "at work:",
        Purpose::Operate(_) => "not as wanted:",
        Purpose::Run | Purpose::Adopt => "not done:",
        Purpose::Version if is_back(summary) => "not brought back:",
        Purpose::Version => "not on it:",
    };
    let mut lines = Vec::new();
    for (title, rows) in [(title, off.lines()), ("on it, but not done with:", on.lines())] {
        if !rows.is_empty() {
            lines.extend([String::new(), ui.paint(ui.strong(), title)]);
            lines.extend(rows.into_iter().map(|row| format!("  {row}")));
        }
    }
    lines
}

/// What is missing on a target that serves what it should.
fn on_it(summary: &Summary, target: &TargetSummary) -> Option<&'static str> {
    let change = target.change.as_ref().filter(|_| purpose(summary) == Purpose::Version)?;
    match (&target.end, change.work) {
        (Some(End::Deployed), _) if summary.is_left(target) => {
            Some("deployed, not marked good: the run did not come to its end")
        }
        (Some(End::NotAttempted), _) if change.to.is_none() => None,
        (Some(End::NotAttempted), Work::Nothing) => Some("serves it already, not checked"),
        (Some(End::NotAttempted), Work::Confirm) if change.back != change.to => {
            Some("serves it already, not known to be good")
        }
        (Some(End::NotAttempted), Work::Confirm) => Some("serves it already, not done again"),
        _ => None,
    }
}

/// The app's own steps that ran on a target which was not touched.
fn steps_run(target: &TargetSummary) -> String {
    match (&target.end, target.ran.as_slice()) {
        (Some(End::NotAttempted), [_, ..]) => {
            let steps = if target.ran.len() == 1 { "step" } else { "steps" };
            format!(", but {steps} {} ran", target.ran.join(", "))
        }
        _ => String::new(),
    }
}

/// How a target ended; what failed of an operation is told by the operation's name.
fn how_it_ended(end: &End, purpose: Purpose) -> String {
    match (end, purpose) {
        (End::Failed { failure, .. }, Purpose::Operate(action))
            if failure.stage == Stage::Restart =>
        {
            format!("failed in {action}")
        }
        _ => failure::end(end),
    }
}

/// The stage that a target is in.
fn at(summary: &TargetSummary) -> String {
    match &summary.stage {
        Some((stage, detail)) => stage_name(*stage, detail.as_deref(), false),
        None => "waiting, or done".to_owned(),
    }
}

fn serves(summary: &TargetSummary) -> String {
    let change = summary.change.as_ref();
    if change.is_some_and(|change| change.work == Work::Run) {
        let unknown = matches!(summary.end, Some(End::Unknown { .. }) | None);
        let told = if unknown { "nobody knows how it ended" } else { "" };
        return told.to_owned();
    }
    let planned = |release: Option<&deploy_core::model::Release>| match release {
        Some(release) => format!("serves {}", display::line(&release.to_string())),
        None => "serves nothing".to_owned(),
    };
    match &summary.end {
        Some(End::Reverted { .. }) => planned(change.and_then(|change| change.back.as_ref())),
        Some(End::NotAttempted) => planned(change.and_then(|change| change.from.as_ref())),
        Some(End::Failed { served, .. }) => match served {
            Served::NeverAsked => "was not asked what it serves; nothing was changed".to_owned(),
            served => format!("serves {}", failure::served(served)),
        },
        Some(End::Unreachable { served: Served::NeverAsked, .. }) => {
            "could not be asked what it serves; nothing was changed".to_owned()
        }
        Some(End::Unreachable { served, .. }) => format!("last known: {}", failure::served(served)),
        Some(End::Unknown { one_of, .. }) => {
            let all: Vec<String> = one_of.iter().map(failure::served).collect();
            format!("serves {}", all.join(" or "))
        }
        Some(End::Deployed | End::Unchanged | End::Done) => String::new(),
        None => "`deploy-cli status` asks what it serves".to_owned(),
    }
}
