//! Why a template could not be rendered: where, what, and what was probably meant.

use std::{collections::BTreeSet, fmt};

use minijinja::{Error, ErrorKind, Value};

use super::engine::Engine;

/// Why a template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    /// The file and the line, as far as they are known.
    place: String,
    problem: String,
    hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl Fault {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), hint: None }
    }

    /// What was probably meant.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What went wrong with `template` of `engine` before there were secrets. `context` is what it
    /// could name.
    pub(super) fn of(error: &Error, template: &str, context: &Value, engine: &Engine) -> Self {
        let error = innermost(error);
        let place = place(error, template);
        let file = error.name().unwrap_or(template);
        let (text, names) = (engine.text(file).unwrap_or_default(), engine.names(file));
        if error.kind() == ErrorKind::UndefinedError {
            let blamed = error.range().and_then(|range| text.get(range)).unwrap_or_default();
            let line = error.line().and_then(|line| text.lines().nth(line - 1)).unwrap_or_default();
            let Some(name) = undefined(blamed, line, &names, context) else {
                return Self::new(place, "something is not defined");
            };
            // What the template defines itself is no name of ours: nothing is suggested for it.
            let hint = if names.contains(name) { suggestion(name, context) } else { None };
            return Self { hint, ..Self::new(place, format!("`{name}` is not defined")) };
        }
        let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
        Self::new(place, format!("{}{detail}", error.kind()))
    }

    /// What went wrong with `template` once there were secrets: of that only the place is told,
    /// since the rest may quote one.
    pub(super) fn with_secrets(error: &Error, template: &str) -> Self {
        let problem =
            format!("cannot be rendered with the secrets of this host ({})", error.kind());
        Self::new(place(innermost(error), template), problem)
    }
}

/// The name that is not defined: the one that is blamed; or, where that is a filter or part of more,
/// one of the same line that is not.
fn undefined<'a>(
    blamed: &'a str,
    line: &str,
    names: &'a BTreeSet<String>,
    context: &Value,
) -> Option<&'a str> {
    let blamed = blamed.trim();
    if names.contains(blamed) {
        return Some(blamed);
    }
    let missing = |name: &&str| !is_defined(name, context);
    let candidates = || names.iter().map(String::as_str).filter(missing);
    let in_line = candidates().find(|name| line.contains(name));
    in_line.or(candidates().next()).or(Some(blamed)).filter(|name| !name.is_empty())
}

fn is_defined(name: &str, context: &Value) -> bool {
    let mut within = context.clone();
    name.split('.').all(|part| match within.get_attr(part) {
        Ok(value) if !value.is_undefined() => {
            within = value;
            true
        }
        _ => false,
    })
}

/// The error in the file that another one includes.
fn innermost(error: &Error) -> &Error {
    let mut found = error;
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        found = next.downcast_ref().unwrap_or(found);
        cause = next.source();
    }
    found
}

fn place(error: &Error, template: &str) -> String {
    let name = error.name().unwrap_or(template);
    let place = error.line().map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
    if name == template { place } else { format!("{place} (for {template})") }
}

/// What `expression`, a dotted name, was probably meant to be.
fn suggestion(expression: &str, context: &Value) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    if !expression.bytes().all(plain) {
        return None;
    }
    let mut within = context.clone();
    let mut known = String::new();
    for part in expression.split('.') {
        let next = within.get_attr(part).ok().filter(|value| !value.is_undefined());
        let Some(next) = next else {
            if part == "secret" && known.is_empty() {
                return Some("secrets come from the `secrets_file` of the configuration".into());
            }
            return near(part, &within, &known);
        };
        known = format!("{known}{part}.");
        within = next;
    }
    None
}

fn near(wrong: &str, within: &Value, known: &str) -> Option<String> {
    let mut keys: Vec<String> = within.try_iter().ok()?.map(|key| key.to_string()).collect();
    keys.sort();
    let likeness = |key: &String| strsim::jaro_winkler(wrong, key);
    let best = keys.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    if likeness(best) > 0.75 {
        return Some(format!("did you mean `{known}{best}`?"));
    }
    let mut shown: Vec<String> = keys.iter().take(20).map(|key| format!("{known}{key}")).collect();
    if keys.len() > shown.len() {
        shown.push("…".to_owned());
    }
    Some(format!("known here: {}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;
    use crate::template::engine::Engine;

    fn told(template: &str) -> (String, String) {
        let engine = Engine::new();
        engine.add("t/a.j2", template.to_owned());
        engine.add("t/part.j2", "\n{{ prot }}".to_owned());
        let context =
            context! { port => 80, servers => ["a"], db => context! { host => "h", name => "n" } };
        let error = engine.render("t/a.j2", &context).unwrap_err();
        let fault = Fault::of(&error, "t/a.j2", &context, &engine);
        (fault.to_string(), fault.hint().unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_not_defined_is_named_with_what_was_meant() {
        for (template, problem, hint) in [
            ("a\n{{ prot }}", "t/a.j2:2: `prot` is not defined", "did you mean `port`?"),
            ("{{ db.hots }}", "t/a.j2:1: `db.hots` is not defined", "did you mean `db.host`?"),
            ("{{ xyz }}", "t/a.j2:1: `xyz` is not defined", "known here: db, port, servers"),
            (
                "{{ port }}{{ db.xyz|upper }}",
                "t/a.j2:1: `db.xyz` is not defined",
                "known here: db.host, db.name",
            ),
            (
                "{% for x in srvers %}{{ x }}{% endfor %}{{ servers }}",
                "t/a.j2:1: `srvers` is not defined",
                "did you mean `servers`?",
            ),
            ("{% for x in servers %}{{ x.y }}{% endfor %}", "t/a.j2:1: `x.y` is not defined", ""),
            (
                "{% if zzz %}{% endif %}",
                "t/a.j2:1: `zzz` is not defined",
                "known here: db, port, servers",
            ),
            (
                "{{ secret.token }}",
                "t/a.j2:1: `secret.token` is not defined",
                "secrets come from the `secrets_file` of the configuration",
            ),
            (
                "{% include './part.j2' %}",
                "t/part.j2:2 (for t/a.j2): `prot` is not defined",
                "did you mean `port`?",
            ),
        ] {
            let (said, hinted) = told(template);
            assert_eq!(said, problem, "{template}");
            assert_eq!(hinted, hint, "{template}");
        }
    }

    #[test]
    fn a_mistake_in_the_language_has_its_line() {
        let (said, _) = told("a\nb {% for x in %}\n");
        assert!(said.starts_with("t/a.j2:2: syntax error: "), "{said}");
        let (said, _) = told("{{ port|no_such_filter }}");
        assert!(said.contains("no_such_filter"), "{said}");
    }
}
