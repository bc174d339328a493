//! What types cannot say: exactly one kind of check, names told apart, hosts named once.

mod checks;
mod clusters;
mod templates;

use std::{collections::BTreeSet, path::Path};

use super::{
    Config, FetchBy, GroupSection, RestartMethod, RestartSection, SchemeName, StepSection,
    StepStage, error::Told,
};
use crate::hosts;

/// Refuses what would fail later, or mean something else than it seems to.
pub(super) fn check(config: &Config) -> Result<(), Told> {
    check_layout(config)?;
    check_plain(config)?;
    check_fetch(config)?;
    if let Some(restart) = &config.restart {
        check_restart(restart)?;
    }
    if config.group.is_empty() {
        return Err(told([], "no [[group]] is defined: there is nothing to deploy to"));
    }
    unique("group", config.group.iter().map(|group| group.name.as_str()))?;
    for (index, group) in config.group.iter().enumerate() {
        check_group(index, group)?;
    }
    clusters::check(config)?;
    checks::check_nrpe(&config.nrpe)?;
    unique("check", config.check.iter().map(|check| check.name.as_str()))?;
    for (index, check) in config.check.iter().enumerate() {
        let kind = checks::check(index, check)?;
        known_group(config, "check", index, check.group.as_ref().map(AsRef::as_ref))?;
        clusters::check_kind(config, index, (check, kind))?;
    }
    unique("step", config.step.iter().map(|step| step.name.as_str()))?;
    for (index, step) in config.step.iter().enumerate() {
        known_group(config, "step", index, step.group.as_ref().map(AsRef::as_ref))?;
        check_step_place(config, index, step)?;
        if step.command.trim().is_empty() {
            return Err(told_at("step", index, "command", "is empty"));
        }
        if step.stage == StepStage::Fetch
            && (step.place == deploy_core::plan::StepPlace::Once || step.group.is_some())
        {
            let problem = "a step of stage \"fetch\" builds the release itself, which must be the \
                           same everywhere: it runs on each host of all groups";
            return Err(told_at("step", index, "stage", problem));
        }
    }
    templates::check(config)
}

/// Hosts need a place for releases.
fn check_layout(config: &Config) -> Result<(), Told> {
    let has_hosts = config.group.iter().any(|group| group.clusters.is_empty());
    match &config.layout {
        Some(layout) if !layout.path.is_absolute() => {
            Err(told(["layout", "path"], "must be an absolute path on the hosts"))
        }
        None if has_hosts => Err(told([], "the key `layout` is missing")),
        _ => Ok(()),
    }
}

/// What would quietly mean something else: an empty text (which is what an unset variable leaves)
/// a number of none, a home that only a shell knows.
fn check_plain(config: &Config) -> Result<(), Told> {
    if let Some(directory) = &config.state_dir {
        check_path(&["state_dir"], directory)?;
    }
    if let Some(file) = &config.ssh.config {
        check_path(&["ssh", "config"], file)?;
    }
    let restart = config.restart.as_ref().and_then(|restart| restart.command.as_deref());
    let texts: [(&[&str], Option<&str>); 6] = [
        (&["ssh", "user"], config.ssh.user.as_deref()),
        (&["version", "branch"], config.version.branch.as_deref()),
        (&["version", "remote"], config.version.remote.as_deref()),
        (
            &["layout", "service_user"],
            config.layout.as_ref().and_then(|layout| layout.service_user.as_deref()),
        ),
        // An empty command succeeds, whatever it was to do.
        (&["restart", "command"], restart),
        (&["notify", "command"], config.notify.as_ref().map(|notify| notify.command.as_str())),
    ];
    for (key, text) in texts {
        if text.is_some_and(|text| text.trim().is_empty()) {
            return Err(told(key.iter().copied(), "is empty"));
        }
    }
    if config.version.prefix.is_some() && config.version.scheme == SchemeName::Any {
        let problem = "goes with scheme = \"date\", \"semver\" or \"timestamp\" only";
        return Err(told(["version", "prefix"], problem));
    }
    if config.version.suffix.is_some() && config.version.scheme != SchemeName::Timestamp {
        return Err(told(["version", "suffix"], "goes with scheme = \"timestamp\" only"));
    }
    if config.run.attempts == Some(0) {
        return Err(told(["run", "attempts"], "the first attempt counts: give a number from 1"));
    }
    if config.ssh.max_starts == Some(0) {
        return Err(told(["ssh", "max_starts"], "nothing would ever start: give a number from 1"));
    }
    Ok(())
}

fn check_path(key: &[&str], path: &Path) -> Result<(), Told> {
    let refuse = |problem| Err(told(key.iter().copied(), problem));
    match path.to_str() {
        Some(text) if text.trim().is_empty() => refuse("is empty"),
        Some(text) if text.starts_with('~') => {
            refuse("`~` is not expanded here: give the whole path")
        }
        _ => Ok(()),
    }
}

