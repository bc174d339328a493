//! The schema for editors says what the loader says: of each key its type, of each choice its words.

use std::{fs, path::Path};

use boon::{Compiler, SchemaIndex, Schemas};
use deploy_cli::config::{Wanted, json_schema, load};
use deploy_core::model::Environment;
use serde_json::Value;
use toml::{Table, Value as Toml};

use crate::place::Place;

/// A configuration with each table there is.
const WHOLE: &str = r#"app = "mockbase"
secrets_file = "/etc/mockbase.toml"
[version]
scheme = "date"
[ssh]
user = "deploy"
[fetch]
method = "push"
[layout]
path = "/srv/deployment/mockbase/deploy"
[restart]
service = "mockbase"
[image]
name = "registry.example/mockbase"
[cluster.eqiad]
context = "eqiad"
identity = "uid:6f1c2a34-0000-4b1e-9c3d-0123456789ab"
[helm]
chart = "chart"
tag = "main_app.version"
[workload]
name = "deployment/mockbase"
[values]
branch = "main"
file = "values-{{ target }}.yaml"
[lock]
lease = "1m"
[vars]
port = 1134
[host_vars.h2]
port = 1135
[nrpe]
paths = ["/etc/nagios"]
[run]
attempts = 3
[run.timeouts]
fetch = "5m"
[notify]
command = "true"
[[group]]
name = "default"
hosts = ["h[1-2]"]
[[template]]
source = "a.j2"
destination = "a"
[[check]]
name = "quiet"
log = { journal = "mockbase", must_not_match = "ERROR" }
[[step]]
name = "build"
stage = "fetch"
command = "make"
"#;

/// The tables of [`WHOLE`] with their definitions in the schema.
const TABLES: [(&str, &str); 21] = [
    ("", ""),
    ("version", "VersionSection"),
    ("ssh", "SshSection"),
    ("fetch", "FetchSection"),
    ("layout", "LayoutSection"),
    ("restart", "RestartSection"),
    ("image", "ImageSection"),
    ("cluster.eqiad", "ClusterSection"),
    ("helm", "HelmSection"),
    ("workload", "WorkloadSection"),
    ("values", "ValuesSection"),
    ("lock", "LockSection"),
    ("nrpe", "NrpeSection"),
    ("run", "RunSection"),
    ("run.timeouts", "TimeoutsSection"),
    ("notify", "NotifySection"),
    ("group.0", "GroupSection"),
    ("template.0", "TemplateSection"),
    ("check.0", "CheckSection"),
    ("check.0.log", "LogSection"),
    ("step.0", "StepSection"),
];

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("file:///deploy.json", json_schema()).unwrap();
        let index = compiler.compile("file:///deploy.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// Why it refuses; `None` when it does not.
    fn refuses(&self, table: &Table) -> Option<String> {
        let json = serde_json::to_value(table).unwrap();
        self.schemas.validate(&json, self.index).err().map(|error| error.to_string())
    }
}

/// Why the loader refuses; `None` when it does not.
fn loader_refuses(directory: &Path, table: &Table) -> Option<String> {
    fs::write(directory.join("deploy.toml"), toml::to_string(table).unwrap()).unwrap();
    let wanted = Wanted {
        cwd: directory.to_owned(),
        environment: table.get("environment").map(|_| Environment::new("beta").unwrap()),
        ..Wanted::default()
    };
    load(&wanted).err().map(|error| error.to_string())
}

fn whole() -> Table {
    toml::from_str(WHOLE).unwrap()
}

/// The table at `path`, such as `check.0.log`.
fn at<'a>(table: &'a mut Table, path: &str) -> &'a mut Table {
    let mut at = table;
    let mut parts = path.split('.').filter(|part| !part.is_empty());
    while let Some(part) = parts.next() {
        at = match at.get_mut(part).unwrap() {
            Toml::Array(items) => {
                let index: usize = parts.next().unwrap().parse().unwrap();
                items[index].as_table_mut().unwrap()
            }
            value => value.as_table_mut().unwrap(),
        };
    }
    at
}

/// Both refuse, or both take it.
#[track_caller]
fn agree(schema: &Schema, table: &Table, what: &str, expected: bool) {
    let directory = tempfile::tempdir().unwrap();
    let (loader, editor) = (loader_refuses(directory.path(), table), schema.refuses(table));
    assert_eq!(loader.is_some(), expected, "the loader on {what}: {loader:?}");
    assert_eq!(editor.is_some(), expected, "the schema on {what}: {editor:?}");
}

/// The same table, and an environment that says the same of `path`.
fn in_overlay(table: &Table, path: &str) -> Table {
    let first = path.split('.').next().unwrap();
    let mut overlay = Table::new();
    overlay.insert(first.to_owned(), table[first].clone());
    let mut table = whole();
    let beta = Table::from_iter([("beta".to_owned(), Toml::Table(overlay))]);
    table.insert("environment".to_owned(), Toml::Table(beta));
    table
}

