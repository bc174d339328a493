//! `config KEY`: one value, or one table of them.

use deploy_core::record::Exit;
use serde_json::Value;

use super::Row;
use crate::{config, context::Context, display, error::CommandError};

/// Prints the value at `key` alone; of a table each value that holds, with its key.
pub(super) fn one(context: &Context, rows: &[Row], key: &str) -> Result<Exit, CommandError> {
    let key = numbered(rows, key);
    let table = format!("{key}.");
    let of_table = |row: &&Row| row.key.starts_with(&table);
    if let Some(row) = rows.iter().find(|row| row.key == key) {
        let line = match &row.value {
            _ if context.global.json => row.json(),
            Value::String(text) => display::line(text).into_owned(),
            value => display::line(&value.to_string()).into_owned(),
        };
        context.ui.line(&line);
    } else if rows.iter().any(|row| of_table(&row)) {
        for row in rows.iter().filter(of_table) {
            let line = format!("{} = {}", row.key, row.value);
            let line = if context.global.json { row.json() } else { line };
            context.ui.line(&display::line(&line));
        }
    } else {
        return Err(unset(&key));
    }
    Ok(Exit::Complete)
}

/// `group.canary.hosts` as `group.0.hosts`.
fn numbered(rows: &[Row], key: &str) -> String {
    let [table, name, rest @ ..] = &key.splitn(3, '.').collect::<Vec<_>>()[..] else {
        return key.to_owned();
    };
    let named = rows.iter().find_map(|row| {
        let index = row.key.strip_prefix(table)?.strip_prefix('.')?.strip_suffix(".name")?;
        let is_index = index.bytes().all(|byte| byte.is_ascii_digit());
        (is_index && row.value.as_str() == Some(name)).then_some(index)
    });
    let Some(index) = named else { return key.to_owned() };
    let parts: Vec<&str> = [*table, index].into_iter().chain(rest.iter().copied()).collect();
    parts.join(".")
}

/// Why there is no value: it is not set, or there is no such key.
fn unset(key: &str) -> CommandError {
    match config::known(key) {
        Ok(()) => CommandError::refused(format!("{key} is not set, and has no default")),
        Err(near) => CommandError::refused(format!("there is no key {key}")).hint(near),
    }
}
