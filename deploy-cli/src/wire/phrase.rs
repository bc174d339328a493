//! Text of the configuration with names to be filled in: `values-{{ cluster }}.yaml`.

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::{config::Loaded, error::CommandError};

/// Fills `names` into `text`, which stands at `key`.
///
/// # Errors
/// Refused when it names something else.
pub(super) fn filled(
    loaded: &Loaded,
    key: &[&str],
    text: &str,
    names: impl Serialize,
) -> Result<String, CommandError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let refuse = |error: minijinja::Error| {
        let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        loaded.refuse(key, format!("{text:?} cannot be filled in{detail}")).into()
    };
    environment.render_str(text, names).map_err(refuse)
}