/// What the schema says of a key, without references and choices.
fn kinds(schema: &Value, of: &Value) -> (Vec<String>, Vec<String>) {
    let (mut types, mut words) = (Vec::new(), Vec::new());
    if let Some(reference) = of["$ref"].as_str() {
        return kinds(schema, schema.pointer(reference.trim_start_matches('#')).unwrap());
    }
    types.extend(of["type"].as_str().map(str::to_owned));
    words.extend(of["const"].as_str().map(str::to_owned));
    words.extend(
        of["enum"].as_array().into_iter().flatten().map(|w| w.as_str().unwrap().to_owned()),
    );
    for choices in ["oneOf", "anyOf", "allOf"] {
        for choice in of[choices].as_array().into_iter().flatten() {
            let (more, more_words) = kinds(schema, choice);
            types.extend(more);
            words.extend(more_words);
        }
    }
    (types, words)
}

#[test]
fn the_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy.schema.json");
    let now = Place::bare().cli(&["config", "--schema"]).ends(0).stdout;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == now,
        "docs/deploy.schema.json is old: UPDATE_DOCS=1 cargo test -p deploy-cli"
    );
}

#[test]
fn unknown_keys_are_refused_in_each_table_and_in_overlays() {
    let schema = Schema::new();
    agree(&schema, &whole(), "the whole", false);
    for (path, _) in TABLES {
        let mut table = whole();
        at(&mut table, path).insert("nonsense".to_owned(), Toml::Integer(1));
        agree(&schema, &table, &format!("{path}.nonsense"), true);
        if !path.is_empty() {
            agree(&schema, &in_overlay(&table, path), &format!("beta {path}.nonsense"), true);
        }
    }
    for key in ["default_environment", "environment", "nonsense"] {
        let mut table = in_overlay(&whole(), "ssh");
        at(&mut table, "environment.beta").insert(key.to_owned(), Toml::String("beta".into()));
        agree(&schema, &table, &format!("environment.beta.{key}"), true);
    }
}

#[test]
fn each_key_with_a_value_of_another_type_is_refused() {
    let (schema, says) = (Schema::new(), json_schema());
    let mut seen = 0;
    for (path, definition) in TABLES {
        let of = if definition.is_empty() { &says } else { &says["definitions"][definition] };
        for (key, property) in of["properties"].as_object().unwrap() {
            let (types, _) = kinds(&says, property);
            let wrong = if types.iter().any(|kind| kind == "boolean") {
                Toml::Integer(7)
            } else {
                Toml::Boolean(true)
            };
            let mut table = whole();
            at(&mut table, path).insert(key.clone(), wrong);
            agree(&schema, &table, &format!("{path}.{key}"), true);
            seen += 1;
            if !path.is_empty() {
                agree(&schema, &in_overlay(&table, path), &format!("beta {path}.{key}"), true);
            }
        }
    }
    assert!(seen > 80, "all keys were tried: {seen}");
}

#[test]
fn each_choice_takes_its_words_and_no_other() {
    let (schema, says) = (Schema::new(), json_schema());
    let mut seen = 0;
    for (path, definition) in TABLES.into_iter().skip(1) {
        for (key, property) in says["definitions"][definition]["properties"].as_object().unwrap() {
            let (_, words) = kinds(&says, property);
            if words.is_empty() {
                continue;
            }
            seen += 1;
            let with = |word: &str| {
                let mut table = whole();
                at(&mut table, path).insert(key.clone(), Toml::String(word.to_owned()));
                table
            };
            agree(&schema, &with("nonsense"), &format!("{path}.{key} = nonsense"), true);
            for word in &words {
                // Whether a word goes with the other keys is another question.
                let directory = tempfile::tempdir().unwrap();
                let told = loader_refuses(directory.path(), &with(word)).unwrap_or_default();
                assert!(!told.contains("is not one of its values"), "{path}.{key}: {told}");
                assert_eq!(schema.refuses(&with(word)), None, "{path}.{key} = {word}");
            }
        }
    }
    assert!(seen >= 11, "all choices were tried: {seen}");
}

