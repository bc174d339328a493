//! Asks all targets at once what is live.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Pipeline,
    attempt::{Call, Caller, attempt, guarded},
};
use crate::{
    backend::{BackendError, Cancel, ErrorKind, Live, Transport},
    model::{Group, Target},
    plan::{Stage, Survey},
    record::Failure,
};

/// What is told while targets are asked.
pub(super) enum Told<'a> {
    Retried { target: &'a Target, attempt: u32, failure: Failure },
    Answered { target: &'a Target, answer: &'a Result<Live, Failure> },
}

enum Report {
    Retried(Target, u32, Failure),
    Answered(Target, Box<Result<Live, Failure>>),
}

/// Each target of `groups` once, with the transport of its first group.
pub(super) fn targets_of(
    pipeline: &Pipeline,
    groups: &[Group],
) -> Vec<(Target, Arc<dyn Transport>)> {
    let mut seen = std::collections::BTreeSet::new();
    let mut targets = Vec::new();
    for group in groups {
        let transport = &pipeline.backend(&group.name).transport;
        for target in group.targets.iter().filter(|target| seen.insert((*target).clone())) {
            targets.push((target.clone(), Arc::clone(transport)));
        }
    }
    targets
}

pub(super) async fn ask_all(
    targets: Vec<(Target, Arc<dyn Transport>)>,
    caller: &Caller,
    within: Duration,
    kill: &Cancel,
    mut told: impl FnMut(Told<'_>),
) -> Survey {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for (target, transport) in targets {
        let (caller, kill, tx) = (caller.clone(), kill.clone(), tx.clone());
        tasks.spawn(async move {
            let asked =
                guarded(ask(&target, transport.as_ref(), &caller, within, &kill, &tx)).await;
            let answer = asked.unwrap_or_else(|panic| {
                let error = BackendError::new(ErrorKind::Broken, "ask what is live");
                Err(error.with_source(format!("panicked: {}", panic.0)))
            });
            let answer =
                answer.map_err(|error| Failure::from_error(Stage::Connect, &target, &error));
            // The receiver outlives all tasks, unless the whole survey was dropped.
            let _ = tx.send(Report::Answered(target, Box::new(answer)));
        });
    }
    drop(tx);
    let mut answers = BTreeMap::new();
    while let Some(report) = rx.recv().await {
        match report {
            Report::Retried(target, attempt, failure) => {
                told(Told::Retried { target: &target, attempt, failure });
            }
            Report::Answered(target, answer) => {
                told(Told::Answered { target: &target, answer: &answer });
                answers.insert(target, *answer);
            }
        }
    }
    Survey { answers }
}

async fn ask(
    target: &Target,
    transport: &dyn Transport,
    caller: &Caller,
    within: Duration,
    kill: &Cancel,
    tx: &mpsc::UnboundedSender<Report>,
) -> Result<Live, BackendError> {
    let told = |number: u32, error: &BackendError| {
        let failure = Failure::from_error(Stage::Connect, target, error);
        let _ = tx.send(Report::Retried(target.clone(), number, failure));
    };
    let stage = Stage::Connect;
    let (rolling_back, halt, repeat) = (false, kill, true);
    let call = Call { caller, stage, within, rolling_back, kill, halt, repeat, told: &told };
    attempt(call, |scope| async move { transport.live(target, &scope).await }).await
}
