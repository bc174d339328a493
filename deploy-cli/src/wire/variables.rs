//! The variables of templates: from the configuration, from files, by group and by host.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use deploy_core::model::{Group, GroupName, Target};
use deploy_ssh::{Place, Variables};
use figment::value::{Dict, Num, Value};
use serde_json::Value as Json;

use crate::{
    config::{self, GroupSection, Loaded},
    error::CommandError,
    hosts,
};

/// How `toml` writes a date or time into a table of values.
const MOMENT: &str = "$__toml_private_datetime";

/// What is particular to each host, later wins: `[vars]`, those of its group, the files of
/// variables in order, those of the host.
///
/// # Errors
/// Refused when a file cannot be read or is none of variables, and when `[host_vars]` names a host
/// that no environment has.
pub(super) fn places(
    loaded: &Loaded,
    groups: &[Group],
) -> Result<BTreeMap<Target, Place>, CommandError> {
    refuse_strangers(loaded, groups)?;
    let mut source = Source::new(loaded)?;
    let mut places = BTreeMap::new();
    for (section, group) in loaded.config.group.iter().zip(groups) {
        for target in &group.targets {
            // A host in several groups belongs to the first.
            if !places.contains_key(target) {
                let variables = source.of(section, target)?;
                places.insert(target.clone(), Place { group: group.name.clone(), variables });
            }
        }
    }
    Ok(places)
}

/// Refuses a name in `[host_vars]` that stands for no host of any environment.
fn refuse_strangers(loaded: &Loaded, groups: &[Group]) -> Result<(), CommandError> {
    if loaded.config.host_vars.is_empty() {
        return Ok(());
    }
    let mut known: BTreeSet<Target> =
        groups.iter().flat_map(|group| group.targets.iter().cloned()).collect();
    for group in loaded.groups_anywhere() {
        known.extend(group.hosts.iter().flat_map(|host| hosts::expand(host).unwrap_or_default()));
        let file = group.hosts_file.iter();
        // Where it cannot be read, that is told where its environment is used.
        let read = file.flat_map(|file| hosts::read_file(&loaded.directory().join(file)));
        known.extend(read.flatten());
    }
    for name in loaded.config.host_vars.keys() {
        let key = ["host_vars", name.as_str()];
        let meant = hosts::expand(name).map_err(|error| loaded.refuse(&key, error.to_string()))?;
        if meant.iter().all(|host| !known.contains(host)) {
            let known: Vec<&str> = known.iter().map(Target::as_str).collect();
            let problem = "is no host of any environment";
            return Err(loaded.refuse_name(&key, problem, &known).into());
        }
    }
    Ok(())
}

/// Where variables come from, each file read once.
struct Source<'a> {
    loaded: &'a Loaded,
    common: Variables,
    /// Those of single hosts.
    hosts: BTreeMap<Target, Variables>,
    /// What files hold; nothing for one that is not there.
    files: HashMap<PathBuf, Variables>,
    /// Equal variables are held once: most hosts have the same.
    known: HashMap<String, Arc<Variables>>,
}

impl<'a> Source<'a> {
    fn new(loaded: &'a Loaded) -> Result<Self, CommandError> {
        let mut hosts = BTreeMap::new();
        for (pattern, values) in &loaded.config.host_vars {
            let expanded = hosts::expand(pattern)
                .map_err(|error| loaded.refuse(&["host_vars", pattern], error.to_string()))?;
            for host in expanded {
                merge(hosts.entry(host).or_default(), &variables(values));
            }
        }
        let common = variables(&loaded.config.vars);
        Ok(Self { loaded, common, hosts, files: HashMap::new(), known: HashMap::new() })
    }

    fn of(&mut self, group: &GroupSection, host: &Target) -> Result<Arc<Variables>, CommandError> {
        let mut all = self.common.clone();
        merge(&mut all, &variables(&group.vars));
        let loaded = self.loaded;
        for file in &loaded.config.vars_files {
            let Some(path) = path_for(file, loaded, &group.name, host) else { continue };
            merge(&mut all, self.file(file, path)?);
        }
        if let Some(own) = self.hosts.get(host) {
            merge(&mut all, own);
        }
        let key = serde_json::to_string(&all).unwrap_or_default();
        Ok(Arc::clone(self.known.entry(key).or_insert_with(|| Arc::new(all))))
    }

