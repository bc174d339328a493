//! The layers of the configuration, read and merged: later wins.

use std::{
    io,
    path::{Path, PathBuf},
};

use deploy_core::model::Environment;
use figment::{
    Figment, Profile, Provider,
    providers::{Env, Serialized},
    value::{Dict, Map, Value},
};
use toml_edit::Document;

use super::{
    Config, ConfigError, VARIABLES, check,
    error::{Told, show_key, suggest, tell},
    locate::{self, Layer, Origin, Place},
};

/// Where to look for configuration, and what the command line says.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `--config`: this file instead of the nearest `deploy.toml`.
    pub file: Option<PathBuf>,
    /// `--env`.
    pub environment: Option<Environment>,
    /// Where the person stands.
    pub cwd: PathBuf,
    /// The top of the repository: the search goes no higher.
    pub top: Option<PathBuf>,
    /// The machine's own file; `/etc/deploy/deploy.toml`.
    pub system: Option<PathBuf>,
}

/// A configuration that was read, with where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// The environment it is for.
    pub environment: Option<Environment>,
    /// The file in the repository.
    pub file: PathBuf,
    layers: Vec<Layer>,
    values: Dict,
}

impl Loaded {
    /// The directory that relative paths of the file are meant from.
    pub fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// An error about a key, with its place.
    pub fn refuse(&self, key: &[&str], problem: impl Into<String>) -> ConfigError {
        let key: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        place(&self.layers, Told { key, problem: problem.into(), hint: None })
    }

    /// Each value that is set, with the place that sets it.
    pub fn settings(&self) -> Vec<Setting> {
        let mut found = Vec::new();
        leaves(&mut Vec::new(), &Value::from(self.values.clone()), &mut |key, value| {
            found.push(Setting {
                key: key.join("."),
                shown: show_key(key).trim_end_matches(": ").to_owned(),
                value: value.clone(),
                place: locate::source_of(&self.layers, key),
            });
        });
        found
    }
}

/// A value that is set, and what sets it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key, its parts joined by dots.
    pub key: String,
    /// The key as a person wrote it: `[[group]] #2 hosts`.
    pub shown: String,
    /// The value.
    pub value: Value,
    /// What sets it.
    pub place: Place,
}

/// Reads and merges all layers, and checks the result.
///
/// # Errors
/// [`ConfigError`] for the first thing that is wrong, with file, line and key.
pub fn load(wanted: &Wanted) -> Result<Loaded, ConfigError> {
    let file = match &wanted.file {
        Some(file) => wanted.cwd.join(file),
        None => nearest(&wanted.cwd, wanted.top.as_deref()).ok_or(ConfigError::Missing)?,
    };
    let mut base = Vec::new();
    if let Some(system) = &wanted.system
        && let Some(layer) = read(system).or_missing()?
    {
        base.push(layer);
    }
    base.push(read(&file)?);

    let environments = environments(&base)?;
    let environment = choose(wanted, &base, &environments)?;
    // Every overlay is checked, so that a mistake in one is found before the day it is needed.
    for name in environments.iter().filter(|name| Some(*name) != environment.as_ref()) {
        extract(&with_overlay(&base, Some(name)))?;
    }
    let layers = with_overlay(&base, environment.as_ref());
    let (config, values) = extract(&layers)?;
    Ok(Loaded { config, environment, file, layers, values })
}

/// The nearest `deploy.toml` from `cwd` upwards, no higher than `top`.
fn nearest(cwd: &Path, top: Option<&Path>) -> Option<PathBuf> {
    for directory in cwd.ancestors() {
        let file = directory.join("deploy.toml");
        if file.is_file() {
            return Some(file);
        }
        if top.is_none_or(|top| directory == top) {
            return None;
        }
    }
    None
}

fn read(path: &Path) -> Result<Layer, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let syntax = |message: &str, start: usize| ConfigError::Syntax {
        path: path.to_owned(),
        line: locate::line_at(&text, start),
        message: message.to_owned(),
    };
    let start = |span: Option<std::ops::Range<usize>>| span.map_or(0, |span| span.start);
    Document::parse(text.as_str()).map_err(|e| syntax(e.message(), start(e.span())))?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|e| syntax(e.message(), start(e.span())))?;
    let values = dict(&Figment::from(Serialized::defaults(table)))
        .map_err(|error| syntax(&error.to_string(), 0))?;
    let origin = Origin::File { path: path.to_owned(), text, under: Vec::new() };
    Ok(Layer { origin, values })
}

trait OrMissing {
    fn or_missing(self) -> Result<Option<Layer>, ConfigError>;
}

