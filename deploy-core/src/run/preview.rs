//! What changes on targets, asked of all of them; equal diffs told once.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Pipeline,
    attempt::{Call, Caller, attempt},
    pipeline::named,
};
use crate::{
    backend::{BackendError, Cancel, FileDiff, Preview},
    model::Target,
    plan::{Change, Plan, PlannedDiff, Stage, Work},
};

/// How many different diffs of one file a plan holds.
const DISTINCT: usize = 50;
/// How much text of diffs a plan holds, in bytes.
const LARGEST: usize = 1024 * 1024;
/// How many targets are asked at once.
const AT_ONCE: usize = 8;

type Answer = Result<Vec<FileDiff>, BackendError>;

/// Asks what each change of `plan` brings, and writes it down. What cannot be known becomes a
/// warning. Dropped, it asks nobody any more.
pub(super) async fn fill_in(plan: &mut Plan, pipeline: &Pipeline, caller: &Caller, kill: &Cancel) {
    let within = plan.strategy.timeouts.connect;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    let changes = plan.changes().filter(|(_, change)| change.work != Work::Nothing);
    for (number, (group, change)) in changes.enumerate() {
        let Some(preview) = pipeline.backend(&group.name).preview.clone() else { continue };
        let (caller, kill, change) = (caller.clone(), kill.clone(), change.clone());
        let places = Arc::clone(&places);
        asking.spawn(async move {
            // It is never closed.
            let _place = places.acquire_owned().await;
            if kill.is_cancelled() {
                return None;
            }
            let (stage, halt) = (Stage::Preflight, &kill);
            let told = |_: u32, _: &BackendError| {};
            let (caller, kill) = (&caller, &kill);
            let (rolling_back, repeat) = (false, true);
            let call =
                Call { caller, stage, within, rolling_back, kill, halt, repeat, told: &told };
            let answer = ask(&*preview, &change, call).await;
            Some((number, change.target, answer))
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(asked) = asking.join_next().await {
        // A panic in a preview is an answer already.
        if let Ok(Some((number, target, answer))) = asked {
            answers.insert(number, (target, answer));
        }
    }
    write_down(plan, answers.into_values());
}

async fn ask(preview: &dyn Preview, change: &Change, call: Call<'_>) -> Answer {
    attempt(call, |scope| async move { preview.diffs(change, &scope).await }).await
}

fn write_down(plan: &mut Plan, answers: impl Iterator<Item = (Target, Answer)>) {
    let mut found: Vec<PlannedDiff> = Vec::new();
    let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut distinct: BTreeMap<String, usize> = BTreeMap::new();
    let mut size = 0;
    let mut unknown: BTreeMap<String, Vec<Target>> = BTreeMap::new();
    for (target, answer) in answers {
        let diffs = match answer {
            Ok(diffs) => diffs,
            Err(error) => {
                unknown.entry(error.cause()).or_default().push(target);
                continue;
            }
        };
        for FileDiff { file, diff } in diffs {
            let mut key = (file, diff);
            if !known.contains_key(&key) {
                let count = distinct.entry(key.0.clone()).or_default();
                *count += 1;
                if *count > DISTINCT || size + key.1.len() > LARGEST {
                    // A plan stays readable: of the rest only the targets are told.
                    key.1.clear();
                }
                size += key.1.len();
            }
            let at = *known.entry(key.clone()).or_insert_with(|| {
                let (file, diff) = key;
                found.push(PlannedDiff { file, diff, targets: Vec::new() });
                found.len() - 1
            });
            found[at].targets.push(target.clone());
        }
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    plan.diffs = found;
    for (cause, targets) in unknown {
        let targets = named(&targets);
        plan.warnings.push(format!("what will change on {targets} is not known: {cause}"));
    }
}