    fn file(&mut self, written: &str, path: PathBuf) -> Result<&Variables, CommandError> {
        if !self.files.contains_key(&path) {
            let read = read(&path, written.contains('{'));
            let read = read.map_err(|why| {
                let why = format!("{}: {why}", path.display());
                self.loaded.refuse(&["vars_files"], why)
            })?;
            self.files.insert(path.clone(), read);
        }
        Ok(&self.files[&path])
    }
}

/// The file that `written` means for a host; none where there is no such environment.
fn path_for(written: &str, loaded: &Loaded, group: &GroupName, host: &Target) -> Option<PathBuf> {
    let environment = loaded.environment.as_ref().map(AsRef::as_ref);
    if written.contains("{environment}") && environment.is_none() {
        return None;
    }
    let name = written
        .replace("{environment}", environment.unwrap_or_default())
        .replace("{group}", group.as_str())
        .replace("{host}", &host.as_str().replace('/', "_"));
    Some(loaded.directory().join(name))
}

/// Reads a file of variables. One whose name depends on the host need not be there.
fn read(path: &std::path::Path, is_optional: bool) -> Result<Variables, String> {
    let text = match config::read_bounded(path) {
        Ok(text) => text,
        Err(error) if is_optional && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Variables::new());
        }
        Err(error) => return Err(error.to_string()),
    };
    if path.extension().is_some_and(|ending| ending == "json") {
        return serde_json::from_str(&text)
            .map_err(|error| format!("line {}: is not a table in JSON: {error}", error.line()));
    }
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text[..start.min(text.len())].matches('\n').count() + 1;
        format!("line {line}: {}", error.message())
    })?;
    let json = serde_json::to_value(table).map_err(|error| error.to_string())?;
    match plain_moments(json) {
        Json::Object(table) => Ok(table),
        _ => Err("holds no table".to_owned()),
    }
}

/// Lays `over` over `base`: tables key by key, all else replaced.
fn merge(base: &mut Variables, over: &Variables) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Json::Object(base)), Json::Object(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn variables(values: &Dict) -> Variables {
    values.iter().map(|(key, value)| (key.clone(), plain_moments(json(value)))).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::String(_, text) => Json::String(text.clone()),
        Value::Char(_, c) => Json::String(c.to_string()),
        Value::Bool(_, yes) => (*yes).into(),
        Value::Num(_, number) => number_of(*number),
        Value::Empty(..) => Json::Null,
        Value::Dict(_, table) => {
            table.iter().map(|(key, value)| (key.clone(), json(value))).collect()
        }
        Value::Array(_, items) => items.iter().map(json).collect(),
    }
}

fn number_of(number: Num) -> Json {
    if let Some(number) = number.to_u128().and_then(|number| u64::try_from(number).ok()) {
        return number.into();
    }
    if let Some(number) = number.to_i128().and_then(|number| i64::try_from(number).ok()) {
        return number.into();
    }
    number.to_f64().map_or(Json::Null, Json::from)
}

/// Dates and times as text.
fn plain_moments(value: Json) -> Json {
    match value {
        Json::Object(table) => match table.get(MOMENT) {
            Some(Json::String(moment)) if table.len() == 1 => Json::String(moment.clone()),
            _ => table.into_iter().map(|(key, value)| (key, plain_moments(value))).collect(),
        },
        Json::Array(items) => items.into_iter().map(plain_moments).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(value: Json) -> Variables {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn tables_are_merged_and_all_else_is_replaced() {
        let mut base = table(json!({ "a": 1, "list": [1, 2], "db": { "host": "x", "port": 1 } }));
        merge(&mut base, &table(json!({ "list": [3], "db": { "port": 2 }, "new": true })));
        let expected =
            json!({ "a": 1, "list": [3], "db": { "host": "x", "port": 2 }, "new": true });
        assert_eq!(Json::Object(base), expected);
    }

    #[test]
    fn files_are_toml_or_json() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let toml = read(&write("a.toml", "port = 80\nday = 2015-06-10\n[db]\nx = 1.5\n"), false);
        let expected = json!({ "port": 80, "day": "2015-06-10", "db": { "x": 1.5 } });
        assert_eq!(Json::Object(toml.unwrap()), expected);
        let json = read(&write("a.json", "{\"port\": 80}"), false).unwrap();
        assert_eq!(Json::Object(json), json!({ "port": 80 }));
        assert!(read(&write("b.toml", "a = 1\nport\n"), false).unwrap_err().starts_with("line 2"));
        assert!(read(&write("b.json", "[1]"), false).unwrap_err().contains("not a table"));
        let none = directory.path().join("none.toml");
        assert!(read(&none, false).is_err());
        assert!(read(&none, true).unwrap().is_empty());
    }
}
