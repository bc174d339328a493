//! `service status`: how the services are, hosts that are alike together.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    backend::{BackendError, ErrorKind, ServiceState},
    model::{Group, GroupName, Target},
    plan::{Noun, Stage},
    record::{Exit, Failure},
};
use jiff::Timestamp;

use crate::{
    commands::{selection::selected, survey},
    context::Context,
    display,
    error::CommandError,
    report::{escape_json, names},
    time, wire,
};

/// What was learnt of a host.
struct Answer {
    group: GroupName,
    target: Target,
    /// How each service is, and what is served; or why the host could not be asked.
    told: Result<Told, Failure>,
}

struct Told {
    /// In the order of the configuration.
    services: Vec<Result<ServiceState, Failure>>,
    serves: Option<String>,
}

/// Asks all hosts, and prints what they have in common.
pub(super) async fn show(context: &Context, hosts: &[String]) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let groups = selected(context, &project, hosts, wire::groups(&project.loaded)?)?;
    let wired = wire::pipeline(context, &project, false)?;
    let mut backends = groups.iter().map(|group| wired.backend(&group.name));
    if backends.all(|backend| backend.is_ok_and(|backend| backend.operators.is_empty())) {
        return Err(CommandError::refused("there is no service to ask for")
            .hint("name the service in [restart]"));
    }
    let restart = project.loaded.config.restart.as_ref();
    if restart.is_some_and(|restart| restart.command.is_some() && restart.service.is_none()) {
        let problem = "[restart] has a command that restarts, and names no service to ask for";
        return Err(
            CommandError::refused(problem).hint("name it there, as `service`, beside the command")
        );
    }
    let run = context.run_id();
    let states = async { Ok(wired.service_states(&groups, &run, &project.who).await) };
    let survey = survey::ask(context, &project, &wired, &groups);
    let (survey, mut states) = tokio::try_join!(survey, states)?;
    wired.close().await;
    let mut answers = Vec::new();
    for (group, target) in in_order(&groups) {
        let services = states.remove(target).unwrap_or_default();
        let told = match survey.answers.get(target) {
            Some(Ok(live)) => Ok(Told {
                services: services.into_iter().map(|state| failed(state, target)).collect(),
                serves: live.release().map(|release| release.version.to_string()),
            }),
            Some(Err(failure)) => Err(failure.clone()),
            None => continue,
        };
        answers.push(Answer { group: group.name.clone(), target: target.clone(), told });
    }
    if context.global.json {
        answers.iter().for_each(|answer| json(context, answer));
    } else {
        grouped(context, project.noun(), &answers);
    }
    let silent = answers.iter().any(|answer| match &answer.told {
        Ok(told) => told.services.iter().any(|state| state.as_ref().is_err_and(is_silent)),
        Err(_) => true,
    });
    Ok(if silent { Exit::Incomplete } else { Exit::Complete })
}

/// Whether the service could not be asked for. That there is none is an answer.
fn is_silent(failure: &Failure) -> bool {
    failure.kind != ErrorKind::NotFound
}

fn failed(
    state: Result<ServiceState, BackendError>,
    target: &Target,
) -> Result<ServiceState, Failure> {
    state.map_err(|error| Failure::from_error(Stage::Connect, target, &error))
}

/// Each target once, with the group it belongs to.
fn in_order(groups: &[Group]) -> impl Iterator<Item = (&Group, &Target)> {
    let mut seen = BTreeSet::new();
    groups
        .iter()
        .flat_map(|group| group.targets.iter().map(move |target| (group, target)))
        .filter(move |(_, target)| seen.insert(*target))
}

