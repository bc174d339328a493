//! Files of a release that are rendered from templates: by environment, group and host.
//!
//! A template is a file of the version. It is rendered here, on the deployer, twice: once before
//! anything is touched, with names in the places of secrets, which says what will be served and
//! makes part of the release's id; and once when the release is made, with the secrets of the host.
//! See `docs/templates.md`.

mod diff;
mod edition;
mod engine;
mod fault;
mod file;
mod listing;
mod rendering;
mod secret;

use std::{collections::BTreeMap, sync::Arc};

use deploy_core::model::{App, Environment, GroupName, Target};

pub(crate) use diff::differences;
pub(crate) use edition::{Edition, Holds};
pub(crate) use fault::Fault;
pub(crate) use file::{FileGroup, Mode};
pub use file::{Template, TemplateError};
use listing::ShownFile;
pub(crate) use listing::{Listing, Shown};
pub(crate) use rendering::Rendering;
pub(crate) use secret::{Fingerprint, Name, Secrets};

/// The values that templates may name, as a table.
pub type Variables = serde_json::Map<String, serde_json::Value>;

/// A value of TOML as one of JSON, which is what templates get: dates and times become text.
pub(crate) fn plain(value: toml::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(yes) => yes.into(),
        toml::Value::Datetime(moment) => Json::String(moment.to_string()),
        toml::Value::Array(items) => items.into_iter().map(plain).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, plain(value))).collect()
        }
    }
}

/// What is rendered into each release, and with what.
#[derive(Debug, Clone)]
pub struct Templates {
    app: App,
    environment: Option<Environment>,
    files: Vec<Template>,
    places: BTreeMap<Target, Place>,
    secrets_file: Option<String>,
}

/// What is particular to a target.
#[derive(Debug, Clone)]
pub struct Place {
    /// The group that it is handled in.
    pub group: GroupName,
    /// Its variables, those of the app, the environment and the group included.
    pub variables: Arc<Variables>,
}

impl Templates {
    /// Renders `files` into the releases of `app`.
    ///
    /// # Errors
    /// When two would be written to the same place, or one below another.
    pub fn new(
        app: App,
        environment: Option<Environment>,
        files: Vec<Template>,
    ) -> Result<Self, TemplateError> {
        file::refuse_clashes(&files)?;
        Ok(Self { app, environment, files, places: BTreeMap::new(), secrets_file: None })
    }

    /// Says what is particular to `target`. A target that is not named here has no variables, and
    /// only the files that go to all groups.
    #[must_use]
    pub fn place(mut self, target: Target, place: Place) -> Self {
        self.places.insert(target, place);
        self
    }

    /// Names the file on each target that holds its secrets: TOML, or JSON where the name ends in
    /// `.json`. It must be absolute, and the login user must be able to read it. It is read when it
    /// is needed, never written.
    ///
    /// # Errors
    /// When the path is not absolute, or has an empty, `.` or `..` part, or a control character.
    pub fn secrets_file(mut self, path: impl Into<String>) -> Result<Self, TemplateError> {
        let path = path.into();
        file::check_secrets_path(&path)?;
        self.secrets_file = Some(path);
        Ok(self)
    }

    /// The directories that outlive a release must not hold what belongs to one.
    pub(crate) fn refuse_shared(&self, shared: &[String]) -> Result<(), TemplateError> {
        self.files.iter().try_for_each(|file| file.refuse_shared(shared))
    }

    /// Where the secrets lie on a target.
    pub(crate) fn secrets_path(&self) -> Option<&str> {
        self.secrets_file.as_deref()
    }

    /// Whether `target` gets a file at `path`.
    pub(crate) fn make(&self, target: &Target, path: &str) -> bool {
        self.files_of(target).any(|file| file.destination() == path)
    }

    /// The files that go to `target`.
    fn files_of(&self, target: &Target) -> impl Iterator<Item = &Template> {
        let group = self.places.get(target).map(|place| &place.group);
        self.files.iter().filter(move |file| file.goes_to(group))
    }
}
