//! `config`: what holds, and where each value comes from.

mod check;
mod lookup;

use clap::Args;
use clap_complete::ArgValueCompleter;
use deploy_core::record::Exit;

use crate::{
    completion,
    config::{Setting, json_schema},
    context::{Context, Project},
    display,
    error::CommandError,
    report::escape_json,
    table::Table,
};

/// Show the configuration that holds, with the source of every value
///
/// Later wins: defaults, /etc/deploy/deploy.toml, deploy.toml, its [environment.NAME],
/// DEPLOY_CFG__SECTION__KEY variables, options.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli config
  deploy-cli config layout.keep
  deploy-cli --env beta config group.canary.hosts
  deploy-cli config --check")]
pub struct ConfigArgs {
    /// One key only, such as layout.keep, group.canary.hosts or check.0.timeout; or a table
    #[arg(value_name = "KEY", add = ArgValueCompleter::new(completion::keys))]
    key: Option<String>,
    /// Only say whether it is right: in all environments, unless one is chosen
    #[arg(long, conflicts_with = "key")]
    check: bool,
    /// Print the JSON schema of deploy.toml, for editors
    #[arg(long, conflicts_with_all = ["key", "check"])]
    schema: bool,
}

/// Prints each value that holds, and the file and line, or the variable, that sets it.
pub(crate) async fn cmd_config(context: &Context, args: &ConfigArgs) -> Result<Exit, CommandError> {
    if args.schema {
        let schema = serde_json::to_string_pretty(&json_schema()).unwrap_or_default();
        context.ui.line(&schema);
        return Ok(Exit::Complete);
    }
    if args.check {
        return check::check(context).await;
    }
    let project = context.project()?;
    let rows = rows(context, &project);
    if let Some(key) = &args.key {
        return lookup::one(context, &rows, key);
    }
    if context.global.json {
        rows.iter().for_each(|row| context.ui.line(&row.json()));
        return Ok(Exit::Complete);
    }
    let mut table = Table::new(["KEY", "FROM", "VALUE"]);
    let here = format!("{}/", context.cwd.display());
    for row in rows {
        table.row([row.key, row.from.replacen(&here, "", 1), row.value.to_string()]);
    }
    table.lines().iter().for_each(|line| context.ui.line(line));
    let state = project.state.path().display().to_string();
    context.ui.line(&format!("\nRuns and lock: {}", display::line(&state)));
    Ok(Exit::Complete)
}

/// A value that holds.
struct Row {
    key: String,
    value: serde_json::Value,
    from: String,
}

impl Row {
    fn json(&self) -> String {
        let line = serde_json::json!({ "key": self.key, "value": self.value, "from": self.from });
        escape_json(&line.to_string())
    }
}

impl From<Setting> for Row {
    fn from(setting: Setting) -> Self {
        let value = serde_json::to_value(&setting.value).unwrap_or_default();
        let from = match &setting.environment {
            Some(name) => format!("{} [environment.{name}]", setting.place),
            None => setting.place.to_string(),
        };
        Self { key: setting.key, value, from }
    }
}

/// All values, and which environment they are for.
fn rows(context: &Context, project: &Project) -> Vec<Row> {
    let environment = project.loaded.environment.as_ref().map(|name| {
        let from = match (&context.global.env, project.loaded.default_environment()) {
            (None, Some(place)) => format!("default_environment, {place}"),
            _ => "--env".to_owned(),
        };
        let key = "environment".to_owned();
        Row { key, value: name.as_str().into(), from }
    });
    environment
        .into_iter()
        .chain(project.loaded.all_settings().into_iter().map(Row::from))
        .collect()
}
