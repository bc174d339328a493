//! `status`: what each host serves.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use deploy_core::{
    backend::{BackendError, Instance, Live, Lock, ServiceState, Standing},
    model::{Group, Target},
    plan::{Noun, Survey},
    record::{Exit, RunId},
};

use super::selection::selected;
use crate::{
    args::HostsArgs,
    commands::survey,
    context::{Context, Project},
    display,
    error::CommandError,
    report::{escape_json, exact, names, quoted},
    state,
    table::Table,
    time,
    wire::{self, Wired},
};

/// Show what each host serves, since when, and by whom
///
/// Exit code 6 when a host could not be asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli status
  deploy-cli status --hosts '@last/failed'")]
pub struct StatusArgs {
    #[command(flatten)]
    only: HostsArgs,
}

/// What is known of each service of a host: its name, and whether it is up.
type Services = BTreeMap<Target, Vec<(String, Option<bool>)>>;

/// Asks all hosts, and prints a line for each.
pub(crate) async fn cmd_status(context: &Context, args: &StatusArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let groups = wire::groups(&project.loaded)?;
    let groups = selected(context, &project, &args.only.hosts, groups)?;
    let wired = wire::pipeline(context, &project, false)?;
    let survey = survey::ask(context, &project, &wired, &groups).await?;
    let services = services(context, &project, &wired, (&groups, &survey)).await;
    wired.close().await;
    let silent = survey.answers.values().filter(|answer| answer.is_err()).count();
    if context.global.json {
        json(context, &groups, &survey, &services);
    } else {
        let holder = wire::lock(&project, context.run_id())?.holder().await?;
        if let Some(holder) = &holder {
            context.ui.prose(&format!("locked by {}", state::describe_holder(holder)));
        }
        let at_work = holder.and_then(|holder| holder.run);
        show(context, &groups, &survey, (&services, at_work.as_ref()), project.noun());
        tell_cures(context, &project, &survey, at_work.as_ref());
    }
    Ok(if silent > 0 { Exit::Incomplete } else { Exit::Complete })
}

/// Asks the targets that answered whether their services are up.
async fn services(
    context: &Context,
    project: &Project,
    wired: &Wired,
    (groups, survey): (&[Group], &Survey),
) -> Services {
    let mut answered = groups.to_vec();
    let is_heard = |target: &Target| survey.answers.get(target).is_some_and(Result::is_ok);
    answered.iter_mut().for_each(|group| group.targets.retain(is_heard));
    let (clusters, hosts): (Vec<Group>, Vec<Group>) =
        answered.into_iter().partition(|group| wired.is_of_clusters(&group.name));
    let mut services = of_hosts(context, project, wired, &hosts).await;
    let asked = wired.service_states(&clusters, &context.run_id(), &project.who).await;
    for (target, states) in asked {
        // What runs in a cluster, or does not run yet, has no other service.
        let up = |state: Result<ServiceState, BackendError>| {
            state.ok().map(|state| (state.service, Some(state.instance.active)))
        };
        services.insert(target, states.into_iter().filter_map(up).collect());
    }
    services
}

async fn of_hosts(
    context: &Context,
    project: &Project,
    wired: &Wired,
    hosts: &[Group],
) -> Services {
    let Some(section) = &project.loaded.config.restart else { return Services::new() };
    let named: Vec<&String> = section.service.iter().chain(&section.services).collect();
    if named.is_empty() {
        return Services::new();
    }
    let mut asked = wired.services(hosts, &context.run_id(), &project.who).await;
    // A restart by a command without a service names nothing that could be asked for.
    asked.retain(|_, answers| answers.len() == named.len());
    let told = |answers: Vec<Result<Instance, BackendError>>| {
        let up = answers.into_iter().map(|answer| answer.ok().map(|instance| instance.active));
        named.iter().map(|name| (*name).clone()).zip(up).collect()
    };
    asked.into_iter().map(|(target, answers)| (target, told(answers))).collect()
}

fn service_told(services: &Services, target: &Target) -> String {
    let word = |up: Option<bool>| match up {
        Some(true) => "up",
        Some(false) => "DOWN",
        None => "?",
    };
    match services.get(target).map(Vec::as_slice) {
        None | Some([]) => String::new(),
        Some([(_, up)]) => word(*up).to_owned(),
        Some(several) => {
            let all: Vec<String> =
                several.iter().map(|(name, up)| format!("{name} {}", word(*up))).collect();
            all.join(", ")
        }
    }
}

/// Each target once, with the group it belongs to.
fn in_order(groups: &[Group]) -> impl Iterator<Item = (&Group, &Target)> {
    let mut seen = std::collections::BTreeSet::new();
    groups
        .iter()
        .flat_map(|group| group.targets.iter().map(move |target| (group, target)))
        .filter(move |(_, target)| seen.insert(*target))
}

