//! What editors are told about `deploy.toml`: a JSON schema, made from the types that read it.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    Config,
    defaults::{self, With},
    error::{LIKE, near, suggest},
};

/// Keys that choose an environment, and so cannot stand in one.
const NOT_IN_OVERLAYS: [&str; 2] = ["default_environment", "environment"];

/// Tables whose missing keys another file or an environment may supply.
const MERGED: [&str; 2] = ["LayoutSection", "NotifySection"];

/// The schema of one file, in draft 7, which all editors know.
///
/// It says of each key its type, its words, its default and its meaning. It says nothing of what
/// only a person can know, such as whether a service and a command go together; `config --check`
/// does.
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    tidy(&mut schema);
    for name in MERGED {
        remove(&mut schema["definitions"][name], "required");
    }
    remove(&mut schema, "required");
    add_defaults(&mut schema);
    add_overlays(&mut schema);
    schema["title"] = json!("deploy.toml");
    schema["description"] = json!("How an app is deployed by deploy-cli.");
    schema
}

/// Takes away what TOML does not have (null), and what is said better elsewhere.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(table) => {
            // A property may have any name: what is a keyword stands in no `properties`.
            if let Some(Value::Object(properties)) = table.get_mut("properties") {
                properties.values_mut().for_each(tidy);
            }
            table.remove("default");
            table.remove("format");
            not_null(table);
            let below = table.iter_mut().filter(|(name, _)| *name != "properties");
            below.for_each(|(_, value)| tidy(value));
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn not_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(one)] = &choices[..] {
            let one = one.clone();
            schema.remove("anyOf");
            // In draft 7 nothing counts beside a reference.
            schema.insert("allOf".to_owned(), json!([one]));
        }
    }
}

fn remove(schema: &mut Value, keyword: &str) {
    if let Value::Object(schema) = schema {
        schema.remove(keyword);
    }
}

fn add_defaults(schema: &mut Value) {
    let defaults = defaults::all();
    // One that depends on another key's value is no default that an editor could show.
    for unset in defaults.into_iter().filter(|unset| !matches!(unset.with, With::Word(..))) {
        if let Some(property) = property(schema, unset.table, unset.key) {
            property["default"] = unset.value;
        }
    }
}

/// The schema of `key` in `table`, through references, arrays and choices.
fn property<'a>(schema: &'a mut Value, table: &[&str], key: &str) -> Option<&'a mut Value> {
    let mut pointer = String::new();
    for part in table {
        let name = reference(schema.pointer(&format!("{pointer}/properties/{part}"))?)?;
        pointer = format!("/definitions/{name}");
    }
    schema.pointer_mut(&format!("{pointer}/properties/{key}"))
}

/// How like a key of another table must be.
const ALIKE: f64 = 0.85;

/// How many tables that have a key are named.
const TABLES: usize = 3;

/// Looks for `key` among those that can be written: `check.0.timeout` is one, `ssh.usr` is not.
///
/// # Errors
/// A suggestion, where there is no such key.
pub fn known(key: &str) -> Result<(), String> {
    let schema = json_schema();
    let mut at = &schema;
    let parts: Vec<&str> = key.split('.').collect();
    for (index, part) in parts.iter().enumerate() {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if let Some(name) = reference(at) {
            at = &schema["definitions"][name];
        }
        let Some(keys) = at["properties"].as_object() else { break };
        match keys.get(*part) {
            Some(below) => at = below,
            None => {
                let table: String = parts[..index].iter().map(|part| format!("{part}.")).collect();
                let keys: Vec<&str> = keys.keys().map(String::as_str).collect();
                if let Some(near) = near(part, keys.iter().copied(), LIKE).first() {
                    return Err(format!("did you mean `{table}{near}`?"));
                }
                return Err(in_other_tables(part, |table, key| format!("`{}.{key}`", table.name))
                    .unwrap_or_else(|| suggest(part, &keys)));
            }
        }
    }
    Ok(())
}

/// A table of the configuration that stands at its top.
struct Table {
    name: String,
    /// Whether it is written several times.
    is_array: bool,
}

/// What a key that is written in the file is probably meant to be, where another table has it.
pub(super) fn elsewhere(wrong: &str) -> Option<String> {
    in_other_tables(wrong, |table, key| match table.is_array {
        true => format!("`{key}` in [[{}]]", table.name),
        false => format!("`{key}` in [{}]", table.name),
    })
}

fn in_other_tables(wrong: &str, show: impl Fn(&Table, &str) -> String) -> Option<String> {
    let schema = json_schema();
    let mut all: Vec<(Table, String)> = Vec::new();
    for (name, property) in schema["properties"].as_object()? {
        let Some(definition) = reference(property).filter(|_| name != "environment") else {
            continue;
        };
        let keys = schema["definitions"][definition]["properties"].as_object();
        for key in keys.into_iter().flat_map(|keys| keys.keys()) {
            let is_array = super::ARRAYS.contains(&name.as_str());
            all.push((Table { name: name.clone(), is_array }, key.clone()));
        }
    }
    let found = near(wrong, all.iter().map(|(_, key)| key.as_str()), ALIKE);
    let first = *found.first()?;
    let shown = all.iter().filter(|(_, key)| key == first).take(TABLES);
    let shown: Vec<String> = shown.map(|(table, key)| show(table, key)).collect();
    Some(format!("did you mean {}?", shown.join(" or ")))
}

/// The definition that `schema` refers to, itself or for its items, or as its last choice.
fn reference(schema: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().map(str::to_owned);
    }
    let choices =
        ["allOf", "anyOf"].iter().filter_map(|choices| schema[choices].as_array()?.last());
    choices.chain([&schema["items"]]).filter(|below| below.is_object()).find_map(reference)
}

/// An environment may say what the file itself says, but for what chooses one.
fn add_overlays(schema: &mut Value) {
    let mut overlay = json!({
        "description": "An environment: what it says comes before what stands above.",
        "type": "object",
        "additionalProperties": false,
        "properties": schema["properties"],
    });
    if let Some(properties) = overlay["properties"].as_object_mut() {
        properties.retain(|key, _| !NOT_IN_OVERLAYS.contains(&key.as_str()));
    }
    schema["definitions"]["Environment"] = overlay;
    schema["properties"]["environment"] = json!({
        "description": "Named overlays: `[environment.beta]`, chosen by `--env beta`.",
        "type": "object",
        "additionalProperties": { "$ref": "#/definitions/Environment" },
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_default_has_its_key() {
        let mut schema = json_schema();
        for unset in defaults::all() {
            let key = format!("{}.{}", unset.table.join("."), unset.key);
            assert!(property(&mut schema, unset.table, unset.key).is_some(), "{key}");
        }
    }

    #[test]
    fn each_key_has_a_description() {
        fn bare(at: &str, schema: &Value, found: &mut Vec<String>) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                if property["description"].as_str().is_none_or(str::is_empty) {
                    found.push(format!("{at}.{key}"));
                }
            }
        }
        let (schema, mut found) = (json_schema(), Vec::new());
        bare("", &schema, &mut found);
        for (name, definition) in schema["definitions"].as_object().unwrap() {
            bare(name, definition, &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }
}
