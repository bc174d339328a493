//! `config`: what holds, and where each value comes from.

use clap::Args;
use deploy_core::record::Exit;

use crate::{context::Context, error::CommandError, table::Table};

/// Show the configuration that holds, with the source of every value
#[derive(Debug, Args)]
pub struct ConfigArgs {}

/// Prints each value that is set, and the file and line, or the variable, that sets it.
pub(crate) fn cmd_config(context: &Context, _: &ConfigArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let mut table = Table::new(["KEY", "FROM", "VALUE"]);
    for setting in project.loaded.settings() {
        let value = serde_json::to_string(&setting.value).unwrap_or_default();
        let place = setting.place.to_string();
        if context.global.json {
            let line = serde_json::json!({
                "key": setting.key, "value": setting.value, "from": place,
            });
            context.ui.line(&crate::report::escape_json(&line.to_string()));
        }
        table.row([setting.shown, place, value]);
    }
    if !context.global.json {
        table.lines().iter().for_each(|line| context.ui.line(line));
        let state = project.state.path().display().to_string();
        context.ui.line("\nWhat is not listed has its default: docs/configuration.md.");
        context.ui.line(&format!("Runs and lock: {}", crate::display::line(&state)));
    }
    Ok(Exit::Complete)
}
