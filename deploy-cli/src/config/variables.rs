//! The `DEPLOY_CFG__…` variables: each is what it looks like (a number, `true`, a list), unless it
//! is to be text.

use std::collections::BTreeMap;

use figment::{
    Figment,
    error::Kind,
    providers::Env,
    value::{Dict, Value},
};

use super::{
    ConfigError, VARIABLES,
    load::dict,
    locate::{Layer, Origin, Place},
};

/// Tables of values whose kind nothing but the value itself tells.
const UNTYPED: [&str; 2] = ["vars", "host_vars"];

/// Reads the variables, if there are any.
///
/// # Errors
/// [`ConfigError::Key`] where a name is no key, or a value is not UTF-8.
pub(super) fn read() -> Result<Option<Layer>, ConfigError> {
    refuse_odd_ones()?;
    let set = Env::prefixed(VARIABLES).split("__");
    let texts: BTreeMap<Vec<String>, String> = set
        .iter()
        .map(|(key, text)| (key.as_str().split('.').map(str::to_owned).collect(), text))
        .collect();
    let mut values = dict(&Figment::from(set))
        .map_err(|error| refused(VARIABLES.to_owned(), &error.to_string()))?;
    for (key, text) in &texts {
        if UNTYPED.contains(&key[0].as_str()) {
            keep_if_changed(&mut values, key, text);
        }
    }
    Ok((!values.is_empty()).then_some(Layer { origin: Origin::Variables(texts), values }))
}

fn refused(name: String, problem: &str) -> ConfigError {
    ConfigError::Key {
        place: Place::Variable(name),
        key: String::new(),
        problem: problem.to_owned(),
        hint: None,
    }
}

fn refuse_odd_ones() -> Result<(), ConfigError> {
    for (name, value) in std::env::vars_os() {
        let shown = name.to_string_lossy().into_owned();
        let upper = shown.to_ascii_uppercase();
        let Some(key) = upper.strip_prefix(VARIABLES) else { continue };
        // Figment passes over a name with an empty part: what it sets would quietly not hold.
        if key.split("__").any(str::is_empty) || key.contains('.') {
            return Err(refused(shown, "names no key: write DEPLOY_CFG__SECTION__KEY"));
        }
        // An overlay is chosen and merged before the variables are: one in them would do nothing.
        if key.split("__").next() == Some("ENVIRONMENT") {
            return Err(refused(shown, "environments are defined in deploy.toml only"));
        }
        if value.to_str().is_none() {
            return Err(refused(shown, "is not UTF-8"));
        }
    }
    Ok(())
}

/// Takes a number as the text that it was, where it would be written in another way: `00123`,
/// `1.10`.
fn keep_if_changed(values: &mut Dict, key: &[String], text: &str) {
    let Some(value) = find(values, key) else { return };
    let written = match value {
        Value::Num(_, number) => number
            .to_u128()
            .map(|number| number.to_string())
            .or_else(|| number.to_i128().map(|number| number.to_string()))
            .or_else(|| number.to_f64().map(|number| number.to_string())),
        _ => return,
    };
    if written.as_deref() != Some(text) {
        *value = Value::from(text);
    }
}

/// Takes the variable that `error` is about as text, where it looks like something else and text is
/// wanted. Whether it did.
pub(super) fn take_as_text(layers: &mut [Layer], error: &figment::Error) -> bool {
    let Kind::InvalidType(_, expected) = &error.kind else { return false };
    let Some(Layer { origin: Origin::Variables(texts), values }) = layers.last_mut() else {
        return false;
    };
    let Some(text) = texts.get(&error.path).filter(|_| expected.contains("string")) else {
        return false;
    };
    match find(values, &error.path) {
        Some(value @ (Value::Num(..) | Value::Bool(..) | Value::Char(..))) => {
            *value = Value::from(text.as_str());
            true
        }
        _ => false,
    }
}

fn find<'a>(values: &'a mut Dict, key: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = key.split_first()?;
    let mut value = values.get_mut(first)?;
    for part in rest {
        let Value::Dict(_, inner) = value else { return None };
        value = inner.get_mut(part)?;
    }
    Some(value)
}
