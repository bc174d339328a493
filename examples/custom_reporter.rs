//! A reporter of one's own: one observer, told each event in order. It runs here on a fleet in
//! memory, whose canary is ill with `v2`, so that everything goes back.
//!
//! `cargo run -p examples --example custom_reporter`

use std::{error::Error, process::ExitCode};

use deploy_core::{
    model::{App, Group, GroupName, Target, Version, VersionId},
    plan::{Goal, PlanRequest, Stage},
    record::{
        Clock, Command, End, Event, EventKind, ObserveError, Observer, RunId, RunInfo,
        StageOutcome, SystemClock,
    },
    run::{Begin, Pipeline},
    testing::Fleet,
};

/// Writes for a chat: the start, what failed, and how it ended; nothing of what went well between.
#[derive(Debug, Default)]
struct Chat {
    failures: usize,
}

impl Observer for Chat {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        match &event.kind {
            EventKind::RunStarted { info } => println!("{} deploys {}", info.who, info.app),
            EventKind::StageFinished {
                target,
                stage,
                outcome: StageOutcome::Failed { failure },
                ..
            } if *stage != Stage::Rollback => {
                self.failures += 1;
                println!("  {target}: {}", failure.cause);
            }
            EventKind::Breached { reason, .. } => println!("  stopped: {reason}"),
            EventKind::TargetFinished { target, end: End::Reverted { .. } } => {
                println!("  {target} is back");
            }
            EventKind::RunFinished { exit, .. } => {
                println!("ended with {}, {} failed", exit.code(), self.failures);
            }
            // Events are added over time: a reporter passes over those that it does not know.
            _ => {}
        }
        // What cannot be drawn is no reason to stop a run: only a lost journal is an error.
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let version = |id: &str| VersionId::new(id).map(|id| Version { id, name: None });
    let group = |name: &str, hosts: &[&str]| -> Result<Group, Box<dyn Error>> {
        let hosts = hosts.iter().map(|host| Target::new(*host)).collect::<Result<_, _>>()?;
        Ok(Group::new(GroupName::new(name)?, hosts))
    };
    let groups = vec![group("canary", &["h1"])?, group("rest", &["h2", "h3"])?];

    let fleet = Fleet::new();
    for target in groups.iter().flat_map(|group| &group.targets) {
        fleet.install(target, &version("v1")?);
    }
    fleet.break_version(&version("v2")?);

    let request = PlanRequest::new(App::new("shop")?, Goal::Deploy(version("v2")?), groups);
    let run = RunId::at(SystemClock.now(), 0);
    let info = RunInfo::new(run, request.app.clone(), Command::Deploy, "alice");
    let begin = Begin::new(info).with_observer(Chat::default());
    let summary = Pipeline::new(fleet.backend()).run(&request, begin).await;
    Ok(ExitCode::from(summary.exit.map_or(4, |exit| exit.code())))
}
