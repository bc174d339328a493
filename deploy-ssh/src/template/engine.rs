//! Minijinja, as it is set up for files of configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};

/// How many steps one template may take: endless loops end.
const FUEL: u64 = 2_000_000;

/// What templates read: files of one version, by their paths.
#[derive(Debug, Default)]
struct Shelf {
    files: BTreeMap<String, String>,
    /// What was asked for and was not there yet.
    wanted: BTreeSet<String>,
}

/// Renders the templates of one version.
pub(super) struct Engine {
    environment: Environment<'static>,
    shelf: Arc<Mutex<Shelf>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("shelf", &self.shelf).finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn new() -> Self {
        let shelf: Arc<Mutex<Shelf>> = Arc::default();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // What is written here is no HTML; what must be quoted is, by `tojson` or `urlencode`.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_keep_trailing_newline(true);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.remove_global("debug");
        // With it an error would carry the values that are in reach, secrets among them.
        environment.set_debug(false);
        environment.set_path_join_callback(|name, parent| beside(name, parent).into());
        let source = Arc::clone(&shelf);
        environment.set_loader(move |name| {
            let mut shelf = source.lock().unwrap_or_else(PoisonError::into_inner);
            let found = shelf.files.get(name).cloned();
            if found.is_none() {
                shelf.wanted.insert(name.to_owned());
            }
            Ok(found)
        });
        Self { environment, shelf }
    }

    /// Adds the file at `path`.
    pub(super) fn add(&self, path: &str, text: String) {
        self.shelf().files.insert(path.to_owned(), text);
    }

    /// The text of the file at `path`, if it was added.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.shelf().files.get(path).cloned()
    }

    /// What was asked for and not there, since this was called last.
    pub(super) fn wanted(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.shelf().wanted)
    }

    /// What the file at `path` names and does not define itself, dotted.
    pub(super) fn names(&self, path: &str) -> BTreeSet<String> {
        let template = self.environment.get_template(path);
        template.map_or_else(
            |_| BTreeSet::new(),
            |template| template.undeclared_variables(true).into_iter().collect(),
        )
    }

    /// Renders the file at `path`.
    pub(super) fn render(&self, path: &str, context: &Value) -> Result<String, Error> {
        self.environment.get_template(path)?.render(context)
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `./name` is meant from where the template lies that names it; all else from the top.
fn beside(name: &str, parent: &str) -> String {
    match (name.strip_prefix("./"), parent.rsplit_once('/')) {
        (Some(name), Some((directory, _))) => format!("{directory}/{name}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn render(template: &str, context: Value) -> Result<String, Error> {
        let engine = Engine::new();
        engine.add("a.yaml", template.to_owned());
        engine.render("a.yaml", &context)
    }

    #[test]
    fn configuration_is_not_html_and_blocks_leave_no_blank_lines() {
        let template = "{% for s in servers %}\n  - {{ s }}\n{% endfor %}\nurl: {{ url|tojson }}\n";
        let text = render(template, context! { servers => ["a&b", "<c>"], url => "x\"y" }).unwrap();
        assert_eq!(text, "  - a&b\n  - <c>\nurl: \"x\\\"y\"\n");
    }

    #[test]
    fn what_is_not_defined_is_an_error_everywhere() {
        for template in [
            "{{ a }}",
            "{{ a.b }}",
            "{{ b.c }}",
            "{% for x in a %}{% endfor %}",
            "{% if a %}{% endif %}",
        ] {
            let error = render(template, context! { b => context! { d => 1 } }).unwrap_err();
            assert_eq!(error.kind(), minijinja::ErrorKind::UndefinedError, "{template}");
        }
        assert_eq!(render("{{ a|default('x') }}", context! {}).unwrap(), "x");
    }

    #[test]
    fn an_endless_template_ends() {
        let nested =
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
        assert!(render(nested, context! {}).is_err());
    }

    #[test]
    fn what_is_included_is_asked_for_by_its_path() {
        let engine = Engine::new();
        engine.add("t/a.j2", "{% include './b.j2' %}{% include 'c.j2' %}".to_owned());
        assert!(engine.render("t/a.j2", &context! {}).is_err());
        assert_eq!(engine.wanted(), BTreeSet::from(["t/b.j2".to_owned()]));
        engine.add("t/b.j2", "{{ x }}".to_owned());
        engine.add("c.j2", "!".to_owned());
        assert_eq!(engine.render("t/a.j2", &context! { x => 1 }).unwrap(), "1!");
        assert!(engine.wanted().is_empty());
    }
}
