//! In what two plans differ, named for a person.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Change, Plan, PlannedGroup};
use crate::model::Target;

/// The most targets that are named.
const NAMED: usize = 10;

/// Something that is not any more as it was. Displays as `h1, h2: live: was v1, is v2`.
///
/// All strings may be somebody's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The targets that it is about; none where it is about the plan as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// What: `live`, `version`, `group default: batch`.
    pub what: String,
    /// What it was.
    pub was: String,
    /// What it is.
    pub is: String,
}

impl Difference {
    /// A difference of the plan as a whole.
    pub fn new(what: impl Into<String>, was: impl fmt::Display, is: impl fmt::Display) -> Self {
        Self { targets: Vec::new(), what: what.into(), was: was.to_string(), is: is.to_string() }
    }

    fn of(target: &Target, what: &str, was: impl fmt::Display, is: impl fmt::Display) -> Self {
        Self { targets: vec![target.clone()], ..Self::new(what, was, is) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<&str> = self.targets.iter().take(NAMED).map(Target::as_str).collect();
        match self.targets.len().saturating_sub(NAMED) {
            _ if named.is_empty() => {}
            0 => write!(f, "{}: ", named.join(", "))?,
            more => write!(f, "{} and {more} more: ", named.join(", "))?,
        }
        write!(f, "{}: was {}, is {}", self.what, self.was, self.is)
    }
}

/// Equal differences of several targets as one, in the order in which they were first met.
pub(super) fn merged(differences: Vec<Difference>) -> Vec<Difference> {
    let mut found: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    let mut merged: Vec<Difference> = Vec::new();
    for difference in differences {
        let key = (difference.what.clone(), difference.was.clone(), difference.is.clone());
        let at = *found.entry(key).or_insert(merged.len());
        match merged.get_mut(at) {
            Some(same) => same.targets.extend(difference.targets),
            None => merged.push(difference),
        }
    }
    merged
}

/// In what `now` differs from `was`, apart from what the targets answered. Warnings and what lies
/// between two versions follow from the rest.
pub(super) fn of_plans(was: &Plan, now: &Plan) -> Vec<Difference> {
    let mut found = Vec::new();
    let shown = |told: Option<String>| told.unwrap_or_else(|| "none".to_owned());
    let version = |plan: &Plan| {
        shown(plan.version.as_ref().map(|version| match &version.name {
            Some(name) => format!("{name} ({})", version.id.short()),
            None => version.id.short().to_owned(),
        }))
    };
    let ids = |plan: &Plan| plan.version.as_ref().map(|version| version.id.clone());
    if ids(was) != ids(now) || version(was) != version(now) {
        found.push(Difference::new("version", version(was), version(now)));
    }
    let direction = |plan: &Plan| format!("{:?}", plan.direction).to_lowercase();
    let allowance = |plan: &Plan| shown(plan.allowance.map(|allowance| allowance.to_string()));
    let groups = |plan: &Plan| {
        plan.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let app = |plan: &Plan| match &plan.environment {
        Some(environment) => format!("{} in {environment}", plan.app),
        None => plan.app.to_string(),
    };
    let restarts = |plan: &Plan| plan.restarts.join(", then ");
    for (what, of) in [
        ("app", &app as &dyn Fn(&Plan) -> String),
        ("direction", &direction),
        ("groups", &groups),
        ("budget of the run", &allowance),
        ("restart", &restarts),
    ] {
        if of(was) != of(now) {
            found.push(Difference::new(what, of(was), of(now)));
        }
    }
    found.extend(of_values("run", &value(&was.strategy), &value(&now.strategy)));
    found.extend(of_lists("check", &was.checks, &now.checks, |check| &check.policy.name));
    found.extend(of_lists("step", &was.steps, &now.steps, |step| &step.policy.name));
    for (was, now) in was.groups.iter().filter_map(|group| Some((group, same(now, group)?))) {
        found.extend(of_groups(was, now));
    }
    found
}

/// In what targets are treated otherwise, where they stand as they did.
pub(super) fn of_changes(
    was: &Plan,
    now: &Plan,
    stands_as_before: impl Fn(&Target) -> bool,
) -> Vec<Difference> {
    let (before, after) = (places(was), places(now));
    let mut found = Vec::new();
    for (target, place) in &before {
        let Some(other) = after.get(target) else {
            let group = format!("in group {}", place.group.name);
            found.push(Difference::of(target, "host", group, "not among the hosts"));
            continue;
        };
        if place.group.name != other.group.name {
            found.push(Difference::of(target, "group", &place.group.name, &other.group.name));
        }
        let (Some(was), Some(is)) = (place.change, other.change) else { continue };
        let release = |change: &Change| change.to.clone().map_or("nothing".into(), told);
        if was.to != is.to {
            found.push(Difference::of(target, "release", release(was), release(is)));
        }
        if !stands_as_before(target) {
            continue;
        }
        let back = |change: &Change| change.back.clone().map_or("nothing".into(), told);
        let work = |change: &Change| format!("{:?}", change.work).to_lowercase();
        if was.back != is.back {
            found.push(Difference::of(target, "way back", back(was), back(is)));
        }
        if was.work != is.work {
            found.push(Difference::of(target, "work", work(was), work(is)));
        }
        if place.batch != other.batch {
            let (was, is) = (place.batch + 1, other.batch + 1);
            found.push(Difference::of(target, "batch", was, is));
        }
    }
    for (target, place) in after.iter().filter(|(target, _)| !before.contains_key(*target)) {
        let group = format!("in group {}", place.group.name);
        found.push(Difference::of(target, "host", "not among the hosts", group));
    }
    found
}

fn told(release: crate::model::Release) -> String {
    format!("{release} ({})", release.id)
}

/// Where a target stands in a plan.
struct Place<'a> {
    group: &'a PlannedGroup,
    batch: usize,
    change: Option<&'a Change>,
}

fn places(plan: &Plan) -> BTreeMap<&Target, Place<'_>> {
    let mut places = BTreeMap::new();
    for group in &plan.groups {
        for (batch, changes) in group.batches.iter().enumerate() {
            for change in changes {
                places.insert(&change.target, Place { group, batch, change: Some(change) });
            }
        }
        for lost in &group.lost {
            places.insert(&lost.target, Place { group, batch: 0, change: None });
        }
    }
    places
}

