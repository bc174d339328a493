//! Composes a pipeline from the traits, and runs it: canary first, checked, and back when it must.
//!
//! `cargo run -p examples --example embed -- REPOSITORY VERSION LIVE_PATH HOST…`, where the host
//! `local` is this machine, without SSH.

use std::{env::args, error::Error, process::ExitCode, sync::Arc};

use deploy_core::{
    backend::VersionSource,
    model::{App, Group, GroupName, Scheme, Target},
    plan::{CheckPolicy, Goal, PlanRequest},
    record::{Clock, Command, Event, RunId, RunInfo, SystemClock},
    run::{Backend, Begin, Pipeline},
};
use deploy_ssh::{
    CommandCheck, GitOptions, GitSource, Layout, RunProcess, SshTransport, Surroundings,
    session::{Sessions, SshConfig},
};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = args().skip(1).collect();
    let [repository, version, live_path, hosts @ ..] = &args[..] else {
        return Err("usage: embed REPOSITORY VERSION LIVE_PATH HOST…".into());
    };
    let source = GitSource::new(repository, GitOptions::new(Scheme::Any));
    let version = source.resolve(&version.parse()?).await?;

    let sessions = Sessions::new(SshConfig::default());
    let layout = Layout::new(live_path)?.keep(3);
    let surroundings = Surroundings { layout: layout.clone(), environment: None };
    let transport = SshTransport::new(sessions.clone(), repository, layout, RunProcess::current()?);
    let command = "test -s index.html".to_owned();
    let backend = Backend::new(transport).with_check(
        CheckPolicy::new("has a page"),
        CommandCheck { sessions: sessions.clone(), surroundings, command },
    );

    let hosts = hosts.iter().map(Target::new).collect::<Result<Vec<_>, _>>()?;
    let groups = vec![Group::new(GroupName::new("all")?, hosts)];
    let request = PlanRequest::new(App::new("site")?, Goal::Deploy(version), groups);
    let run = RunId::at(SystemClock.now(), 0);
    let info = RunInfo::new(run, request.app.clone(), Command::Deploy, "embed");
    let tell = |event: &Event| {
        println!("{}", serde_json::to_string(&event.kind).unwrap_or_default());
        Ok(())
    };
    let pipeline = Pipeline::new(backend).with_source(Arc::new(source));
    let summary = pipeline.run(&request, Begin::new(info).with_observer(tell)).await;
    sessions.close().await;

    println!("{} of {} deployed", summary.counts().deployed, summary.counts().planned);
    Ok(ExitCode::from(summary.exit.map_or(4, |exit| exit.code())))
}
