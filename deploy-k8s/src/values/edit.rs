//! A value that takes another's place, and nothing else does.

use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::key::{Step, ValueKey};

/// How deep a file may be.
const DEEPEST: usize = 64;

/// A value in a text, found by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is there now.
    pub value: String,
    /// In which line, from 1.
    pub line: usize,
    range: Range<usize>,
    style: ScalarStyle,
}

/// Why a value cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no YAML.
    #[error("is no YAML: {0}")]
    Malformed(String),
    /// The key is not there.
    #[error("has no key `{key}`")]
    Missing {
        /// The key.
        key: String,
    },
    /// The key is there more than once.
    #[error("has the key `{key}` more than once, in the lines {}", list(.lines))]
    Twice {
        /// The key.
        key: String,
        /// The lines of the values.
        lines: Vec<usize>,
    },
    /// What is there is not one word.
    #[error("has {what} at `{key}`, in line {line}, where one word is to be")]
    NoWord {
        /// The key.
        key: String,
        /// What is there.
        what: &'static str,
        /// In which line.
        line: usize,
    },
}

fn list(lines: &[usize]) -> String {
    lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

impl Edit {
    /// Finds the value of `key` in `text`.
    ///
    /// # Errors
    /// When it is not there, is there twice, or is not one word on one line.
    pub fn find(text: &str, key: &ValueKey) -> Result<Self, EditError> {
        let mut found = Vec::new();
        let mut walk = Walk::new(text, key);
        for _ in 0..text.len().saturating_add(16) {
            match walk.next()? {
                None => break,
                Some(spot) => found.push(spot),
            }
        }
        let name = key.to_string();
        let mut found = found.into_iter();
        let Some(first) = found.next() else { return Err(EditError::Missing { key: name }) };
        let more: Vec<usize> = found.map(|spot| spot.line).collect();
        if !more.is_empty() {
            let lines = std::iter::once(first.line).chain(more).collect();
            return Err(EditError::Twice { key: name, lines });
        }
        match first.what {
            Ok((value, range, style)) => Ok(Self { value, line: first.line, range, style }),
            Err(what) => Err(EditError::NoWord { key: name, what, line: first.line }),
        }
    }

    /// `text`, in which it was found, with `value` in its place; every other byte stays.
    pub fn apply(&self, text: &str, value: &str) -> String {
        let written = match self.style {
            ScalarStyle::SingleQuoted => format!("'{}'", value.replace('\'', "''")),
            ScalarStyle::Plain if is_plain_word(value) => value.to_owned(),
            _ => double_quoted(value),
        };
        format!("{}{written}{}", &text[..self.range.start], &text[self.range.end..])
    }
}

/// JSON's strings are YAML's double-quoted ones.
fn double_quoted(value: &str) -> String {
    serde_json::json!(value).to_string()
}

/// Whether a value is the same string to every reader when it is written without quotes: it is not
/// taken for a number, a date, a truth or nothing (YAML 1.1 and 1.2).
fn is_plain_word(value: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-+/".contains(c);
    let begins = value.starts_with(|c: char| c.is_ascii_alphanumeric());
    // Letters that numbers and timestamps have.
    let is_telling = |c: char| c.is_ascii_alphabetic() && !"eExXoObBtTzZabcdfABCDF".contains(c);
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan"];
    begins
        && value.chars().all(is_word)
        && value.contains(is_telling)
        && !words.contains(&value.to_ascii_lowercase().as_str())
}

/// What is at a key.
struct Spot {
    line: usize,
    what: Result<(String, Range<usize>, ScalarStyle), &'static str>,
}

/// A collection that is being read.
enum Frame {
    /// A mapping: whether its keys are of interest, and the key whose value comes next, if that is.
    Mapping { depth: Option<usize>, key: Option<bool> },
    /// A sequence: the same, and which item comes next.
    Sequence { depth: Option<usize>, next: usize },
}

/// Reads a text from value to value that is at the key.
struct Walk<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    key: &'a ValueKey,
    frames: Vec<Frame>,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str, key: &'a ValueKey) -> Self {
        let options = Options::default();
        Self { parser: Parser::new_from_str_with_options(text, options), key, frames: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<Spot>, EditError> {
        while let Some(read) = self.parser.next() {
            let (event, span) = read.map_err(|error| EditError::Malformed(error.to_string()))?;
            if self.frames.len() > DEEPEST {
                return Err(EditError::Malformed(format!("is deeper than {DEEPEST} levels")));
            }
            if let Some(spot) = self.take(event, span) {
                return Ok(Some(spot));
            }
        }
        Ok(None)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Option<Spot> {
        match event {
            Event::Scalar(value, style, anchor, ..) => {
                if self.is_key() {
                    self.note_key(&value);
                    return None;
                }
                let depth = self.place()?;
                let here = |what| Some(Spot { line: span.start.line(), what });
                if depth < self.key.steps.len() {
                    return None;
                }
                if anchor > 0 {
                    return here(Err("a value that others refer to"));
                }
                match (style, span.byte_range()) {
                    (ScalarStyle::Literal | ScalarStyle::Folded, _) | (_, None) => {
                        here(Err("a text of several lines"))
                    }
                    (_, Some(range)) if range.is_empty() => here(Err("nothing")),
                    (_, Some(range)) if span.start.line() == span.end.line() => {
                        here(Ok((value.into_owned(), range, style)))
                    }
                    _ => here(Err("a text of several lines")),
                }
            }
            Event::Alias(_) => {
                if self.is_key() {
                    self.note_key("");
                    return None;
                }
                let depth = self.place()?;
                let what = Err("a reference to another value");
                (depth == self.key.steps.len()).then(|| Spot { line: span.start.line(), what })
            }
            Event::MappingStart(..) => {
                self.open(span, "a mapping", |depth| Frame::Mapping { depth, key: None })
            }
            Event::SequenceStart(..) => {
                self.open(span, "a list", |depth| Frame::Sequence { depth, next: 0 })
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.frames.pop();
                None
            }
            _ => None,
        }
    }

    /// Enters a collection.
    fn open(
        &mut self,
        span: Span,
        what: &'static str,
        frame: impl FnOnce(Option<usize>) -> Frame,
    ) -> Option<Spot> {
        if self.is_key() {
            self.note_key("");
            // What it holds is of no interest.
            self.frames.push(frame(None));
            return None;
        }
        let depth = if self.frames.is_empty() { Some(0) } else { self.place() };
        let is_spot = depth == Some(self.key.steps.len());
        self.frames.push(frame(depth.filter(|_| !is_spot)));
        is_spot.then(|| Spot { line: span.start.line(), what: Err(what) })
    }

    /// Whether what comes is a key.
    fn is_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Mapping { key: None, .. }))
    }

    fn note_key(&mut self, name: &str) {
        let steps = &self.key.steps;
        if let Some(Frame::Mapping { depth, key }) = self.frames.last_mut() {
            let wanted = depth.and_then(|depth| steps.get(depth));
            *key = Some(matches!(wanted, Some(Step::Key(wanted)) if wanted == name));
        }
    }

    /// How many steps lead to the value that comes; `None` when it is beside the way.
    fn place(&mut self) -> Option<usize> {
        let steps = &self.key.steps;
        match self.frames.last_mut()? {
            Frame::Mapping { depth, key } => {
                let is_meant = key.take().unwrap_or_default();
                depth.filter(|_| is_meant).map(|depth| depth + 1)
            }
            Frame::Sequence { depth, next } => {
                let item = *next;
                *next += 1;
                let wanted = depth.and_then(|depth| steps.get(depth));
                depth.filter(|_| wanted == Some(&Step::Item(item))).map(|depth| depth + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, key: &str, value: &str) -> Result<String, EditError> {
        let edit = Edit::find(text, &key.parse().unwrap())?;
        let changed = edit.apply(text, value);
        let again = Edit::find(&changed, &key.parse().unwrap()).unwrap();
        assert_eq!(again.value, value, "{changed}");
        Ok(changed)
    }

    const VALUES: &str = "\
# Mathoid in eqiad
docker:
  registry: docker-registry.example
  pull_policy: IfNotPresent   # do not touch

main_app:
    image: wikimedia/mathoid
    version:   2024-06-10-123456-production # the tag
    args: [ '-c', \"/etc/x\" ]
    limits: { cpu: 1, version: \"no\" }
version: 7
";

    #[test]
    fn only_the_value_changes() {
        let changed = set(VALUES, "main_app.version", "2024-07-01-000000-production").unwrap();
        let line = "    version:   2024-07-01-000000-production # the tag\n";
        assert!(changed.contains(line), "{changed}");
        let back = set(&changed, "main_app.version", "2024-06-10-123456-production").unwrap();
        assert_eq!(back, VALUES);
    }

    #[test]
    fn what_would_be_read_as_something_else_is_quoted() {
        for (value, written) in [
            ("1.10", "\"1.10\""),
            ("1e5", "\"1e5\""),
            ("true", "\"true\""),
            ("2024-06-10", "\"2024-06-10\""),
            ("0x1f", "\"0x1f\""),
            ("v1.10", "v1.10"),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
        ] {
            let changed = set("tag: x # y\n", "tag", value).unwrap();
            assert_eq!(changed, format!("tag: {written} # y\n"));
        }
        assert_eq!(set("tag: 'x'\n", "tag", "it's").unwrap(), "tag: 'it''s'\n");
        assert_eq!(set("tag: \"x\"\n", "tag", "v2").unwrap(), "tag: \"v2\"\n");
    }

    #[test]
    fn values_are_found_in_lists_flows_and_behind_odd_keys() {
        assert_eq!(
            set("a: { b: [x, {tag: old}] }", "a.b[1].tag", "new").unwrap(),
            "a: { b: [x, {tag: new}] }"
        );
        let hiera = "profile::docker::runner::service_defs:\n  mathoid:\n    version: old\n";
        let key = "profile::docker::runner::service_defs.mathoid.version";
        assert!(set(hiera, key, "new").unwrap().ends_with("    version: new\n"));
        assert!(
            set("\"a.b\": old\né: ü\n", "\"a.b\"", "new").unwrap().starts_with("\"a.b\": new\n")
        );
        assert!(set("é: ü\ntag: old\n", "tag", "new").unwrap().ends_with("tag: new\n"));
        assert_eq!(set("x: 1\r\ntag: old\r\n", "tag", "new").unwrap(), "x: 1\r\ntag: new\r\n");
    }

    #[test]
    fn what_cannot_be_changed_is_told_with_its_lines() {
        let refused = |text: &str, key: &str| set(text, key, "new").unwrap_err().to_string();
        assert_eq!(refused(VALUES, "main_app.tag"), "has no key `main_app.tag`");
        assert_eq!(refused("a: 1\nb:\n", "a.b"), "has no key `a.b`");
        let twice = "a:\n  tag: 1\nb: 2\na:\n  tag: 3\n";
        assert_eq!(
            refused(twice, "a.tag"),
            "has the key `a.tag` more than once, in the lines 2 and 5"
        );
        let documents = "tag: 1\n---\ntag: 2\n";
        assert_eq!(
            refused(documents, "tag"),
            "has the key `tag` more than once, in the lines 1 and 3"
        );
        for (text, what) in [
            ("tag: {a: b}\n", "a mapping"),
            ("tag: [a]\n", "a list"),
            ("tag:\nb: 1\n", "nothing"),
            ("tag: |\n  a\n", "a text of several lines"),
            ("tag: &t a\nb: *t\n", "a value that others refer to"),
            ("b: &t a\ntag: *t\n", "a reference to another value"),
        ] {
            let told = refused(text, "tag");
            assert!(told.contains(what), "{text:?}: {told}");
        }
        assert!(refused("a: [b\n", "a").contains("is no YAML"));
    }
}