fn same<'a>(plan: &'a Plan, group: &PlannedGroup) -> Option<&'a PlannedGroup> {
    plan.groups.iter().find(|other| other.name == group.name)
}

fn of_groups(was: &PlannedGroup, now: &PlannedGroup) -> Vec<Difference> {
    let what = |part: &str| format!("group {}: {part}", was.name);
    let mut found = Vec::new();
    if was.canary != now.canary {
        found.push(Difference::new(what("canary"), was.canary, now.canary));
    }
    if was.allowance != now.allowance {
        found.push(Difference::new(what("budget"), was.allowance, now.allowance));
    }
    found.extend(of_values(&what("gate"), &value(&was.gate), &value(&now.gate)));
    found
}

/// Compares lists of named parts: order, what is new or gone, and what differs within.
fn of_lists<T: Serialize>(
    what: &str,
    was: &[T],
    now: &[T],
    name: impl Fn(&T) -> &String,
) -> Vec<Difference> {
    let names = |list: &[T]| {
        let names: Vec<&str> = list.iter().map(|part| name(part).as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let mut found = Vec::new();
    if names(was) != names(now) {
        found.push(Difference::new(format!("{what}s"), names(was), names(now)));
    }
    for part in was {
        if let Some(other) = now.iter().find(|other| name(other) == name(part)) {
            let what = format!("{what} {}", name(part));
            found.extend(of_values(&what, &value(part), &value(other)));
        }
    }
    found
}

/// What no plan made here fails to be written as.
fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

fn of_values(what: &str, was: &Value, now: &Value) -> Vec<Difference> {
    let (was, now) = (leaves(was), leaves(now));
    let shown = |of: &BTreeMap<String, String>, key: &String| {
        of.get(key).cloned().unwrap_or_else(|| "not set".to_owned())
    };
    let mut keys: Vec<&String> = was.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let moved = keys.into_iter().filter(|key| was.get(*key) != now.get(*key));
    moved
        .map(|key| Difference::new(format!("{what}: {key}"), shown(&was, key), shown(&now, key)))
        .collect()
}

/// The plain values within, by their path; what is null counts as not set.
fn leaves(value: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    gather(value, "", &mut found);
    found
}

fn gather(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    let shown = match value {
        Value::Null => return,
        Value::Object(fields) => match duration(fields) {
            Some(seconds) => format!("{seconds}s"),
            None => {
                for (key, value) in fields {
                    // `policy` is how a part is made up here, and nothing that a person set.
                    let path = match (path, key.as_str()) {
                        (path, "policy") => path.to_owned(),
                        ("", key) => key.to_owned(),
                        (path, key) => format!("{path}.{key}"),
                    };
                    gather(value, &path, found);
                }
                return;
            }
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    found.insert(path.to_owned(), shown);
}

/// A span of time in seconds, as serde writes it.
fn duration(fields: &serde_json::Map<String, Value>) -> Option<f64> {
    let part = |name: &str| fields.get(name)?.as_f64();
    let (seconds, nanos) = (part("secs")?, part("nanos")?);
    (fields.len() == 2).then_some(seconds + nanos / 1e9)
}
