//! Where a key stands: which file and line, or which variable.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use figment::value::{Dict, Value as Setting};
use toml_edit::{Array, ArrayOfTables, Document, Item, TableLike, Value};

/// A source of configuration, kept so that errors can point into it.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) origin: Origin,
    /// The keys it sets, as they are merged.
    pub(super) values: Dict,
}

#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A file, or the overlay of an environment within it.
    File { path: PathBuf, text: String, under: Vec<String> },
    /// `DEPLOY_CFG__…` variables, each as it was typed.
    Variables(BTreeMap<Vec<String>, String>),
}

/// Where a key stands, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file, on a line.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; `None` when the key is missing.
        line: Option<usize>,
    },
    /// In a variable.
    Variable(String),
    /// Nowhere: a default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Finds where the value at `key` comes from: the strongest layer that has it, or that has the
/// closest table around it.
pub(super) fn locate(layers: &[Layer], key: &[String]) -> Place {
    for length in (1..=key.len()).rev() {
        let prefix = &key[..length];
        if let Some(layer) = layers.iter().rev().find(|layer| has(&layer.values, prefix)) {
            return layer.place(prefix);
        }
    }
    let file = layers.iter().rev().find_map(|layer| match &layer.origin {
        Origin::File { path, .. } => Some(path.clone()),
        _ => None,
    });
    file.map_or(Place::Default, |path| Place::File { path, line: None })
}

/// Finds which layer sets exactly `key`, if any; and the environment whose overlay that is.
pub(super) fn source_of(layers: &[Layer], key: &[String]) -> (Place, Option<String>) {
    let Some(layer) = layers.iter().rev().find(|layer| has(&layer.values, key)) else {
        return (Place::Default, None);
    };
    let environment = match &layer.origin {
        Origin::File { under, .. } => under.last().cloned(),
        Origin::Variables(_) => None,
    };
    (layer.place(key), environment)
}

/// Whether `values` say something at `key`.
pub(super) fn has(values: &Dict, key: &[String]) -> bool {
    let Some((first, rest)) = key.split_first() else { return true };
    let mut value = values.get(first);
    for part in rest {
        value = match value {
            Some(Setting::Dict(_, dict)) => dict.get(part),
            Some(Setting::Array(_, items)) => part.parse().ok().and_then(|i: usize| items.get(i)),
            _ => None,
        };
    }
    value.is_some()
}

impl Layer {
    fn place(&self, key: &[String]) -> Place {
        match &self.origin {
            Origin::File { path, text, under } => {
                let full: Vec<&str> = under.iter().chain(key).map(String::as_str).collect();
                Place::File { path: path.clone(), line: line_of(text, &full) }
            }
            Origin::Variables(_) => {
                Place::Variable(format!("{}{}", super::VARIABLES, key.join("__").to_uppercase()))
            }
        }
    }
}

/// The line on which `key` stands in the TOML `text`, from 1.
fn line_of(text: &str, key: &[&str]) -> Option<usize> {
    let document = Document::parse(text).ok()?;
    let mut node = Node::Table(document.as_table());
    let mut start = None;
    for part in key {
        let (next, next_start) = node.child(part)?;
        node = next;
        start = next_start.or(start);
    }
    Some(line_at(text, start?))
}

/// Something that can hold keys.
enum Node<'a> {
    Table(&'a dyn TableLike),
    Tables(&'a ArrayOfTables),
    Array(&'a Array),
    Leaf,
}

impl<'a> Node<'a> {
    fn of(item: &'a Item) -> Self {
        match item {
            Item::Table(table) => Self::Table(table),
            Item::ArrayOfTables(tables) => Self::Tables(tables),
            Item::Value(value) => Self::of_value(value),
            Item::None => Self::Leaf,
        }
    }

    fn of_value(value: &'a Value) -> Self {
        match value {
            Value::Array(array) => Self::Array(array),
            Value::InlineTable(table) => Self::Table(table),
            _ => Self::Leaf,
        }
    }

    /// What `part` names in it, and where that begins.
    fn child(&self, part: &str) -> Option<(Self, Option<usize>)> {
        match self {
            Self::Table(table) => {
                let (key, item) = table.get_key_value(part)?;
                let span = key.span().or_else(|| item.span());
                Some((Self::of(item), span.map(|span| span.start)))
            }
            Self::Tables(tables) => {
                let table = tables.get(part.parse().ok()?)?;
                Some((Self::Table(table), table.span().map(|span| span.start)))
            }
            Self::Array(array) => {
                let value = array.get(part.parse().ok()?)?;
                Some((Self::of_value(value), value.span().map(|span| span.start)))
            }
            Self::Leaf => None,
        }
    }
}

/// The line of a byte offset, from 1.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
