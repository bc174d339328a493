//! The layers of the configuration, read and merged: later wins.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use deploy_core::model::Environment;
use figment::{
    Figment, Profile, Provider,
    providers::Serialized,
    value::{Dict, Map, Value},
};
use toml_edit::Document;

use super::{
    Config, ConfigError, GroupSection, check, defaults,
    error::{Told, show_key, suggest, tell},
    locate::{self, Layer, Origin, Place},
    variables,
};

/// The longest file that is read.
const LONGEST: u64 = 4 << 20;

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
    /// What the other environments say.
    others: Vec<Config>,
}

impl Loaded {
    /// The directory that relative paths of the file are meant from.
    pub fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// The groups of all environments, those of the chosen one first.
    pub fn groups_anywhere(&self) -> impl Iterator<Item = &GroupSection> {
        [&self.config].into_iter().chain(&self.others).flat_map(|config| &config.group)
    }

    /// An error about a key, with its place, and what to write instead: one of `expected`.
    pub fn refuse_name(
        &self,
        key: &[&str],
        problem: impl Into<String>,
        expected: &[&str],
    ) -> ConfigError {
        let key: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        let hint = key.last().map(|wrong| suggest(wrong, expected));
        place(&self.layers, Told { key, problem: problem.into(), hint })
    }

    /// An error about a key, with its place.
    pub fn refuse(&self, key: &[&str], problem: impl Into<String>) -> ConfigError {
        let key: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        place(&self.layers, Told { key, problem: problem.into(), hint: None })
    }

    /// Each value that is set, with the place that sets it.
    pub fn settings(&self) -> Vec<Setting> {
        self.each_of(&self.values)
    }

    /// Each value that holds: those that are set, and the defaults of the others.
    pub fn all_settings(&self) -> Vec<Setting> {
        self.each_of(&defaults::filled(&self.values))
    }

    fn each_of(&self, values: &Dict) -> Vec<Setting> {
        let mut found = Vec::new();
        leaves(&mut Vec::new(), &Value::from(values.clone()), &mut |key, value| {
            // Of an array that an environment replaces, the base may have more.
            let is_set = locate::has(&self.values, key);
            let (place, environment) =
                if is_set { locate::source_of(&self.layers, key) } else { (Place::Default, None) };
            found.push(Setting { key: key.join("."), value: value.clone(), place, environment });
        });
        found
    }

    /// What chose the environment, where it was not the command line.
    pub fn default_environment(&self) -> Option<Place> {
        let key = ["default_environment".to_owned()];
        locate::has(&self.values, &key).then(|| locate::source_of(&self.layers, &key).0)
    }
}

/// A value that is set, and what sets it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The key, its parts joined by dots, as `config KEY` takes it: `group.1.hosts`.
    pub key: String,
    /// The value.
    pub value: Value,
    /// What sets it.
    pub place: Place,
    /// The environment whose overlay sets it, if one does.
    pub environment: Option<String>,
}

/// Reads and merges all layers, and checks the result.
///
/// # Errors
/// [`ConfigError`] for the first thing that is wrong, with file, line and key.
pub fn load(wanted: &Wanted) -> Result<Loaded, ConfigError> {
    let (file, base) = files(wanted)?;
    let variables = variables::read()?;
    let environments = defined(&base)?;
    let environment = choose(wanted, &base, variables.as_ref(), &environments)?;
    // Every overlay is checked, so that a mistake in one is found before the day it is needed.
    let mut others = Vec::new();
    for name in environments.iter().filter(|name| Some(*name) != environment.as_ref()) {
        others.push(extract(with_overlay(&base, variables.as_ref(), Some(name))?)?.0);
    }
    let layers = with_overlay(&base, variables.as_ref(), environment.as_ref())?;
    let (config, values, layers) = extract(layers)?;
    Ok(Loaded { config, environment, file, layers, values, others })
}

/// The environments that the files define, by name.
///
/// # Errors
/// [`ConfigError`] where the files cannot be read, or a name cannot be one.
pub fn environments(wanted: &Wanted) -> Result<Vec<Environment>, ConfigError> {
    defined(&files(wanted)?.1)
}

/// The file in the repository, and all files as layers.
fn files(wanted: &Wanted) -> Result<(PathBuf, Vec<Layer>), ConfigError> {
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
    Ok((file, base))
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
    let text = read_bounded(path)
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

/// Reads a text file, which may be 4 MiB long.
pub(crate) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 4 MiB"));
    }
    Ok(text)
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

pub(super) fn dict(figment: &Figment) -> Result<Dict, Box<figment::Error>> {
    let mut data = figment.data().map_err(Box::new)?;
    Ok(data.remove(&Profile::Default).unwrap_or_default())
}

fn defined(base: &[Layer]) -> Result<Vec<Environment>, ConfigError> {
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
    variables: Option<&Layer>,
    known: &[Environment],
) -> Result<Option<Environment>, ConfigError> {
    let mut strongest_first = variables.into_iter().chain(base.iter().rev());
    let defaults = strongest_first.find_map(|layer| {
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

fn with_overlay(
    base: &[Layer],
    variables: Option<&Layer>,
    environment: Option<&Environment>,
) -> Result<Vec<Layer>, ConfigError> {
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
            let overlay = Layer { origin, values: values.clone() };
            // The environment is chosen before its overlay is read.
            for key in ["default_environment", "environment"] {
                if overlay.values.contains_key(key) {
                    let problem = "cannot stand in an environment: it would do nothing".to_owned();
                    let told = Told { key: vec![key.to_owned()], problem, hint: None };
                    return Err(place(&[overlay], told));
                }
            }
            layers.push(overlay);
        }
    }
    layers.extend(variables.cloned());
    Ok(layers)
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

/// What the layers say together; a variable that had to be read as text is text in them afterwards.
fn extract(mut layers: Vec<Layer>) -> Result<(Config, Dict, Vec<Layer>), ConfigError> {
    loop {
        let merged =
            layers.iter().fold(Figment::new(), |all, layer| all.merge(Values(&layer.values)));
        let mut values = dict(&merged).map_err(|error| place(&layers, tell(&error)))?;
        match merged.extract::<Config>() {
            Ok(config) => {
                check::check(&config).map_err(|told| place(&layers, told))?;
                values.remove("environment");
                return Ok((config, values, layers));
            }
            Err(error) if variables::take_as_text(&mut layers, &error) => {}
            Err(error) => return Err(place(&layers, tell(&error))),
        }
    }
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