#[test]
fn values_of_the_right_type_that_cannot_be_meant() {
    let schema = Schema::new();
    let cases: [(&str, &str, Toml, bool); 22] = [
        ("group.0", "batch", Toml::Integer(3), false),
        ("group.0", "batch", "25%".into(), false),
        ("group.0", "batch", "all".into(), false),
        ("group.0", "batch", Toml::Integer(0), true),
        ("group.0", "batch", "0%".into(), true),
        ("group.0", "batch", "101%".into(), true),
        ("group.0", "batch", "many".into(), true),
        ("group.0", "max_failures", Toml::Integer(0), false),
        ("group.0", "max_failures", "10%".into(), false),
        ("group.0", "max_failures", "3".into(), false),
        ("group.0", "max_failures", Toml::Integer(-1), true),
        ("group.0", "max_failures", Toml::Float(1.5), true),
        ("group.0", "max_failures", "101%".into(), true),
        ("check.0", "retries", Toml::Integer(3), false),
        ("check.0", "retries", Toml::Integer(-3), true),
        ("check.0", "port", Toml::Integer(99999), true),
        ("layout", "shared", vec!["log"].into(), false),
        ("layout", "shared", vec![1].into(), true),
        ("", "fetch", "push".into(), false),
        ("", "fetch", "pusch".into(), true),
        ("", "vars_files", vec!["vars.toml"].into(), false),
        ("", "group", vec![Table::new()].into(), true),
    ];
    for (path, key, value, refused) in cases {
        let mut table = whole();
        let what = format!("{path}.{key} = {value}");
        at(&mut table, path).insert(key.to_owned(), value);
        agree(&schema, &table, &what, refused);
    }
}

/// The rows of the page's tables below `heading`, up to the next heading: key and default.
fn rows(page: &str, heading: &str) -> Vec<(String, String)> {
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = below.split("\n## ").next().unwrap();
    let cells = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let default = cells.get(1).filter(|_| cells.len() > 2).copied().unwrap_or_default();
        // `service` or `services`; `port = 1134`
        let keys = cells[0].split('`').skip(1).step_by(2);
        let key = |text: &str| text.split(" = ").next().unwrap().to_owned();
        keys.map(|text| (key(text), default.replace('`', ""))).collect::<Vec<_>>()
    };
    section.lines().filter(|line| line.starts_with("| `")).flat_map(cells).collect()
}

#[test]
fn the_page_has_each_key_and_the_default_that_holds() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let (page, says) = (fs::read_to_string(page).unwrap(), json_schema());
    let mut seen = 0;
    for (path, definition) in TABLES {
        let table = path.split('.').next().unwrap();
        let heading = match (path, path.ends_with(".0")) {
            ("", _) => "Top level".to_owned(),
            ("fetch", _) => "`fetch`".to_owned(),
            ("cluster.eqiad", _) => "`[cluster.NAME]`".to_owned(),
            // Told in a sentence.
            ("run.timeouts", _) => continue,
            (_, true) | ("check.0.log", _) => format!("`[[{table}]]`"),
            _ => format!("`[{table}]`"),
        };
        let rows = rows(&page, &heading);
        let of = if definition.is_empty() { &says } else { &says["definitions"][definition] };
        for (key, property) in of["properties"].as_object().unwrap() {
            let named = format!("[{path}.{key}").replace("[.", "[");
            let is_table = page.contains(&named);
            let row = rows.iter().find(|(name, _)| name == key);
            assert!(row.is_some() || is_table || key == "fetch", "{heading} lacks {key}: {rows:?}");
            if let (Some(default), Some((_, told))) = (property.get("default"), row) {
                let plain = default.as_str().unwrap_or_default();
                let json = default.to_string().replace(',', ", ");
                assert!(*told == json || told == plain, "{heading} {key}: {told:?}, but {json}");
                seen += 1;
            }
        }
    }
    assert!(seen > 25, "defaults were compared: {seen}");
    for (key, property) in says["definitions"]["TimeoutsSection"]["properties"].as_object().unwrap()
    {
        let told = format!("`{key}` (`{}`)", property["default"]);
        assert!(page.contains(&told), "{told}");
    }
}

/// The fenced blocks of TOML in a page.
fn blocks(page: &str) -> Vec<String> {
    let parts = page.split("```toml\n").skip(1);
    parts.filter_map(|part| part.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn every_configuration_of_the_repository_is_taken() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let example = |name: &str| {
        let path = top.join("examples").join(name).join("deploy.toml");
        (name.to_owned(), fs::read_to_string(path).unwrap())
    };
    let mut all = vec![example("ssh-service"), example("k8s-service")];
    for entry in fs::read_dir(top.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "md") {
            let page = fs::read_to_string(&path).unwrap();
            all.extend(blocks(&page).into_iter().map(|block| (path.display().to_string(), block)));
        }
    }
    let place = Place::bare();
    place.cli(&["init"]).ends(0);
    let written = fs::read_to_string(place.path("repo/deploy.toml")).unwrap();
    all.push(("what init writes".to_owned(), written));
    let schema = Schema::new();
    for (name, text) in &all {
        let table: Table = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(schema.refuses(&table), None, "{name}:\n{text}");
    }
    assert!(all.len() > 5, "the pages were read: {}", all.len());
}
