//! A query with places for what is being deployed, and where.

use std::fmt::{self, Write};

use deploy_core::{
    backend::{BackendError, ErrorKind, Situation},
    model::Target,
};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value, context};

/// The most steps of a template.
const FUEL: u64 = 10_000;
/// The most bytes of a query.
const LONGEST: usize = 16 * 1024;
/// Stands in for a value where it is only looked where values come to stand.
const MARK: char = '\u{e000}';

/// A query in PromQL. `{{ target }}`, `{{ group }}` and `{{ version }}` are filled in, as the inside
/// of a string of PromQL.
pub(super) struct Query {
    template: String,
    environment: Environment<'static>,
}

impl Query {
    /// # Errors
    /// `Rejected` when it is no template, or a value would come to stand outside of quotes.
    pub(super) fn new(template: String) -> Result<Self, BackendError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(false);
        environment.set_formatter(|out, _, value| match value.as_str() {
            Some(text) => escape(out, text).map_err(Error::from),
            None => write!(out, "{value}").map_err(Error::from),
        });
        environment.add_filter("regex", |text: &str| quoted(text));
        let query = Self { template, environment };
        let mark = MARK.to_string();
        let values = context! { target => mark, group => mark, version => mark };
        let told = query.render(&values)?;
        if told.trim().is_empty() {
            return Err(query.refused("it is empty".to_owned()));
        }
        if is_outside(&told) {
            let why = "a value stands outside of quotes: write \"{{ target }}\"".to_owned();
            return Err(query.refused(why));
        }
        Ok(query)
    }

    /// The query for this target and moment.
    ///
    /// # Errors
    /// `Rejected` when it becomes too long.
    pub(super) fn filled(
        &self,
        target: &Target,
        situation: &Situation,
    ) -> Result<String, BackendError> {
        let version = situation.release.as_ref().map(|release| {
            let version = &release.version;
            version.name.as_deref().unwrap_or(version.id.as_str())
        });
        self.render(&context! {
            target => target.as_str(),
            group => situation.group.as_str(),
            version => version.unwrap_or_default(),
        })
    }

    fn render(&self, values: &Value) -> Result<String, BackendError> {
        let told = self.environment.render_str(&self.template, values);
        let told = told.map_err(|error| self.refused(error.to_string()))?;
        if told.len() > LONGEST {
            return Err(self.refused(format!("it is longer than {} kB", LONGEST / 1024)));
        }
        Ok(told)
    }

    fn refused(&self, why: String) -> BackendError {
        BackendError::new(ErrorKind::Rejected, format!("read the query {:?}", self.template))
            .with_source(why)
            .with_hint("target, group and version are what it can name")
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Query").field(&self.template).finish()
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.template)
    }
}

/// Writes `text` as the inside of a string of PromQL, whichever quotes are around it: none of them is
/// left in it. Backquotes know no escapes, so there such a value matches nothing.
fn escape(out: &mut impl Write, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '"' | '\'' | '`' => write!(out, "\\x{:02x}", u32::from(c))?,
            c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

/// A regular expression (RE2) that matches `text` alone.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// Whether a mark stands outside of the strings of this query.
fn is_outside(query: &str) -> bool {
    let mut quote = None;
    let mut chars = query.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, MARK) => return true,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '#') => {
                let mut comment = chars.by_ref().take_while(|c| *c != '\n');
                let is_marked = comment.any(|c| c == MARK);
                if is_marked {
                    return true;
                }
            }
            (Some('"' | '\''), '\\') => drop(chars.next()),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, version: &str) -> Result<String, String> {
        let query = Query::new(template.to_owned()).map_err(|error| error.cause())?;
        let values = context! { target => "web-07.example", group => "all", version => version };
        query.render(&values).map_err(|error| error.cause())
    }

    #[test]
    fn values_stay_within_their_quotes() {
        let hostile = "v1\"}) or vector(1) # '`\\\n";
        for quote in ['"', '\'', '`'] {
            let told =
                filled(&format!("up{{v={quote}{{{{ version }}}}{quote}}}"), hostile).unwrap();
            let inner = told.strip_prefix(&format!("up{{v={quote}")).unwrap();
            let inner = inner.strip_suffix(&format!("{quote}}}")).unwrap();
            assert_eq!(inner, r"v1\x22}) or vector(1) # \x27\x60\\\u000a");
        }
        assert_eq!(filled("up{i=\"{{ target }}\"}", "").unwrap(), "up{i=\"web-07.example\"}");
    }

    #[test]
    fn values_can_be_part_of_a_regular_expression() {
        let told = filled("up{i=~\"{{ target | regex }}:.*\"}", "").unwrap();
        assert_eq!(told, "up{i=~\"web-07\\\\.example:.*\"}", "escaped once for each reader");
    }

    #[test]
    fn queries_that_cannot_be_filled_are_refused_at_once() {
        for (template, why) in [
            ("up{i=\"{{ host }}\"}", "undefined"),
            ("up{i={{ target }}}", "outside of quotes"),
            ("up{i=\"a\\\"\"} + {{ version }}", "outside of quotes"),
            ("up # {{ version }}", "outside of quotes"),
            ("up{i=\"{{ target \"}", "syntax"),
            ("  ", "empty"),
            ("{% for i in range(9999) %}up{% endfor %}", "fuel"),
        ] {
            let told = filled(template, "v1").unwrap_err();
            assert!(told.contains(why), "{template}: {told}");
        }
        assert_eq!(filled("up{a='\"'} # it's", "v1").unwrap(), "up{a='\"'} # it's");
    }
}
