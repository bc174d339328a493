//! A chart, and the values that it is given.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::values::{Edit, Step, ValueKey};

/// How many files a chart's directory may have.
const FILES: usize = 2000;

/// A chart, the files of its values, and where in the values the tag of the image is.
#[derive(Debug, Clone)]
pub struct Chart {
    maker: Maker,
    tag: ValueKey,
    digest: String,
}

/// What makes a release of a chart.
#[derive(Debug, Clone)]
pub(super) enum Maker {
    /// helm itself.
    Helm { chart: String, version: Option<String>, values: Vec<PathBuf> },
    /// helmfile, by its state file.
    Helmfile { file: PathBuf, environment: Option<String> },
}

/// Why a chart cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A chart of a repository has no version.
    #[error(
        "the chart {chart:?} is no directory, so it needs a version: the newest is another every day"
    )]
    NoVersion {
        /// The chart.
        chart: String,
    },
    /// The directory is too large.
    #[error("{} has more than {FILES} files", .0.display())]
    TooLarge(PathBuf),
    /// The tag's key goes through a list.
    #[error("the key {0} goes through a list, which helm would replace as a whole")]
    InList(ValueKey),
}

impl Chart {
    /// The chart `chart` (a directory, or a name in a repository with its `version`), given the files
    /// `values`, later ones over earlier ones, and the tag of the image at `tag`. Reads them all. Which
    /// tag stands in those files does not matter: it is what deploys change there.
    ///
    /// # Errors
    /// When something cannot be read, or the chart is not one exact chart.
    pub fn load(
        chart: impl Into<String>,
        version: Option<String>,
        values: Vec<PathBuf>,
        tag: ValueKey,
    ) -> Result<Self, ChartError> {
        let chart = chart.into();
        if is_in_list(&tag) {
            return Err(ChartError::InList(tag));
        }
        let mut sum = Sum::default();
        sum.add("version", version.as_deref().unwrap_or_default().as_bytes());
        sum.add("tag", tag.to_string().as_bytes());
        let directory = Path::new(&chart);
        if directory.is_dir() {
            let edited: Vec<_> = values.iter().map(|file| known_as(file)).collect();
            for file in files(directory)? {
                let name = file.strip_prefix(directory).unwrap_or(&file).to_string_lossy();
                let bytes = read(&file)?;
                let bytes = match edited.contains(&known_as(&file)) {
                    true => without_tag(bytes, &tag),
                    false => bytes,
                };
                sum.add(&name, &bytes);
            }
        } else if directory.is_file() {
            sum.add("archive", &read(directory)?);
        } else if version.is_none() {
            return Err(ChartError::NoVersion { chart });
        } else {
            sum.add("chart", chart.as_bytes());
        }
        for file in &values {
            sum.add("values", &without_tag(read(file)?, &tag));
        }
        let maker = Maker::Helm { chart, version, values };
        Ok(Self { maker, tag, digest: sum.told() })
    }