/// Prints the hosts that answered alike together, the most first.
fn grouped(context: &Context, noun: Noun, answers: &[Answer]) {
    let mut alike: BTreeMap<String, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        alike.entry(words(answer)).or_default().push(answer);
    }
    let mut alike: Vec<(String, Vec<&Answer>)> = alike.into_iter().collect();
    alike.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    let ui = &context.ui;
    for (words, of) in alike {
        let paint = if of.iter().all(|answer| is_well(answer)) { ui.good() } else { ui.bad() };
        let line = format!("{}: {}", noun.count(of.len()), display::line(&words));
        ui.prose(&ui.paint(paint, &line));
        let targets: Vec<Target> = of.iter().map(|answer| answer.target.clone()).collect();
        let on = if ui.verbose { every(&targets) } else { names(&targets) };
        ui.prose(&format!("    on {on}{}", since(&of)));
        let hints: BTreeSet<&str> = of.iter().filter_map(|answer| hint(answer)).collect();
        hints.iter().for_each(|hint| ui.prose(&format!("    hint: {}", display::line(hint))));
    }
}

fn every(targets: &[Target]) -> String {
    targets.iter().map(Target::as_str).collect::<Vec<_>>().join(", ")
}

/// What is equal on hosts that are alike: not the moments, and not the host's own name.
fn words(answer: &Answer) -> String {
    let told = match &answer.told {
        Ok(told) => told,
        Err(failure) => return format!("could not be asked: {}: {}", failure.kind, failure.cause),
    };
    let mut parts: Vec<String> = told
        .services
        .iter()
        .map(|state| match state {
            Ok(state) if state.sub.is_empty() => format!("{} {}", state.service, state.state),
            Ok(state) => format!("{} {} ({})", state.service, state.state, state.sub),
            Err(failure) if is_silent(failure) => format!("could not be asked: {}", failure.cause),
            Err(failure) => failure.cause.clone(),
        })
        .collect();
    parts.push(match &told.serves {
        Some(version) => format!("serves {version}"),
        None => "serves nothing".to_owned(),
    });
    parts.join(", ")
}

fn is_well(answer: &Answer) -> bool {
    let up = |state: &Result<ServiceState, Failure>| {
        state.as_ref().is_ok_and(|state| state.instance.active)
    };
    answer.told.as_ref().is_ok_and(|told| told.services.iter().all(up))
}

fn hint(answer: &Answer) -> Option<&str> {
    let services = answer.told.as_ref().ok().into_iter().flat_map(|told| &told.services);
    let failed = services.filter_map(|state| state.as_ref().err());
    let failed = answer.told.as_ref().err().into_iter().chain(failed);
    failed.filter_map(|failure| failure.hint.as_deref()).next()
}

/// Since when the services are as they are: one moment, or from the first to the last.
fn since(of: &[&Answer]) -> String {
    let told = of.iter().filter_map(|answer| answer.told.as_ref().ok());
    let states = told.flat_map(|told| told.services.iter().filter_map(|state| state.as_ref().ok()));
    let moments: Vec<Timestamp> = states.filter_map(|state| state.since).collect();
    match (moments.iter().min(), moments.iter().max()) {
        (Some(first), Some(last)) if first == last => format!(", since {}", time::moment(*first)),
        (Some(first), Some(last)) => {
            format!(", since {} to {}", time::moment(*first), time::moment(*last))
        }
        _ => String::new(),
    }
}

fn json(context: &Context, answer: &Answer) {
    let line = match &answer.told {
        Ok(told) => {
            let service = |state: &Result<ServiceState, Failure>| match state {
                // The mark of this start is for a restarter alone.
                Ok(state) => {
                    let mut state = serde_json::json!(state);
                    state.as_object_mut().map(|state| state.remove("mark"));
                    state
                }
                Err(failure) => serde_json::json!({ "failure": failure }),
            };
            let services: Vec<serde_json::Value> = told.services.iter().map(service).collect();
            serde_json::json!({
                "target": answer.target, "group": answer.group, "services": services,
                "serves": told.serves,
            })
        }
        Err(failure) => serde_json::json!({
            "target": answer.target, "group": answer.group, "failure": failure,
        }),
    };
    context.ui.line(&escape_json(&line.to_string()));
}
