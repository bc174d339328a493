//! What a run came to, for a stranger to understand (rule 18).

use deploy_core::{
    model::{Scheme, Version},
    plan::{Purpose, Stage, Work},
    record::{Cluster, End, Exit, Served, Summary, TargetSummary},
};

use super::{
    failure,
    plan_view::count,
    teller::{names, stage_name},
    verdict::{counts, is_back, purpose, verdict},
};
use crate::{display, hosts::Ended, table::Table, ui::Ui};

/// The most hosts that are named in the command that finishes the rest.
const NAMED: usize = 10;

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
    lines
}

/// Equal failures once, with the hosts that met them.
fn clusters(summary: &Summary, evidence: usize, ui: &Ui) -> Vec<String> {
    let mut lines = Vec::new();
    for cluster in summary.clusters() {
        let hosts = count(cluster.targets.len(), "host");
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

/// What each host serves that is not where it should be.
fn elsewhere(summary: &Summary, finish: &Finish, ui: &Ui) -> Vec<String> {
    let mut table = Table::default();
    for (target, ended) in summary.in_order() {
        match &ended.end {
            Some(end) if end.is_success() => {}
            Some(end) => {
                let told = how_it_ended(end, purpose(summary));
                table.row([target.to_string(), told, serves(ended)]);
            }
            None if finish.running => {
                table.row([target.to_string(), at(ended), String::new()]);
            }
            None => table.row([target.to_string(), "not ended".to_owned(), serves(ended)]),
        }
    }
    let rows = table.lines();
    if rows.is_empty() {
        return Vec::new();
    }
    let title = match purpose(summary) {
        _ if finish.running => "at work:".to_owned(),
        Purpose::Operate(_) => "not as wanted:".to_owned(),
        Purpose::Run | Purpose::Adopt => "not done:".to_owned(),
        Purpose::Version if is_back(summary) => "not brought back:".to_owned(),
        Purpose::Version => "not on it:".to_owned(),
    };
    let mut lines = vec![String::new(), ui.paint(ui.strong(), &title)];
    lines.extend(rows.into_iter().map(|row| format!("  {row}")));
    lines
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

/// What to do next: the one command that finishes the rest, or where to look first.
fn next(summary: &Summary, finish: &Finish, ui: &Ui) -> Vec<String> {
    let refused = summary.exit == Some(Exit::Refused);
    if summary.unfinished().is_empty() || summary.plan.is_none() || refused || finish.running {
        return Vec::new();
    }
    let options = &finish.options;
    let mut lines = vec![String::new()];
    let uncertain = summary.counts().unknown + summary.counts().open > 0;
    match purpose(summary) {
        Purpose::Operate(_) if uncertain || summary.exit == Some(Exit::Mixed) => {
            lines.push(format!("how they are now:    deploy-cli service status{options}"));
        }
        Purpose::Version if uncertain => {
            lines.push(format!("what they serve now: deploy-cli status{options}"));
        }
        _ => {}
    }
    let is_command = purpose(summary).is_steps();
    if summary.exit == Some(Exit::RolledBack) || summary.breach.is_some() || is_command {
        let run = summary.info.as_ref().map_or("last", |info| info.run.as_str());
        lines.push(format!("what each host said: deploy-cli show{options} {run}"));
    } else {
        let command = finishing(summary, finish);
        let counts = summary.counts();
        let begun = counts.deployed + counts.unchanged + counts.done > 0;
        let label = if begun { "finish the rest:     " } else { "to do it after all:  " };
        lines.push(format!("{label}{}", ui.paint(ui.strong(), &command)));
    }
    lines
}

/// The one command, with the exact version, that finishes the rest.
fn finishing(summary: &Summary, finish: &Finish) -> String {
    let unfinished = summary.unfinished();
    let command = match purpose(summary) {
        Purpose::Operate(action) => format!("service {action}"),
        _ if is_back(summary) => "rollback".to_owned(),
        _ => "deploy".to_owned(),
    };
    let version = summary.plan.as_ref().and_then(|plan| plan.version.as_ref());
    let version =
        version.map_or(String::new(), |version| format!(" {}", exact(version, &finish.scheme)));
    let hosts = match unfinished.len() {
        number if number == summary.targets.len() && !finish.narrowed => String::new(),
        number if number <= NAMED => {
            let names: Vec<&str> = unfinished.iter().map(|target| target.as_str()).collect();
            format!(" --hosts {}", quoted(&names.join(",")))
        }
        _ => {
            let run = summary.info.as_ref().map_or("last", |info| info.run.as_str());
            format!(" --hosts @{run}/{}", Ended::Unfinished)
        }
    };
    let (options, allowed) = (&finish.options, &finish.allowed);
    format!("deploy-cli {command}{options}{version}{hosts}{allowed}")
}

/// The name by which exactly this version is found again: its tag, where that is plain, else its
/// id.
pub fn exact(version: &Version, scheme: &Scheme) -> String {
    let plain =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/+-".contains(&b));
    match &version.name {
        Some(name)
            if *scheme != Scheme::Any
                && scheme.matches(name)
                && plain(name)
                && !name.starts_with('-') =>
        {
            name.clone()
        }
        _ => version.id.as_str().to_owned(),
    }
}

/// A word for a shell, quoted where it must be.
pub fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/+-,@:".contains(&b);
    if text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", display::line(text).replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use deploy_core::model::{DateTags, Target, VersionId};

    use super::*;

    fn version(name: Option<&str>) -> Version {
        Version { id: VersionId::new("0123456789abcdef").unwrap(), name: name.map(str::to_owned) }
    }

    #[test]
    fn only_a_plain_tag_of_the_scheme_is_exact() {
        let dates = Scheme::Date(DateTags { prefix: "release".into() });
        let tag = "release/2026-01-01/1";
        assert_eq!(exact(&version(Some(tag)), &dates), tag);
        assert_eq!(exact(&version(Some("main")), &dates), "0123456789abcdef");
        assert_eq!(exact(&version(None), &dates), "0123456789abcdef");
        let any = Scheme::Any;
        for name in ["main", "v1", "$(reboot)", "-x", "a b"] {
            assert_eq!(exact(&version(Some(name)), &any), "0123456789abcdef", "{name}");
        }
    }

    #[test]
    fn hosts_are_named_up_to_a_number_and_quoted_for_a_shell() {
        let targets: Vec<Target> =
            (1..=12).map(|number| Target::new(format!("h{number}")).unwrap()).collect();
        assert_eq!(names(&targets[..2]), "h1, h2");
        assert!(names(&targets).ends_with("h10 and 2 more"));
        assert_eq!(quoted("h1,h2"), "h1,h2");
        assert_eq!(quoted("web*,!h1"), "'web*,!h1'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
