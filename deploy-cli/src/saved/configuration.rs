//! What the configuration says beside what a plan shows.

use std::collections::BTreeMap;

use deploy_core::plan::Difference;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::{Loaded, Place};

/// Keys that change nothing on a host, or that the plan has in other words.
const ELSEWHERE: [&str; 6] = ["app", "default_environment", "state_dir", "notify", "group", "run"];

/// Each value that is set and matters to what a plan does. Of a value that a variable sets only a
/// digest is kept: it may be a secret, and is in no repository.
pub fn configuration(loaded: &Loaded) -> BTreeMap<String, Value> {
    let settings = loaded.settings();
    let matters = |key: &str| !ELSEWHERE.contains(&key.split('.').next().unwrap_or_default());
    let named: BTreeMap<String, String> = settings
        .iter()
        .filter_map(|setting| {
            let table = setting.key.strip_suffix(".name")?;
            let (_, index) = table.split_once('.')?;
            let is_array = index.bytes().all(|byte| byte.is_ascii_digit());
            is_array.then(|| Some((format!("{table}."), setting.value.as_str()?.to_owned())))?
        })
        .collect();
    let mut found = BTreeMap::new();
    for setting in settings.iter().filter(|setting| matters(&setting.key)) {
        let value = serde_json::to_value(&setting.value).unwrap_or_default();
        let value = match &setting.place {
            Place::Variable(_) => Value::String(format!("sha256 {}", digest(&value))),
            _ => value,
        };
        found.insert(key(&setting.key, &named), value);
    }
    found
}

/// `check.0.timeout` as `check.answers.timeout`: a new check before it does not move it.
fn key(key: &str, named: &BTreeMap<String, String>) -> String {
    for (table, name) in named {
        if let Some(rest) = key.strip_prefix(table) {
            let array = table.split('.').next().unwrap_or_default();
            return format!("{array}.{name}.{rest}");
        }
    }
    key.to_owned()
}

fn digest(value: &Value) -> String {
    let hash = Sha256::digest(value.to_string());
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// In what the configuration is not any more what it was.
pub fn differences(
    was: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
) -> Vec<Difference> {
    let shown = |of: &BTreeMap<String, Value>, key: &String| {
        of.get(key).map_or_else(|| "not set".to_owned(), Value::to_string)
    };
    let mut keys: Vec<&String> = was.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let moved = keys.into_iter().filter(|key| was.get(*key) != now.get(*key));
    moved.map(|key| Difference::new(key, shown(was, key), shown(now, key))).collect()
}
