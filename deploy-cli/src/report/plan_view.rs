//! A plan, for a person to say yes to.

use std::collections::BTreeMap;

use deploy_core::{
    backend::Relation,
    model::{Gate, GroupName, Release},
    plan::{
        Change, Direction, Plan, PlannedGroup, Purpose, Stage, StepMoment, StepPlace, Transition,
        Work,
    },
};

use crate::{config::short, display, table::Table, ui::Ui};

/// The most commits of one transition that are shown.
const COMMITS: usize = 20;

/// The most diffs of rendered files that are shown.
const DIFFS: usize = 20;

/// The plan in lines, escaped and painted. `builds` are the steps of stage fetch, each with its
/// command: they make the release, and so belong to no plan.
pub fn plan_lines(plan: &Plan, builds: &[(String, String)], ui: &Ui) -> Vec<String> {
    let mut lines = vec![ui.paint(ui.strong(), &heading(plan))];
    for (number, group) in plan.groups.iter().enumerate() {
        lines.push(String::new());
        lines.extend(group_lines(plan, group, ui));
        lines.extend(gate(plan, number, &group.gate));
    }
    for transition in &plan.transitions {
        lines.push(String::new());
        lines.extend(transition_lines(plan, transition, ui));
    }
    lines.extend(absent_lines(plan, ui));
    let mut shown = ui.wrap(lines);
    // A line of a file is shown as it is.
    shown.extend(diff_lines(plan, ui));
    let mut lines = Vec::new();
    let done = what_is_done(plan, builds);
    if !done.is_empty() {
        lines.push(String::new());
        lines.push(ui.paint(ui.strong(), &format!("on each {}:", plan.noun.one())));
        lines.extend(done.into_iter().map(|line| format!("  {line}")));
    }
    if let Some(allowance) = &plan.allowance {
        lines.push(format!("budget of the run: {allowance}"));
    }
    for warning in &plan.warnings {
        lines.push(ui.paint(ui.note(), &format!("warning: {}", display::line(warning))));
    }
    for detail in plan.details.iter().filter(|_| ui.verbose) {
        lines.push(ui.paint(ui.dim(), &display::line(detail)));
    }
    shown.extend(ui.wrap(lines));
    shown
}

/// What changes in rendered files, equal diffs once.
fn diff_lines(plan: &Plan, ui: &Ui) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, planned) in plan.diffs.iter().enumerate() {
        let file = display::line(&planned.file);
        let on = match planned.targets.len() {
            1..=3 => format!("on {}", super::names(&planned.targets)),
            many => format!("on {}", plan.noun.count(many)),
        };
        if number == DIFFS {
            let more = plan.diffs.len() - DIFFS;
            lines.push(format!("… and {} more; `plan --json` has them", count(more, "diff")));
            break;
        }
        lines.push(String::new());
        lines.push(ui.paint(ui.strong(), &format!("{file} {on}:")));
        if planned.diff.is_empty() {
            lines.push("  changes too, not the same everywhere".to_owned());
        }
        for line in planned.diff.lines() {
            let shown = format!("  {}", display::line(line));
            lines.push(match line.as_bytes().first() {
                Some(b'+') => ui.paint(ui.good(), &shown),
                Some(b'-') => ui.paint(ui.bad(), &shown),
                Some(b'@') => ui.paint(ui.dim(), &shown),
                _ => shown,
            });
        }
    }
    lines
}

/// `mockbase in beta: adopt /srv/mockbase`
fn adoption(plan: &Plan, app: &str) -> String {
    let does: Vec<&str> = plan.steps.iter().map(|step| step.does.as_str()).collect();
    display::line(&format!("{app}: {}", does.join(", "))).into_owned()
}

fn heading(plan: &Plan) -> String {
    let app = &plan.app;
    let place = plan.environment.as_ref().map_or(String::new(), |env| format!(" in {env}"));
    let what = match (&plan.version, plan.direction) {
        _ if plan.purpose == Purpose::Run => format!("run on {app}{place}"),
        _ if plan.purpose == Purpose::Adopt => adoption(plan, &format!("{app}{place}")),
        (Some(version), Direction::Forward) => {
            let name = display::line(version.name.as_deref().unwrap_or_default()).into_owned();
            format!("deploy {app}{place}: {name} ({})", version.id.short())
        }
        (Some(version), Direction::Back) => {
            format!("roll back {app}{place} to {}", display::line(&version.to_string()))
        }
        (None, _) => {
            format!("roll back {app}{place}: each {} to its last good version", plan.noun.one())
        }
    };
    let absent = match plan.absent.len() {
        0 => String::new(),
        number => format!(", {number} not asked"),
    };
    let changes = plan.changes().filter(|(_, change)| change.work != Work::Nothing).count();
    let hosts = plan.noun.count(plan.targets().count());
    let lost: usize = plan.groups.iter().map(|group| group.lost.len()).sum();
    let lost = if lost > 0 { format!(", {lost} CANNOT") } else { String::new() };
    match plan.purpose {
        Purpose::Version => format!("{what} — {changes} of {hosts} to change{lost}{absent}"),
        Purpose::Operate(action) => {
            format!("{action} {app}{place} — {changes} of {hosts}{lost}")
        }
        Purpose::Run | Purpose::Adopt => format!("{what} — {hosts}"),
    }
}

