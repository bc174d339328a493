//! `versions`: what could be deployed.

use std::collections::BTreeMap;

use clap::Args;
use deploy_core::{backend::Listed, model::VersionId, record::Exit};

use crate::{
    args::from_one,
    commands::survey,
    context::{Context, Project},
    error::CommandError,
    report::escape_json,
    table::Table,
    time, wire,
};

/// List the versions that can be deployed, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli versions
  deploy-cli versions -n 5 --offline   # ask no host")]
pub struct VersionsArgs {
    /// How many
    #[arg(short = 'n', long, default_value = "20", value_name = "NUMBER", value_parser = from_one)]
    number: usize,
    /// Do not ask the hosts which of them are live
    #[arg(long)]
    offline: bool,
}

/// Lists tags, and on how many hosts each is live.
pub(crate) async fn cmd_versions(
    context: &Context,
    args: &VersionsArgs,
) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let source = wire::lenient_source(&project)?;
    let listed = source.list(args.number).await?;
    let mut live: BTreeMap<VersionId, usize> = BTreeMap::new();
    let mut silent = 0;
    if !args.offline {
        for answer in survey::ask_all(context, &project).await?.answers.into_values() {
            match answer {
                Ok(answer) => {
                    if let Some(release) = answer.release() {
                        *live.entry(release.version.id.clone()).or_default() += 1;
                    }
                }
                Err(_) => silent += 1,
            }
        }
    }
    show(context, (&project, args), &listed, &live);
    let exit = if silent > 0 { Exit::Incomplete } else { Exit::Complete };
    if silent > 0 && !context.global.json {
        let status = format!("`deploy-cli status{}` says why", project.options);
        context
            .ui
            .error_line(&format!("{} could not be asked; {status}", project.noun().count(silent)));
    }
    Ok(exit)
}

fn show(
    context: &Context,
    (project, args): (&Project, &VersionsArgs),
    listed: &[Listed],
    live: &BTreeMap<VersionId, usize>,
) {
    let mut table = Table::new(["VERSION", "DATE", "AUTHOR", "LIVE ON", "SUBJECT"]);
    for version in listed {
        let hosts = live.get(&version.version.id).copied().unwrap_or(0);
        if context.global.json {
            let mut line = serde_json::json!(version);
            if !args.offline {
                line["live_on"] = hosts.into();
            }
            context.ui.line(&escape_json(&line.to_string()));
        }
        let hosts = match hosts {
            0 => String::new(),
            some => project.noun().count(some).to_string(),
        };
        table.row([
            version.version.to_string(),
            time::moment(version.date),
            version.author.clone(),
            hosts,
            version.subject.clone(),
        ]);
    }
    if context.global.json {
        return;
    }
    if table.is_empty() {
        let tag = format!("`deploy-cli tag{}` makes one", project.options);
        context.ui.line(&format!("no version yet; {tag}"));
    } else {
        table.lines().iter().for_each(|line| context.ui.line(line));
    }
}
