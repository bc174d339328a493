//! `doctor`: what would stop a deploy, found before it.

mod here;

use clap::Args;
use deploy_core::{
    backend::{BackendError, ErrorKind, Finding},
    model::Group,
    record::Exit,
};
use deploy_ssh::GitSource;

use super::selection::selected;
use crate::{
    args::HostsArgs,
    context::{Context, Project},
    error::{CommandError, Kind},
    report::Examination,
    signals,
    wire::{self, Wired},
};

/// Look for what would stop a deploy, on this machine and on each host; changes nothing
///
/// Only what is not well is shown at length, with the command that cures it; -v shows all.
///
/// Exit codes: 0 nothing would stop a deploy; 1 something would; 6 a host could not be asked, and
/// nothing else is wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli doctor                     # this machine and all hosts
  deploy-cli doctor --hosts 'web[01-20]' # only these hosts
  deploy-cli doctor -v                  # what is well too
  deploy-cli doctor --json              # for a program")]
pub struct DoctorArgs {
    #[command(flatten)]
    only: HostsArgs,
}

/// Examines this machine, then all hosts at once.
pub(crate) async fn cmd_doctor(context: &Context, args: &DoctorArgs) -> Result<Exit, CommandError> {
    tokio::select! {
        examination = examine(context, args) => show(context, &examination?),
        () = signals::ended() => Err(CommandError::interrupted()),
    }
}

async fn examine(context: &Context, args: &DoctorArgs) -> Result<Examination, CommandError> {
    let mut examination = Examination::default();
    examination.here([GitSource::examine_git().await]);
    let project = match context.project() {
        Ok(project) => project,
        Err(error) => return refused(examination, error),
    };
    examination.noun = project.noun();
    examination.here(here::state(context, &project).await);
    let source = wire::git_source(&project, false);
    let read = wire::groups(&project.loaded)
        .and_then(|groups| Ok((groups, wire::pipeline(context, &project, false)?)));
    let (groups, wired) = match read {
        Ok(read) => read,
        Err(error) => {
            examination.here(here::versions(&project, &source).await);
            return refused(examination, error);
        }
    };
    examination.here(here::configuration(&project, &wired, &groups));
    examination.here(here::helm(&project).await);
    let groups = selected(context, &project, &args.only.hosts, groups)?;
    examination.here(here::templates(&project, &wired, &groups).await);
    let hosts = on_hosts(context, &project, (&wired, &groups), &mut examination);
    let (repository, hosts) = tokio::join!(here::versions(&project, &source), hosts);
    hosts?;
    examination.here(repository);
    wired.close().await;
    Ok(examination)
}

/// What keeps all else from being examined is a finding too, unless the command line is wrong.
fn refused(mut examination: Examination, error: CommandError) -> Result<Examination, CommandError> {
    if error.kind() == Kind::Usage {
        return Err(error);
    }
    let because = "nothing else can be examined before this is cured";
    examination.here([here::of_error("configuration", &error).because(because)]);
    Ok(examination)
}

async fn on_hosts(
    context: &Context,
    project: &Project,
    (wired, groups): (&Wired, &[Group]),
    examination: &mut Examination,
) -> Result<(), CommandError> {
    examination.here(wired.logins(groups).await);
    for (target, examined) in wired.examine(project, groups, &context.run_id()).await? {
        let findings = examined.unwrap_or_else(|error| vec![unasked(&error)]);
        examination.host(target, findings);
    }
    Ok(())
}

/// Why a host could not be asked at all.
fn unasked(error: &BackendError) -> Finding {
    let finding = Finding::of_error("login", error);
    let why = match error.kind() {
        ErrorKind::Denied => "a deploy could not log in there",
        _ => "a deploy could not ask it either",
    };
    finding.because(why)
}

fn show(context: &Context, examination: &Examination) -> Result<Exit, CommandError> {
    let lines = match context.global.json {
        true => examination.json(),
        false => examination.lines(&context.ui),
    };
    lines.iter().for_each(|line| context.ui.line(line));
    Ok(examination.exit())
}
