//! From the configuration's groups to the engine's, and to the strategy.

use deploy_core::{
    model::{Gate, Group, GroupName, Target},
    plan::{BatchSize, Strategy, Timeouts},
};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{GroupSection, Loaded, Pause, RunSection},
    error::CommandError,
    hosts,
};

/// The groups of the configuration, all hosts of all files included.
///
/// # Errors
/// Refused when a file of hosts cannot be read, a group has no hosts, or names one twice.
pub fn groups(loaded: &Loaded) -> Result<Vec<Group>, CommandError> {
    let sections = loaded.config.group.iter().enumerate();
    sections.map(|(index, section)| group(loaded, index, section)).collect()
}

fn group(loaded: &Loaded, index: usize, section: &GroupSection) -> Result<Group, CommandError> {
    let index = index.to_string();
    let refuse = |key: &str, problem: String| loaded.refuse(&["group", &index, key], problem);
    let mut targets = Vec::new();
    for host in &section.hosts {
        let expanded = hosts::expand(host).map_err(|e| refuse("hosts", e.to_string()))?;
        targets.extend(expanded);
    }
    if let Some(file) = &section.hosts_file {
        let read = hosts::read_file(&loaded.directory().join(file));
        targets.extend(read.map_err(|error| {
            let place = refuse("hosts_file", "cannot be used".into()).to_string();
            CommandError::because(place, error)
        })?);
    }
    for cluster in &section.clusters {
        targets.push(Target::new(cluster.as_str()).map_err(|e| refuse("clusters", e.to_string()))?);
    }
    if targets.is_empty() {
        return Err(refuse("hosts_file", format!("group {} has no hosts", section.name)).into());
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = targets.iter().find(|target| !seen.insert(*target)) {
        let problem = format!("{twice} is named twice in group {}", section.name);
        return Err(refuse("hosts_file", problem).into());
    }
    let mut group = Group::new(section.name.clone(), targets);
    group.canary = section.canary;
    group.batch = section.batch.unwrap_or_default();
    group.max_failures = section.max_failures.unwrap_or_default();
    group.gate = Gate {
        soak: section.soak.map(|span| span.0),
        interval: section.interval.map_or(Gate::default().interval, |span| span.0),
        ask: section.pause == Pause::Ask,
    };
    Ok(group)
}

/// The hosts that stand in several groups: each belongs to the first of them (rule 4).
pub fn shared_hosts(groups: &[Group]) -> Vec<String> {
    let mut first: BTreeMap<&Target, &GroupName> = BTreeMap::new();
    let mut told = Vec::new();
    for group in groups {
        for target in &group.targets {
            let owner = first.entry(target).or_insert(&group.name);
            if *owner != &group.name {
                told.push(format!(
                    "{target} is in the groups {owner} and {}: it is handled in {owner}",
                    group.name
                ));
            }
        }
    }
    told
}

/// How the run behaves as a whole.
pub fn strategy(run: &RunSection) -> Strategy {
    let mut strategy = Strategy {
        max_failures: run.max_failures,
        on_failure: run.on_failure,
        on_breach: run.on_breach,
        on_abort: run.on_abort,
        rollback_batch: run.rollback_batch.unwrap_or(BatchSize::All),
        ..Strategy::default()
    };
    if let Some(attempts) = run.attempts {
        strategy.retry.attempts = attempts;
    }
    let given = &run.timeouts;
    let defaults = Timeouts::default();
    strategy.timeouts = Timeouts {
        connect: given.connect.map_or(defaults.connect, |span| span.0),
        fetch: given.fetch.map_or(defaults.fetch, |span| span.0),
        promote: given.promote.map_or(defaults.promote, |span| span.0),
        restart: given.restart.map_or(defaults.restart, |span| span.0),
        finalize: given.finalize.map_or(defaults.finalize, |span| span.0),
    };
    strategy
}
