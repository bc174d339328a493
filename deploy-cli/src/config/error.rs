//! Why a configuration was refused: file, line, key, and what was probably meant.

use std::path::PathBuf;

use figment::error::{Actual, Kind};

use super::{json_schema, locate::Place};
use crate::error::CommandError;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error("no deploy.toml here, nor in a directory above up to the top of the repository")]
    Missing,
    /// It could not be read.
    #[error("read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key or its value is wrong.
    #[error("{place}: {key}{problem}")]
    Key {
        /// Where it stands.
        place: Place,
        /// The key as a person wrote it, with `: ` behind it: `[[group]] #2 hosts: `.
        key: String,
        /// What is wrong.
        problem: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// `--env` is needed, or names no environment.
    #[error("{problem}")]
    Environment {
        /// What is wrong.
        problem: String,
        /// Which there are.
        hint: String,
    },
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::Missing => Some("`deploy-cli init` writes one".to_owned()),
            ConfigError::Key { hint, .. } => hint.clone(),
            ConfigError::Environment { hint, .. } => Some(hint.clone()),
            ConfigError::Unreadable { .. } | ConfigError::Syntax { .. } => None,
        };
        let error = Self::refused(error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What is wrong, in words, with the key that it is about and a suggestion.
pub(super) struct Told {
    pub(super) key: Vec<String>,
    pub(super) problem: String,
    pub(super) hint: Option<String>,
}

/// Puts figment's error into words.
pub(super) fn tell(error: &figment::Error) -> Told {
    let mut key = error.path.clone();
    let (problem, hint) = match &error.kind {
        Kind::UnknownField(field, expected) => {
            if key.last() != Some(field) {
                key.push(field.clone());
            }
            ("unknown key".to_owned(), Some(suggest_key(field, expected)))
        }
        Kind::UnknownVariant(value, expected) => {
            (format!("{value:?} is not one of its values"), Some(suggest(value, expected)))
        }
        Kind::MissingField(field) => (format!("the key `{field}` is missing"), None),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let problem =
                format!("expected {}, found {}", plain(expected), plain(&actual.to_string()));
            (problem, quoting(actual, expected))
        }
        Kind::Message(message) => (message.clone(), None),
        other => (other.to_string(), None),
    };
    Told { key, problem, hint }
}

/// What to do about a number or a truth where text is wanted.
fn quoting(actual: &Actual, expected: &str) -> Option<String> {
    let is_text = expected.contains("string");
    let (Actual::Bool(_) | Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_)) = actual
    else {
        return None;
    };
    is_text.then(|| "put it in quotes, to have it as text".to_owned())
}

/// Says a type of Rust's as a person would.
fn plain(kind: &str) -> String {
    match kind {
        "u8" => "a number from 0 to 255".to_owned(),
        "u16" => "a number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, not negative".to_owned(),
        "path string" => "a path".to_owned(),
        "a sequence" | "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        section if section.starts_with("struct ") => "a table".to_owned(),
        other => other.replace("unsigned int", "the number").replace("signed int", "the number"),
    }
}

/// How like a word must be to be meant.
pub(super) const LIKE: f64 = 0.75;

/// The most similar of `known` to `wrong`, first those that are most; none that are less like it
/// than `least`.
pub(super) fn near<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
    least: f64,
) -> Vec<&'a str> {
    let like = |known: &'a str| (strsim::jaro_winkler(wrong, known), known);
    let mut near: Vec<(f64, &str)> =
        known.into_iter().map(like).filter(|(likeness, _)| *likeness > least).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, known)| known).collect()
}

/// The nearest of `expected`, or all of them.
pub(super) fn suggest<S: AsRef<str>>(wrong: &str, expected: &[S]) -> String {
    match near(wrong, expected.iter().map(AsRef::as_ref), LIKE).first() {
        Some(known) => format!("did you mean `{known}`?"),
        None => {
            let all: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
            format!("known here: {}", all.join(", "))
        }
    }
}

/// The nearest key of the table, or else of another, or all of the table.
fn suggest_key(wrong: &str, expected: &[&str]) -> String {
    let is_here = !near(wrong, expected.iter().copied(), LIKE).is_empty();
    let other = if is_here { None } else { json_schema::elsewhere(wrong) };
    other.unwrap_or_else(|| suggest(wrong, expected))
}

/// Shows a key as a person wrote it: `[[group]] #2 hosts: `. Empty for no key.
pub(super) fn show_key(key: &[String]) -> String {
    let mut shown = String::new();
    let mut rest = key;
    if let [table, index, more @ ..] = key
        && super::ARRAYS.contains(&table.as_str())
        && let Ok(index) = index.parse::<usize>()
    {
        shown = format!("[[{table}]] #{}", index + 1);
        rest = more;
    }
    let mut path = String::new();
    for part in rest {
        match part.parse::<usize>() {
            Ok(index) if !path.is_empty() => path.push_str(&format!(" #{}", index + 1)),
            _ if path.is_empty() => path.push_str(part),
            _ => path.push_str(&format!(".{part}")),
        }
    }
    if !path.is_empty() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(&path);
    }
    if !shown.is_empty() {
        shown.push_str(": ");
    }
    shown
}
