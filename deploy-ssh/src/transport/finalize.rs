//! Ends a run on a target: remembers what is good, prunes, gives up the claim.

use std::collections::BTreeSet;

use deploy_core::{
    backend::{BackendError, Closing, ErrorKind, Scope},
    model::Target,
    record::RunId,
};
use jiff::Timestamp;

use super::{Answered, Report, SshTransport, failure, fetch::commits_of, status};
use crate::{
    claim::ClaimRecord,
    session::{OnStdinEnd, Script},
    state::{GoodRecord, State},
};

/// With more packs than this, they are made one.
const PACKS: usize = 20;

impl SshTransport {
    /// Marks, prunes, and gives up the claim, as `closing` says.
    pub(super) async fn close(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("finalize {target}");
        let (mut ours, mut dead) = (self.claim(scope), String::new());
        for _ in 0..super::ROUNDS {
            let known = self.known(target, scope).await?;
            let (script, state) =
                self.finalize_script(closing, &known, scope, [&ours, &dead], &attempted)?;
            match Answered::of(self.run(target, script, scope).await?) {
                Answered::Done(mut report) => {
                    let held = report.claim_line.clone();
                    if let Some(state) = state {
                        report.set_state(&state);
                    }
                    self.note(target, report);
                    // Another value may have taken the target for this same run.
                    match held.filter(|held| is_of(held, &scope.run)) {
                        Some(held) => ours = held,
                        None => return Ok(()),
                    }
                }
                Answered::Claimed(held) => {
                    dead = self.take_over(target, held, &attempted, scope)?;
                }
                Answered::Else(output, report) if output.status == status::STALE => {
                    drop(output);
                    self.note(target, report);
                }
                Answered::Else(output, _) => {
                    let cache = self.layout.cache();
                    return Err(failure::explain(&output, &known, &cache, &attempted));
                }
            }
        }
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("what lies on the target changed again and again"))
    }

    /// What ends the run, and the new state that it writes, if there is one.
    fn finalize_script(
        &self,
        closing: &Closing,
        known: &Report,
        scope: &Scope,
        [ours, dead]: [&str; 2],
        attempted: &str,
    ) -> Result<(Script, Option<String>), BackendError> {
        let script = Script::function("finalize")
            .on_stdin_end(OnStdinEnd::RunToEnd)
            .arg(self.layout.path())
            .arg(scope.run.as_str())
            .arg(ours)
            .arg(dead);
        let Some(good) = &closing.good else {
            return Ok((script.arg("0").args([""; 6]), None));
        };
        let mut state = known.state().map_err(|why| {
            BackendError::new(ErrorKind::Broken, attempted)
                .with_source(format!("{}/state.json {why}", self.layout.cache()))
        })?;
        let newest = state.good.first();
        let is_told = newest.is_some_and(|g| g.release == *good && g.run == scope.run);
        if !is_told {
            state.remember(GoodRecord {
                release: good.clone(),
                run: scope.run.clone(),
                by: super::who(scope),
                at: Timestamp::now(),
            });
        }
        let spared = spared(&state, known, closing, self.layout.kept());
        let next = (!is_told).then(|| state.text());
        let doomed = known.releases.keys().filter(|id| !spared.contains(*id));
        let doomed: Vec<&str> = doomed.map(String::as_str).collect();
        let left = known.releases.iter().filter(|(id, _)| spared.contains(*id));
        let left = commits_of(left.map(|(_, mark)| mark));
        let commits: Vec<&str> = known
            .haves
            .iter()
            .map(|have| &have.commit)
            .filter(|commit| !left.contains(commit))
            .map(crate::git::oid::Oid::as_str)
            .collect();
        let script = script
            .arg("1")
            .arg(known.state_head())
            .arg(next.as_deref().unwrap_or_default())
            .arg(doomed.join(" "))
            .arg(commits.join(" "))
            .arg(PACKS.to_string())
            // What build steps have left in a release is not wanted in another.
            .arg(if self.steps.is_empty() { "1" } else { "0" });
        Ok((script, next))
    }
}

fn is_of(claim: &str, run: &RunId) -> bool {
    ClaimRecord::parse(claim).is_some_and(|record| record.run == *run)
}

/// The releases that are kept (rule 22): the live one, the way back, what became good, the newest
/// good ones whose files are there, and what was adopted: that nobody could bring back.
fn spared(state: &State, known: &Report, closing: &Closing, keep: usize) -> BTreeSet<String> {
    let good = state.good.iter().map(|good| good.release.id.to_string());
    let mut spared: BTreeSet<String> =
        good.filter(|id| known.releases.contains_key(id)).take(keep).collect();
    let adopted = known.releases.iter().filter(|(_, mark)| mark.is_adopted());
    spared.extend(adopted.map(|(id, _)| id.clone()));
    spared.insert(known.live.clone());
    for release in [&closing.good, &closing.back].into_iter().flatten() {
        spared.insert(release.id.to_string());
    }
    spared
}
