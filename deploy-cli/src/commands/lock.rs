//! `lock`: keep everybody from deploying, with a reason.

use clap::Args;
use deploy_core::{backend::Holder, record::Exit};
use jiff::Timestamp;

use crate::{config::Span, context::Context, error::CommandError, state, time, who, wire};

/// Keep everybody from deploying, until `unlock` or for a time
///
/// The lock reaches all who deploy from the same state directory, and with `[lock] cluster` those who
/// deploy from elsewhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli lock -m 'the database moves' --until 2h")]
pub struct LockArgs {
    /// Why
    #[arg(short, long, value_name = "WHY")]
    message: String,
    /// Until when: a time to come such as 2h, or a moment such as 2015-06-10T18:00Z
    #[arg(long, value_name = "WHEN", value_parser = parse_until)]
    until: Option<Timestamp>,
}

/// Leaves a lock that outlives this process.
pub(crate) async fn cmd_lock(context: &Context, args: &LockArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    project.state.make()?;
    let holder = Holder {
        who: project.who.clone(),
        host: who::host(),
        pid: std::process::id(),
        why: Some(args.message.clone()),
        since: Timestamp::now(),
        run: None,
        until: args.until,
    };
    if let Some(other) = wire::lock(&project, context.run_id())?.leave(&holder).await? {
        return Err(CommandError::locked(&other));
    }
    if context.global.json {
        let line = serde_json::to_string(&holder).unwrap_or_default();
        context.ui.line(&crate::report::escape_json(&line));
    } else {
        let unlock = || format!("`deploy-cli unlock{}`", project.options);
        let until = holder.until.map_or_else(unlock, time::moment);
        context.ui.prose(&format!("{} is locked until {until}", project.name()));
        context.ui.line(&state::describe_holder(&holder));
    }
    Ok(Exit::Complete)
}

fn parse_until(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now();
    let until = match text.parse::<Span>() {
        Ok(span) => now + span.0,
        Err(_) => text
            .parse::<Timestamp>()
            .or_else(|_| {
                let local: Result<jiff::civil::DateTime, _> = text.parse();
                local
                    .and_then(|at| at.to_zoned(jiff::tz::TimeZone::system()))
                    .map(|at| at.timestamp())
            })
            .map_err(|_| {
                "neither a time to come such as 2h nor a moment such as 2015-06-10T18:00Z"
                    .to_owned()
            })?,
    };
    if until <= now { Err("that is over already".to_owned()) } else { Ok(until) }
}