impl OrMissing for Result<Layer, ConfigError> {
    /// A file that is not there is no layer; one that cannot be read is an error.
    fn or_missing(self) -> Result<Option<Layer>, ConfigError> {
        match self {
            Err(ConfigError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

fn dict(figment: &Figment) -> Result<Dict, Box<figment::Error>> {
    let mut data = figment.data().map_err(Box::new)?;
    Ok(data.remove(&Profile::Default).unwrap_or_default())
}

fn environments(base: &[Layer]) -> Result<Vec<Environment>, ConfigError> {
    let all = base.iter().filter_map(|layer| layer.values.get("environment")?.as_dict());
    let mut names = Vec::new();
    for name in all.flat_map(|all| all.keys()) {
        names.push(Environment::new(name.as_str()).map_err(|error| {
            let key = vec!["environment".to_owned(), name.clone()];
            place(base, Told { key, problem: error.to_string(), hint: None })
        })?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn choose(
    wanted: &Wanted,
    base: &[Layer],
    known: &[Environment],
) -> Result<Option<Environment>, ConfigError> {
    let defaults = base.iter().rev().find_map(|layer| {
        let value = layer.values.get("default_environment")?;
        value.as_str().and_then(|name| Environment::new(name).ok())
    });
    let names: Vec<&str> = known.iter().map(Environment::as_str).collect();
    match wanted.environment.clone().or(defaults) {
        Some(chosen) if known.contains(&chosen) => Ok(Some(chosen)),
        Some(chosen) if known.is_empty() => Err(ConfigError::Environment {
            problem: format!("there is no environment {chosen}: the configuration defines none"),
            hint: format!("add [environment.{chosen}], or leave --env away"),
        }),
        Some(chosen) => Err(ConfigError::Environment {
            problem: format!("there is no environment {chosen}"),
            hint: suggest(chosen.as_str(), &names),
        }),
        None if known.is_empty() => Ok(None),
        None => Err(ConfigError::Environment {
            problem: "the configuration defines environments: say which".into(),
            hint: format!("--env {}", names.join(" | --env ")),
        }),
    }
}

fn with_overlay(base: &[Layer], environment: Option<&Environment>) -> Vec<Layer> {
    let mut layers = base.to_vec();
    if let Some(name) = environment {
        for layer in base {
            let Origin::File { path, text, .. } = &layer.origin else { continue };
            let overlay = layer.values.get("environment").and_then(Value::as_dict);
            let Some(Value::Dict(_, values)) = overlay.and_then(|all| all.get(name.as_str()))
            else {
                continue;
            };
            let under = vec!["environment".to_owned(), name.as_str().to_owned()];
            let origin = Origin::File { path: path.clone(), text: text.clone(), under };
            layers.push(Layer { origin, values: values.clone() });
        }
    }
    let variables = Figment::from(Env::prefixed(VARIABLES).split("__"));
    if let Ok(mut values) = dict(&variables)
        && !values.is_empty()
    {
        // An overlay is chosen and merged before the variables are: one in them would do nothing.
        if let Some(overlay) = values.remove("environment") {
            values.insert("environment__…".to_owned(), overlay);
        }
        layers.push(Layer { origin: Origin::Variables, values });
    }
    layers
}

/// Hands a layer's values to figment.
struct Values<'a>(&'a Dict);

impl Provider for Values<'_> {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named("configuration")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

fn extract(layers: &[Layer]) -> Result<(Config, Dict), ConfigError> {
    let merged = layers.iter().fold(Figment::new(), |all, layer| all.merge(Values(&layer.values)));
    let mut values = dict(&merged).map_err(|error| place(layers, tell(&error)))?;
    let config: Config = merged.extract().map_err(|error| place(layers, tell(&error)))?;
    check::check(&config).map_err(|told| place(layers, told))?;
    values.remove("environment");
    Ok((config, values))
}

fn place(layers: &[Layer], told: Told) -> ConfigError {
    ConfigError::Key {
        place: locate::locate(layers, &told.key),
        key: show_key(&told.key),
        problem: told.problem,
        hint: told.hint,
    }
}

/// Finds what is no table, also within arrays of tables.
fn leaves(key: &mut Vec<String>, value: &Value, found: &mut impl FnMut(&[String], &Value)) {
    let mut inside = |part: String, value: &Value| {
        key.push(part);
        leaves(key, value, found);
        key.pop();
    };
    match value {
        Value::Dict(_, dict) => dict.iter().for_each(|(part, value)| inside(part.clone(), value)),
        Value::Array(_, items) if items.iter().any(|item| item.as_dict().is_some()) => {
            items.iter().enumerate().for_each(|(at, value)| inside(at.to_string(), value));
        }
        value => found(key, value),
    }
}