fn group_lines(plan: &Plan, group: &PlannedGroup, ui: &Ui) -> Vec<String> {
    let hosts = group.batches.iter().map(Vec::len).sum::<usize>() + group.lost.len();
    let mut title = format!("group {}: {}", group.name, plan.noun.count(hosts));
    if group.canary {
        title.push_str(", canary");
    }
    if plan.direction == Direction::Forward {
        let sizes: Vec<String> = group.batches.iter().map(|b| b.len().to_string()).collect();
        let largest = group.batches.first().map_or(0, Vec::len);
        match sizes.len() {
            0 | 1 => {}
            2..=5 => title.push_str(&format!(", batches of {}", sizes.join(" + "))),
            many => title.push_str(&format!(", {many} batches of up to {largest}")),
        }
        title.push_str(&format!(", {}", group.allowance));
    }
    let mut lines = vec![ui.paint(ui.strong(), &title)];
    let mut table = Table::default();
    for (number, batch) in group.batches.iter().enumerate() {
        for change in batch {
            let mut cells = row(plan, change);
            if group.batches.len() > 1 {
                cells.insert(0, format!("[{}]", number + 1));
            }
            table.row(cells);
        }
    }
    lines.extend(table.lines().into_iter().map(|line| format!("  {line}")));
    for lost in &group.lost {
        let cannot =
            if plan.purpose.is_version() { "cannot be deployed to" } else { "cannot be operated" };
        let line = format!(
            "  {}  {cannot}: {}",
            display::line(lost.target.as_str()),
            super::failure::told(&lost.failure, &lost.target)
        );
        lines.push(ui.paint(ui.bad(), &line));
    }
    lines
}

