//! What holds where the configuration says nothing: one table, for `config` and for editors.
//!
//! The values are those of the parts that use them, not copies.

use std::time::Duration;

use deploy_core::{
    model::{Gate, Scheme},
    plan::{BatchSize, Budget, CheckPolicy, OnAbort, OnBreach, OnFailure, StepPlace, Strategy},
};
use deploy_ssh::{GitOptions, NrpeCheck, session::SshConfig};
use figment::value::{Dict, Value};
use serde::Serialize;

use super::{
    CheckFrom, CheckStage, FetchBy, LayoutSection, NrpeWarning, Pause, RestartMethod, SchemeName,
    cluster_section::kept, duration::short,
};

/// How long a step of the app's own may take.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(300);

/// How long an archive may take to be built.
pub const BUILD_TIMEOUT: Duration = Duration::from_secs(1800);

/// How long the command of `[notify]` may take.
pub const NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a lock or claim in a cluster outlives a deployer that died unseen.
pub const LEASE: Duration = Duration::from_secs(60);

/// How long a cluster may take to come to run a version, unless a check of one's own says so.
pub const ROLLOUT_TIMEOUT: Duration = Duration::from_secs(600);

/// A key, and the value that holds where it is not set.
pub(super) struct Unset {
    /// The table that it stands in; empty for the top.
    pub(super) table: &'static [&'static str],
    pub(super) key: &'static str,
    pub(super) value: serde_json::Value,
    /// When it means anything.
    pub(super) with: With,
}

/// When a key means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    Always,
    /// Where this key stands beside it.
    Key(&'static str),
    /// Where this key beside it has this value.
    Word(&'static str, &'static str),
}

/// All keys that have a default of their own.
pub(super) fn all() -> Vec<Unset> {
    [top(), hosts(), clusters(), groups(), checks(), run()].into_iter().flatten().collect()
}

fn unset(
    table: &'static [&'static str],
    key: &'static str,
    value: impl Serialize,
    with: With,
) -> Unset {
    Unset { table, key, value: serde_json::to_value(value).unwrap_or_default(), with }
}

fn top() -> Vec<Unset> {
    let remote = GitOptions::new(Scheme::Any).remote;
    vec![
        unset(&[], "vars_files", [(); 0], With::Always),
        unset(&["version"], "scheme", SchemeName::default(), With::Always),
        unset(&["version"], "prefix", SchemeName::DATE_PREFIX, With::Word("scheme", "date")),
        unset(&["version"], "prefix", SchemeName::SEMVER_PREFIX, With::Word("scheme", "semver")),
        unset(&["version"], "remote", remote, With::Always),
        unset(&["fetch"], "method", FetchBy::default(), With::Always),
        unset(&["fetch"], "timeout", short(BUILD_TIMEOUT), With::Word("method", "archive")),
        unset(&["notify"], "timeout", short(NOTIFY_TIMEOUT), With::Always),
    ]
}

fn hosts() -> Vec<Unset> {
    let ssh = SshConfig::default();
    vec![
        unset(&["ssh"], "cache", true, With::Always),
        unset(&["ssh"], "connect_timeout", short(ssh.connect_timeout), With::Always),
        unset(&["ssh"], "heartbeat", short(ssh.heartbeat), With::Always),
        unset(&["ssh"], "max_starts", ssh.max_starts, With::Always),
        unset(&["layout"], "keep", LayoutSection::default_keep(), With::Always),
        unset(&["layout"], "shared", [(); 0], With::Always),
        unset(&["restart"], "method", RestartMethod::default(), With::Always),
        unset(&["restart"], "sudo", false, With::Always),
    ]
}

fn clusters() -> Vec<Unset> {
    vec![
        unset(&["helm"], "environment", "{{ cluster }}", With::Key("helmfile")),
        unset(&["helm"], "values", [(); 0], With::Always),
        unset(&["helm"], "keep", kept(), With::Always),
        unset(&["workload"], "keep", kept(), With::Always),
        unset(&["lock"], "lease", short(LEASE), With::Always),
    ]
}

fn groups() -> Vec<Unset> {
    vec![
        unset(&["group"], "batch", BatchSize::default(), With::Always),
        unset(&["group"], "max_failures", number(Budget::default()), With::Always),
        unset(&["group"], "pause", Pause::default(), With::Always),
        unset(&["group"], "interval", short(Gate::default().interval), With::Key("soak")),
    ]
}