    /// What the helmfile `file` has in `environment`: helmfile makes the release, and is given the tag of
    /// the image at `tag` on top of its values. `parts` are the other files and directories that decide
    /// what is served (values, charts). Reads them all, as [`load`](Self::load) does.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn of_helmfile(
        file: PathBuf,
        environment: Option<String>,
        parts: &[PathBuf],
        tag: ValueKey,
    ) -> Result<Self, ChartError> {
        let mut sum = Sum::default();
        if is_in_list(&tag) {
            return Err(ChartError::InList(tag));
        }
        sum.add("environment", environment.as_deref().unwrap_or_default().as_bytes());
        sum.add("tag", tag.to_string().as_bytes());
        sum.add("helmfile", &read(&file)?);
        for part in parts {
            let files = if part.is_dir() { files(part)? } else { vec![part.clone()] };
            for file in files {
                let name = file.strip_prefix(part).unwrap_or(&file).to_string_lossy();
                sum.add(&name, &without_tag(read(&file)?, &tag));
            }
        }
        // helmfile goes where its file is.
        let file = file.canonicalize().unwrap_or(file);
        let maker = Maker::Helmfile { file, environment };
        Ok(Self { maker, tag, digest: sum.told() })
    }

    /// What makes a release of it.
    pub(super) fn maker(&self) -> &Maker {
        &self.maker
    }

    /// Whether its revisions are described by what they are.
    pub(super) fn describes(&self) -> bool {
        matches!(self.maker, Maker::Helm { .. })
    }

    /// What tells it from any other, with its values.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// What helm is told of it; nothing where helmfile makes it.
    pub(super) fn words(&self, tag_file: &Path) -> Vec<String> {
        let Maker::Helm { chart, version, values } = &self.maker else { return Vec::new() };
        let mut words = vec![chart.clone()];
        if let Some(version) = version {
            words.extend(["--version".to_owned(), version.clone()]);
        }
        let files = values.iter().map(PathBuf::as_path).chain([tag_file]);
        words.extend(files.flat_map(|file| ["--values".to_owned(), file.display().to_string()]));
        words
    }

    /// A file of values that says nothing but the tag.
    pub(super) fn tag_values(&self, tag: &str) -> Value {
        self.tag.steps().iter().rev().fold(json!(tag), |inner, step| match step {
            Step::Key(key) => Value::Object(Map::from_iter([(key.clone(), inner)])),
            Step::Item(_) => inner,
        })
    }

    /// The tag that a release was given.
    pub(super) fn tag_in(&self, values: &Value) -> Option<String> {
        let found = self.tag.steps().iter().try_fold(values, |values, step| match step {
            Step::Key(key) => values.get(key),
            Step::Item(item) => values.get(item),
        });
        found.and_then(Value::as_str).map(str::to_owned)
    }
}

fn is_in_list(key: &ValueKey) -> bool {
    key.steps().iter().any(|step| matches!(step, Step::Item(_)))
}

/// A sum over named parts.
#[derive(Default)]
struct Sum(Sha256);

impl Sum {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update(part.len().to_be_bytes());
            self.0.update(part);
        }
    }

    fn told(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A file of values without the tag in it; as it is, where it has none.
fn without_tag(bytes: Vec<u8>, tag: &ValueKey) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&bytes) else { return bytes };
    match Edit::find(text, tag) {
        Ok(edit) => edit.apply(text, "").into_bytes(),
        Err(_) => bytes,
    }
}

/// A path by which a file is told from others.
fn known_as(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, ChartError> {
    fs::read(path).map_err(|source| ChartError::Unreadable { path: path.to_owned(), source })
}

/// All files below `directory`, in order.
fn files(directory: &Path) -> Result<Vec<PathBuf>, ChartError> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        let unreadable = |source| ChartError::Unreadable { path: next.clone(), source };
        for entry in fs::read_dir(&next).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() { left.push(path) } else { found.push(path) }
        }
        if found.len() > FILES {
            return Err(ChartError::TooLarge(directory.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_given_alone_and_read_back() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("Chart.yaml"), "name: x").unwrap();
        let load = |values: &str| {
            let file = place.path().join("values-eqiad");
            fs::write(&file, values).unwrap();
            let key = "main_app.version".parse().unwrap();
            Chart::load(place.path().display().to_string(), None, vec![file], key).unwrap()
        };
        let chart = load("a: 1");
        let values = chart.tag_values("v2");
        assert_eq!(values, json!({ "main_app": { "version": "v2" } }));
        assert_eq!(chart.tag_in(&values).as_deref(), Some("v2"));
        assert_eq!(chart.tag_in(&json!({})), None);
        assert_eq!(chart.digest(), load("a: 1").digest());
        assert_ne!(chart.digest(), load("a: 2").digest(), "other values are another release");
        let tagged = |tag: &str| load(&format!("a: 1\nmain_app: {{version: {tag}}} # x\n"));
        assert_eq!(tagged("v1").digest(), tagged("\"1.10\"").digest(), "whichever tag is there");
        assert_ne!(tagged("v1").digest(), chart.digest());
    }

    #[test]
    fn a_chart_is_one_exact_chart() {
        let key = || "tag".parse().unwrap();
        assert!(matches!(
            Chart::load("stable/mathoid", None, vec![], key()),
            Err(ChartError::NoVersion { .. })
        ));
        assert!(Chart::load("stable/mathoid", Some("1.2.3".into()), vec![], key()).is_ok());
        let list = "images[0].tag".parse().unwrap();
        let refused = Chart::load("stable/mathoid", Some("1".into()), vec![], list);
        assert!(matches!(refused, Err(ChartError::InList(_))));
    }
}