/// Those that are left alone, since nobody knows whether there is anything to do.
fn absent_lines(plan: &Plan, ui: &Ui) -> Vec<String> {
    let mut lines = Vec::new();
    for absent in &plan.absent {
        let lost = &absent.lost;
        let told = super::failure::told(&lost.failure, &lost.target);
        let line = format!("{}  left alone: {told}", display::line(lost.target.as_str()));
        lines.push(ui.paint(ui.bad(), &line));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn row(plan: &Plan, change: &Change) -> Vec<String> {
    let shown = |release: &Option<Release>| release.as_ref().map_or("nothing".into(), show_release);
    let what = match change.work {
        Work::Nothing if change.to.is_none() => "serves nothing: left alone".to_owned(),
        Work::Nothing => format!("{} (unchanged)", shown(&change.to)),
        Work::Operate(action) => format!("{action}; serves {}", shown(&change.to)),
        Work::Run => "run".to_owned(),
        // It is good, but was asked for, or a run died here.
        Work::Confirm if change.back == change.to => format!("{} (again)", shown(&change.to)),
        Work::Confirm => format!("{} (again: it is not known to be good)", shown(&change.to)),
        Work::Move if is_made_anew(change) => {
            format!("{} (made anew: another configuration of it)", shown(&change.to))
        }
        Work::Move => format!("{} → {}", shown(&change.from), shown(&change.to)),
    };
    let mut notes = Vec::new();
    if change.work.can_be_undone() {
        match relation(plan, change) {
            Some(Relation::Backward) => notes.push("BACKWARDS".to_owned()),
            Some(Relation::Diverged) => notes.push("DIVERGED".to_owned()),
            _ => {}
        }
        if plan.direction == Direction::Forward {
            notes.push(match &change.back {
                Some(back) if Some(back) != change.from.as_ref() => {
                    format!("way back: {}", show_release(back))
                }
                Some(_) => String::new(),
                None => "no way back: first deploy".to_owned(),
            });
        }
    }
    notes.retain(|note| !note.is_empty());
    vec![change.target.to_string(), what, notes.join(", ")]
}

/// Whether the version stays, and only what is made of it changes.
fn is_made_anew(change: &Change) -> bool {
    let (Some(from), Some(to)) = (&change.from, &change.to) else { return false };
    from.version == to.version && from.id != to.id
}

/// The name of a release, with the beginning of its id where the name does not say it.
fn show_release(release: &Release) -> String {
    release.version.to_string()
}

fn relation(plan: &Plan, change: &Change) -> Option<Relation> {
    let (from, to) = (change.from.as_ref()?, change.to.as_ref()?);
    let between =
        plan.transitions.iter().find(|t| t.from == from.version.id && t.to == to.version.id)?;
    Some(between.changes.relation)
}

fn transition_lines(plan: &Plan, transition: &Transition, ui: &Ui) -> Vec<String> {
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    for (_, change) in plan.changes() {
        for release in [&change.from, &change.to].into_iter().flatten() {
            names.insert(release.version.id.as_str(), release.version.to_string());
        }
    }
    let name = |id: &deploy_core::model::VersionId| {
        let name = names.get(id.as_str()).map_or_else(|| id.short().to_owned(), Clone::clone);
        display::line(&name).into_owned()
    };
    let commits = &transition.changes.commits;
    let what = match transition.changes.relation {
        Relation::Same => "the same version".to_owned(),
        // Told by the tags of images, of whose commits nothing is known here.
        Relation::Forward if commits.is_empty() => "newer, by its tag".to_owned(),
        Relation::Backward if commits.is_empty() => "OLDER, by its tag".to_owned(),
        Relation::Forward => format!("{} arriving", count(commits.len(), "commit")),
        Relation::Backward => format!("{} LEAVING: it is older", count(commits.len(), "commit")),
        Relation::Diverged => "DIVERGED: each has commits that the other lacks".to_owned(),
        Relation::Unknown => "not known here: nothing can be said about the commits".to_owned(),
    };
    let title = format!("{} → {}: {what}", name(&transition.from), name(&transition.to));
    let mut lines = vec![ui.paint(ui.strong(), &title)];
    for commit in commits.iter().take(COMMITS) {
        lines.push(format!(
            "  {}  {}  {}",
            commit.id.short(),
            display::line(&commit.subject),
            ui.paint(ui.dim(), &format!("({})", display::line(&commit.author)))
        ));
    }
    if commits.len() > COMMITS {
        lines.push(format!("  … and {} more", commits.len() - COMMITS));
    }
    lines
}

/// Steps, checks and restarts, in the order in which a host meets them; only what some host meets. One
/// to which nothing is done is only checked.
fn what_is_done(plan: &Plan, builds: &[(String, String)]) -> Vec<String> {
    let mut table = Table::default();
    let (idle, is_version) = (plan.is_idle(), plan.purpose.is_version());
    let moves = !is_version || plan.changes().any(|(_, change)| change.work == Work::Move);
    if plan.direction == Direction::Forward && is_version && moves {
        for (name, command) in builds {
            table.row(["fetch".into(), format!("step {name}"), format!("run {command}")]);
        }
    }
    for stage in [Stage::Fetch, Stage::Promote, Stage::Restart, Stage::Check] {
        if (idle && stage != Stage::Check) || (!moves && stage == Stage::Promote) {
            continue;
        }
        match stage {
            Stage::Promote => steps(plan, StepMoment::BeforePromote, "promote", &mut table),
            Stage::Restart => {
                let label = if plan.purpose.is_version() { "restart" } else { "service" };
                for restart in &plan.restarts {
                    let only = only(&plan.restarted_only_in(restart)).replacen(", ", "", 1);
                    let only = if only.is_empty() { only } else { format!(" ({only})") };
                    table.row([label.into(), String::new(), format!("{restart}{only}")]);
                }
            }
            _ => {}
        }
        for check in plan.checks.iter().filter(|check| check.policy.stage == stage) {
            let only = only(&met_only_in(plan, |group| plan.is_checked_in(check, group)));
            let asks = format!("{} (within {}{only})", check.asks, short(check.policy.timeout));
            table.row([stage.to_string(), format!("check {}", check.policy.name), asks]);
        }
    }
    let stage = match plan.purpose {
        Purpose::Run => Stage::Run.as_str(),
        Purpose::Adopt => "adopt",
        Purpose::Version | Purpose::Operate(_) => Stage::Check.as_str(),
    };
    if !idle {
        steps(plan, StepMoment::AfterCheck, stage, &mut table);
    }
    table.lines()
}

fn steps(plan: &Plan, moment: StepMoment, stage: &str, table: &mut Table) {
    for step in plan.steps.iter().filter(|step| step.policy.moment == moment) {
        let once = if step.policy.place == StepPlace::Once { "once, " } else { "" };
        let only = only(&met_only_in(plan, |group| plan.is_stepped_in(step, group)));
        let does = format!("{} ({once}within {}{only})", step.does, short(step.policy.timeout));
        table.row([stage.to_owned(), format!("step {}", step.policy.name), does]);
    }
}

/// The groups that meet something; none where all do.
fn met_only_in(plan: &Plan, meets: impl Fn(&GroupName) -> bool) -> Vec<&GroupName> {
    let groups = plan.groups.iter().map(|group| &group.name);
    let with: Vec<&GroupName> = groups.filter(|group| meets(group)).collect();
    if with.len() == plan.groups.len() { Vec::new() } else { with }
}

fn only(groups: &[&GroupName]) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
    format!(", only {}", names.join(", "))
}

/// What comes between a group and the next, where anything does.
fn gate(plan: &Plan, group: usize, gate: &Gate) -> Option<String> {
    let soak = gate
        .soak
        .filter(|_| plan.watches_after(group))
        .map(|soak| format!("watch for {}, checks every {}", short(soak), short(gate.interval)));
    let ask = plan.asks_after(group).then(|| "ask".to_owned());
    let both: Vec<String> = soak.into_iter().chain(ask).collect();
    (!both.is_empty()).then(|| format!("  then: {}", both.join(", then ")))
}

/// `1 host`, `2 hosts`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