fn checks() -> Vec<Unset> {
    let policy = CheckPolicy::new("");
    vec![
        unset(&["check"], "stage", CheckStage::default(), With::Always),
        unset(&["check"], "timeout", short(policy.timeout), With::Always),
        unset(&["check"], "retries", policy.retries, With::Always),
        unset(&["check"], "interval", short(policy.interval), With::Always),
        unset(&["check"], "method", "GET", With::Key("http")),
        unset(&["check"], "redirects", 0, With::Key("http")),
        unset(&["check"], "from", CheckFrom::Host, With::Key("http")),
        unset(&["check"], "args", [(); 0], With::Key("nrpe")),
        unset(&["check"], "warning", NrpeWarning::Fail, With::Key("nrpe")),
        unset(&["nrpe"], "paths", NrpeCheck::PATHS, With::Always),
        unset(&["step"], "where", StepPlace::Each, With::Always),
        unset(&["step"], "timeout", short(STEP_TIMEOUT), With::Always),
    ]
}

fn run() -> Vec<Unset> {
    const TIMEOUTS: &[&str] = &["run", "timeouts"];
    let Strategy { timeouts, retry, .. } = Strategy::default();
    vec![
        unset(&["run"], "on_failure", OnFailure::default(), With::Always),
        unset(&["run"], "on_breach", OnBreach::default(), With::Always),
        unset(&["run"], "on_abort", OnAbort::default(), With::Always),
        unset(&["run"], "rollback_batch", BatchSize::All, With::Always),
        unset(&["run"], "attempts", retry.attempts, With::Always),
        unset(TIMEOUTS, "connect", short(timeouts.connect), With::Always),
        unset(TIMEOUTS, "fetch", short(timeouts.fetch), With::Always),
        unset(TIMEOUTS, "promote", short(timeouts.promote), With::Always),
        unset(TIMEOUTS, "restart", short(timeouts.restart), With::Always),
        unset(TIMEOUTS, "finalize", short(timeouts.finalize), With::Always),
    ]
}

/// A budget as it is written: a number where it is one.
fn number(budget: Budget) -> serde_json::Value {
    let text = budget.to_string();
    text.parse::<u64>().map_or(text.into(), Into::into)
}

/// The values that are set, and those that hold because nothing else is.
pub(super) fn filled(set: &Dict) -> Dict {
    let mut filled = set.clone();
    for unset in all() {
        fill(&mut filled, unset.table, &unset);
    }
    say_who_is_canary(&mut filled);
    filled
}

/// Tables without which something is not done at all; all others are there even if nobody wrote
/// them.
const OPTIONAL: [&str; 7] = ["restart", "notify", "layout", "image", "helm", "workload", "values"];

fn fill(values: &mut Dict, table: &[&str], unset: &Unset) {
    let Some((first, rest)) = table.split_first() else {
        if unset.with.is_met(values) && !values.contains_key(unset.key) {
            values.insert(unset.key.to_owned(), value(&unset.value));
        }
        return;
    };
    let may_be_absent = super::ARRAYS.contains(first) || OPTIONAL.contains(first);
    if !values.contains_key(*first) && may_be_absent {
        return;
    }
    match values.entry((*first).to_owned()).or_insert_with(|| value(&Dict::new())) {
        Value::Dict(_, below) => fill(below, rest, unset),
        Value::Array(_, items) => {
            for item in items {
                if let Value::Dict(_, below) = item {
                    fill(below, rest, unset);
                }
            }
        }
        // `fetch = "push"` says all.
        _ => {}
    }
}

/// Rule 6: the first of several groups, where none says so itself.
fn say_who_is_canary(values: &mut Dict) {
    let Some(Value::Array(_, groups)) = values.get_mut("group") else { return };
    let says = |group: &Value| group.find_ref("canary").and_then(Value::to_bool) == Some(true);
    let by_place = groups.len() > 1 && !groups.iter().any(says);
    for (index, group) in groups.iter_mut().enumerate() {
        if let Value::Dict(_, group) = group {
            let canary = by_place && index == 0;
            group.entry("canary".to_owned()).or_insert_with(|| value(&canary));
        }
    }
}

fn value(of: &impl Serialize) -> Value {
    Value::serialize(of).unwrap_or_else(|_| Value::from(String::new()))
}

impl With {
    fn is_met(self, beside: &Dict) -> bool {
        match self {
            Self::Always => true,
            Self::Key(key) => beside.contains_key(key),
            Self::Word(key, word) => beside.get(key).and_then(Value::as_str) == Some(word),
        }
    }
}
