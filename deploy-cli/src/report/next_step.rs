//! What to do after a run: the commands that finish the rest, go back, or do without a host.

use deploy_core::{
    model::{Scheme, Target, Version},
    plan::{Purpose, Work},
    record::{Command, End, Exit, Served, Summary, TargetSummary},
};

use super::{
    summary_view::Finish,
    verdict::{is_back, noun, purpose},
};
use crate::{display, hosts::Ended, ui::Ui};

/// The most hosts that are named in a command.
const NAMED: usize = 10;

/// What to do next: the one command that finishes the rest, or where to look first.
pub(super) fn next(summary: &Summary, finish: &Finish, ui: &Ui) -> Vec<String> {
    if summary.plan.is_none() || finish.running {
        return Vec::new();
    }
    if summary.exit == Some(Exit::Refused) {
        return without_them(summary, finish, ui);
    }
    if summary.unfinished().is_empty() {
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
        lines.push(format!(
            "what each {} said: deploy-cli show{options} {}",
            noun(summary).one(),
            run(summary)
        ));
    } else {
        let command = finishing(summary, finish);
        let counts = summary.counts();
        let begun = counts.deployed + counts.unchanged + counts.done > 0;
        let label = if begun { "finish the rest:     " } else { "to do it after all:  " };
        lines.push(format!("{label}{}", ui.paint(ui.strong(), &command)));
    }
    if let Some(hosts) = going_back(summary) {
        let command = format!("deploy-cli rollback{options} --hosts {hosts}");
        lines.push(format!("go back:             {}", ui.paint(ui.strong(), &command)));
    }
    lines
}

fn run(summary: &Summary) -> &str {
    summary.info.as_ref().map_or("last", |info| info.run.as_str())
}

/// The one command, with the exact version, that finishes the rest.
fn finishing(summary: &Summary, finish: &Finish) -> String {
    let unfinished = summary.unfinished();
    let command = match purpose(summary) {
        Purpose::Operate(action) => format!("service {action}"),
        _ if is_back(summary) => "rollback".to_owned(),
        _ => "deploy".to_owned(),
    };
    let hosts = match unfinished.len() {
        number if number == summary.targets.len() && !finish.narrowed => String::new(),
        number if number <= NAMED => format!(" --hosts {}", listed(&unfinished)),
        _ => format!(" --hosts @{}/{}", run(summary), Ended::Unfinished),
    };
    let (options, allowed) = (&finish.options, &finish.allowed);
    format!("deploy-cli {command}{options}{}{hosts}{allowed}", version(summary, finish))
}

/// The exact version of the run, as a word after a command; nothing where it has none.
fn version(summary: &Summary, finish: &Finish) -> String {
    let version = summary.plan.as_ref().and_then(|plan| plan.version.as_ref());
    version.map_or(String::new(), |version| format!(" {}", exact(version, &finish.scheme)))
}

fn listed(targets: &[&Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|target| target.as_str()).collect();
    quoted(&names.join(","))
}

/// The hosts that this run moved, that were left there, and that have a way back: what `--hosts`
/// takes. Those are left out of which nobody knows what they serve, since a rollback might take
/// them too far.
fn going_back(summary: &Summary) -> Option<String> {
    if purpose(summary) != Purpose::Version || is_back(summary) {
        return None;
    }
    let left: Vec<(&Target, &TargetSummary)> = summary
        .in_order()
        .into_iter()
        .filter(|(_, target)| was_left_moved(summary, target))
        .collect();
    let deployed = summary.counts().deployed == left.len()
        && left.iter().all(|(_, target)| target.end == Some(End::Deployed));
    let targets: Vec<&Target> = left.into_iter().map(|(target, _)| target).collect();
    match targets.len() {
        0 => None,
        number if number > NAMED && deployed => {
            Some(format!("@{}/{}", run(summary), Ended::Deployed))
        }
        _ => Some(listed(&targets)),
    }
}

fn was_left_moved(summary: &Summary, target: &TargetSummary) -> bool {
    let Some(change) = &target.change else { return false };
    let moved = change.work == Work::Move && change.back.is_some();
    moved
        && summary.is_left(target)
        && match (&target.end, &change.to) {
            (Some(End::Deployed), _) => true,
            (Some(End::Failed { served: Served::Release { release }, .. }), Some(to)) => {
                release == to && change.from.as_ref() != Some(to)
            }
            _ => false,
        }
}

/// After a deploy that was refused because of some hosts: how to do without them.
fn without_them(summary: &Summary, finish: &Finish, ui: &Ui) -> Vec<String> {
    let deploys = summary.info.as_ref().is_some_and(|info| info.command == Command::Deploy);
    let failed = |target: &TargetSummary| target.end.as_ref().is_some_and(End::is_failure);
    let (out, rest): (Vec<_>, Vec<_>) =
        summary.in_order().into_iter().partition(|(_, target)| failed(target));
    let cut_off = out.iter().any(|(_, target)| matches!(target.end, Some(End::Unreachable { .. })));
    if !deploys || is_back(summary) || rest.is_empty() || !cut_off {
        return Vec::new();
    }
    let rest: Vec<&Target> = rest.into_iter().map(|(target, _)| target).collect();
    let hosts = match (finish.narrowed, out.len()) {
        (false, 1..=NAMED) => {
            let names: Vec<String> = out.iter().map(|(target, _)| format!("!{target}")).collect();
            quoted(&names.join(","))
        }
        _ if rest.len() <= NAMED => listed(&rest),
        _ => format!("@{}/{}", run(summary), Ended::NotAttempted),
    };
    let (options, allowed) = (&finish.options, &finish.allowed);
    let version = version(summary, finish);
    let command = format!("deploy-cli deploy{options}{version} --hosts {hosts}{allowed}");
    let label = if out.len() == 1 { "without it:          " } else { "without them:        " };
    vec![
        String::new(),
        format!("{label}{}", ui.paint(ui.strong(), &command)),
        format!("and later:           deploy-cli catch-up{options}"),
    ]
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
    use crate::report::names;

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