fn check_fetch(config: &Config) -> Result<(), Told> {
    let fetch = &config.fetch;
    let is_archive = fetch.method == FetchBy::Archive;
    let only = [("command", fetch.command.is_some()), ("timeout", fetch.timeout.is_some())];
    if let Some((key, _)) = only.into_iter().find(|(_, given)| *given && !is_archive) {
        return Err(told(["fetch", key], "goes with method = \"archive\" only"));
    }
    if fetch.url.is_some() && fetch.method != FetchBy::Pull {
        return Err(told(["fetch", "url"], "goes with method = \"pull\" only"));
    }
    if !is_archive {
        return Ok(());
    }
    if fetch.command.as_ref().is_none_or(|command| command.trim().is_empty()) {
        return Err(told(["fetch"], "needs `command`: what builds the archive"));
    }
    match config.step.iter().position(|step| step.stage == StepStage::Fetch) {
        Some(index) => {
            let problem = "an archive is complete as it was built: build in `command` of [fetch]";
            Err(told_at("step", index, "stage", problem))
        }
        None => Ok(()),
    }
}

fn check_restart(restart: &RestartSection) -> Result<(), Told> {
    if restart.service.is_some() && !restart.services.is_empty() {
        return Err(told(["restart", "services"], "give either `service` or `services`"));
    }
    let named = restart.service.is_some() || !restart.services.is_empty();
    match (restart.method, restart.command.is_some()) {
        (RestartMethod::Command, false) => {
            Err(told(["restart", "method"], "`command` needs the key `command`"))
        }
        (RestartMethod::Command, true) if !restart.services.is_empty() => {
            Err(told(["restart", "services"], "a command is about one `service` at most"))
        }
        (RestartMethod::Command, true) => Ok(()),
        (_, true) => Err(told(["restart", "command"], "goes with method = \"command\" only")),
        (RestartMethod::Hup, false) if restart.pid_file.is_some() => match (named, restart.sudo) {
            (true, _) => Err(told(["restart", "pid_file"], "give either a pid file or a service")),
            (_, true) => Err(told(["restart", "pid_file"], "is never used with sudo")),
            _ => Ok(()),
        },
        (_, false) if restart.pid_file.is_some() => {
            Err(told(["restart", "pid_file"], "goes with method = \"hup\" only"))
        }
        (_, false) if !named => Err(told(["restart"], "needs `service`, `services` or `command`")),
        (_, false) => Ok(()),
    }
}

fn check_group(index: usize, group: &GroupSection) -> Result<(), Told> {
    if group.interval.is_some() && group.soak.is_none() {
        return Err(told_at("group", index, "interval", "goes with `soak` only"));
    }
    if group.hosts.is_empty() && group.hosts_file.is_none() && group.clusters.is_empty() {
        let problem =
            format!("group {} has no hosts: give `hosts`, `hosts_file` or `clusters`", group.name);
        return Err(told(["group", &index.to_string()], problem));
    }
    let mut seen = BTreeSet::new();
    for (position, host) in group.hosts.iter().enumerate() {
        let at = ["group", &index.to_string(), "hosts", &position.to_string()];
        let expanded = hosts::expand(host).map_err(|error| told(at, error.to_string()))?;
        for target in expanded {
            if !seen.insert(target.clone()) {
                return Err(told(at, format!("{target} is named twice in group {}", group.name)));
            }
        }
    }
    Ok(())
}

/// Steps are commands of hosts.
fn check_step_place(config: &Config, index: usize, step: &StepSection) -> Result<(), Told> {
    let meant = |group: &&GroupSection| step.group.as_ref().is_none_or(|name| group.name == *name);
    if config.group.iter().filter(meant).any(|group| group.clusters.is_empty()) {
        return Ok(());
    }
    let problem = "a step runs on hosts, and there is none here: in a cluster, a Job of the chart \
                   (a hook of helm) does it";
    Err(told_at("step", index, "command", problem))
}

fn known_group(
    config: &Config,
    table: &str,
    index: usize,
    group: Option<&str>,
) -> Result<(), Told> {
    let names: Vec<&str> = config.group.iter().map(|group| group.name.as_str()).collect();
    match group {
        Some(group) if !names.contains(&group) => Err(Told {
            hint: Some(super::error::suggest(group, &names)),
            ..told_at(table, index, "group", format!("there is no group {group}"))
        }),
        _ => Ok(()),
    }
}

fn unique<'a>(table: &str, names: impl Iterator<Item = &'a str>) -> Result<(), Told> {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if name.is_empty() {
            return Err(told_at(table, index, "name", "is empty"));
        }
        if !seen.insert(name) {
            return Err(told_at(table, index, "name", format!("{name:?} is defined twice")));
        }
    }
    Ok(())
}

fn told<'a>(key: impl IntoIterator<Item = &'a str>, problem: impl Into<String>) -> Told {
    let key = key.into_iter().map(str::to_owned).collect();
    Told { key, problem: problem.into(), hint: None }
}

fn told_at(table: &str, index: usize, key: &str, problem: impl Into<String>) -> Told {
    told([table, &index.to_string(), key], problem)
}
