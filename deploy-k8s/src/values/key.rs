//! Where a value is in a YAML file.

use std::{fmt, str::FromStr};

/// Where a value is: `main_app.version`, `containers[0].image`, and in quotes what has dots of its own:
/// `"app.kubernetes.io/version".tag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueKey {
    written: String,
    pub(super) steps: Vec<Step>,
}

/// One step towards a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The value of a key in a mapping.
    Key(String),
    /// An item of a sequence, from 0.
    Item(usize),
}

impl ValueKey {
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl FromStr for ValueKey {
    type Err = ValueKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = if let Some(quoted) = rest.strip_prefix('"') {
                let (key, after) = quoted.split_once('"').ok_or(ValueKeyError)?;
                steps.push(Step::Key(key.to_owned()));
                after
            } else if let Some(item) = rest.strip_prefix('[') {
                let (number, after) = item.split_once(']').ok_or(ValueKeyError)?;
                steps.push(Step::Item(number.parse().map_err(|_| ValueKeyError)?));
                after
            } else {
                let end = rest.find(['.', '[', '"']).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                if key.is_empty() {
                    return Err(ValueKeyError);
                }
                steps.push(Step::Key(key.to_owned()));
                after
            };
            rest = match rest.strip_prefix('.') {
                Some("") => return Err(ValueKeyError),
                Some(next) => next,
                None if rest.is_empty() || rest.starts_with('[') => rest,
                None => return Err(ValueKeyError),
            };
        }
        match steps.first() {
            Some(Step::Key(_)) => Ok(Self { written: text.to_owned(), steps }),
            _ => Err(ValueKeyError),
        }
    }
}

impl fmt::Display for ValueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

/// Text that leads to no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no key of a value, such as `main_app.version`, `images[0].tag` or `\"a.b\".tag`")]
pub struct ValueKeyError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_at_dots_outside_of_quotes() {
        let key = |name: &str| Step::Key(name.into());
        for (text, steps) in [
            ("version", vec![key("version")]),
            ("main_app.version", vec![key("main_app"), key("version")]),
            ("images[1].tag", vec![key("images"), Step::Item(1), key("tag")]),
            ("\"a.b/c\".tag", vec![key("a.b/c"), key("tag")]),
            (
                "profile::docker::runner::service_defs.m.version",
                vec![key("profile::docker::runner::service_defs"), key("m"), key("version")],
            ),
        ] {
            assert_eq!(text.parse::<ValueKey>().unwrap().steps, steps, "{text}");
        }
        for text in ["", ".", "a.", ".a", "a..b", "[0]", "a[x]", "a[0", "\"a", "\"a\"b", "a[0]b"] {
            assert_eq!(text.parse::<ValueKey>(), Err(ValueKeyError), "{text}");
        }
    }
}