fn show(
    context: &Context,
    groups: &[Group],
    survey: &Survey,
    (services, at_work): (&Services, Option<&RunId>),
    noun: Noun,
) {
    let heading = noun.one().to_uppercase();
    let mut table = Table::new([heading.as_str(), "GROUP", "LIVE", "SINCE", "BY", "SERVICE"]);
    let mut notes: BTreeMap<String, Vec<Target>> = BTreeMap::new();
    let mut hints: BTreeSet<&str> = BTreeSet::new();
    for (group, target) in in_order(groups) {
        let first = [target.to_string(), group.name.to_string()];
        let (rest, told) = match survey.answers.get(target) {
            Some(Ok(live)) => (serving(live), live_notes(live, at_work)),
            Some(Err(failure)) => {
                hints.extend(failure.hint.as_deref());
                let note = format!("{}: {}", failure.kind, failure.cause);
                (["?".into(), String::new(), String::new()], vec![note])
            }
            None => Default::default(),
        };
        told.into_iter().for_each(|note| notes.entry(note).or_default().push(target.clone()));
        let service = service_told(services, target);
        table.row(first.into_iter().chain(rest).chain([service]));
    }
    if let Some(width) = context.ui.width() {
        // The day is left of the moment, and a person's name of who it was.
        table.shrink(3, 11, width);
        table.shrink(4, 8, width);
    }
    table.lines().iter().for_each(|line| context.ui.line(line));
    for (note, targets) in notes {
        let line = format!("{}: {}", names(&targets), display::line(&note));
        context.ui.prose(&context.ui.paint(context.ui.note(), &line));
    }
    for hint in hints {
        context.ui.error_prose(&format!("hint: {}", display::line(hint)));
    }
}

/// What is worth knowing of a host beside what it serves. What the run at work does is told once,
/// above.
fn live_notes(live: &Live, at_work: Option<&RunId>) -> Vec<String> {
    let mut notes = Vec::new();
    let ours = live.claim.as_ref().is_some_and(|claim| at_work == Some(&claim.run));
    if live.torn && !ours {
        let told = "its deploy failed half-way: what is there may be a part of it; deploy again, or go back";
        notes.push(told.to_owned());
    } else if is_unfinished(live) {
        notes.push(if ours {
            "at work: not known to be good yet".to_owned()
        } else {
            "its deploy never finished: not known to be good".to_owned()
        });
    }
    if let Some(claim) = live.claim.as_ref().filter(|_| !ours) {
        let dead = if claim.standing == Standing::Dead { ", which died" } else { "" };
        notes.push(format!("claimed by run {} of {}{dead}", claim.run, claim.who));
    }
    notes.extend(live.lacks.iter().cloned());
    notes
}

fn is_unfinished(live: &Live) -> bool {
    live.serving.as_ref().is_some_and(|serving| !live.is_good(&serving.release))
}

/// The commands that finish deploys which never came to their end: one for each version.
fn tell_cures(context: &Context, project: &Project, survey: &Survey, at_work: Option<&RunId>) {
    let scheme = wire::scheme(&project.loaded.config.version);
    let mut left: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (target, answer) in &survey.answers {
        let Ok(live) = answer else { continue };
        let ours = live.claim.as_ref().is_some_and(|claim| at_work == Some(&claim.run));
        let adopted = |name: &String| super::rollout::is_adopted(name);
        let release = live.release().filter(|_| is_unfinished(live) && !ours);
        if let Some(release) = release.filter(|of| !of.version.name.as_ref().is_some_and(adopted)) {
            left.entry(exact(&release.version, &scheme)).or_default().push(target.as_str());
        }
    }
    for (version, targets) in left {
        let (options, hosts) = (&project.options, quoted(&targets.join(",")));
        let line = format!("hint: finish it: deploy-cli deploy{options} {version} --hosts {hosts}");
        context.ui.error_line(&line);
    }
}

/// What it serves, since when and by whom.
fn serving(live: &Live) -> [String; 3] {
    match &live.serving {
        None if live.foreign => ["not ours".into(), String::new(), String::new()],
        None => ["nothing".into(), String::new(), String::new()],
        Some(serving) => [
            serving.release.version.to_string(),
            serving.since.map_or(String::new(), time::moment),
            serving.by.clone().unwrap_or_default(),
        ],
    }
}

fn json(context: &Context, groups: &[Group], survey: &Survey, services: &Services) {
    for (group, target) in in_order(groups) {
        let line = match survey.answers.get(target) {
            Some(Ok(live)) => {
                let up: BTreeMap<&String, &Option<bool>> =
                    services.get(target).into_iter().flatten().map(|(n, up)| (n, up)).collect();
                serde_json::json!({
                    "target": target, "group": group.name, "live": live, "services": up,
                })
            }
            Some(Err(failure)) => {
                serde_json::json!({ "target": target, "group": group.name, "failure": failure })
            }
            None => continue,
        };
        context.ui.line(&escape_json(&line.to_string()));
    }
}
