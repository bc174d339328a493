//! Switches a target and restarts its services, and finds out what happened when that went wrong.

use super::{Post, Trouble, interrupted, mishap};
use crate::{
    backend::{BackendError, ErrorKind, Instance},
    plan::Stage,
    record::{End, Failure, Served},
    run::{Leave, Mishap},
};

/// How much of a unit's status and log is kept with a failure.
const EVIDENCE: usize = 16 << 10;

impl Post {
    /// Notes what runs now, then switches.
    pub(super) async fn promote(&self, leave: Leave) -> Result<(), Mishap> {
        let part = self.part(Stage::Promote, None, leave);
        let mut answer = None;
        let work = async {
            let promoted = self.note_and_switch(leave).await;
            let failure = promoted.as_ref().err().and_then(|mishap| mishap.end.failure().cloned());
            answer = Some(promoted);
            failure.map_or(Ok(()), |failure| Err(Trouble::Failed(failure)))
        };
        match self.stage(part, leave, true, work).await {
            Err(trouble @ Trouble::Halted(_)) => Err(self.untouched(trouble)),
            Ok(()) | Err(Trouble::Failed(_)) => answer.unwrap_or(Ok(())),
        }
    }

    async fn note_and_switch(&self, leave: Leave) -> Result<(), Mishap> {
        let noted = self.note(leave).await;
        let before = noted.map_err(|error| self.untouched(self.failed(Stage::Promote, &error)))?;
        self.memory().before = Some(before);
        let (transport, change) = (&self.backend.transport, &self.change);
        let within = self.site.timeouts.promote;
        let promoted = self.call((Stage::Promote, leave), within, true, |scope| async move {
            transport.promote(&change.target, change, &scope).await
        });
        match promoted.await {
            Ok(()) => {
                self.memory().saw(self.change.to.clone(), &self.change);
                Ok(())
            }
            Err(error) => self.find_out(&error).await,
        }
    }

    /// The switch failed, or its answer was lost: asks what the target serves, and never guesses.
    async fn find_out(&self, error: &BackendError) -> Result<(), Mishap> {
        let (from, to) = (&self.change.from, &self.change.to);
        let failure = self.failure(Stage::Promote, error);
        if error.kind() == ErrorKind::Unreachable {
            // Nothing was begun: it serves what it did.
            return Err(mishap(failure, from.clone().into(), false));
        }
        match self.probe(Stage::Promote).await {
            Ok(serves) if serves == *to && from != to => {
                if error.kind().is_uncertain() && error.kind() != ErrorKind::Cancelled {
                    return Ok(());
                }
                Err(mishap(failure, serves.into(), true))
            }
            Ok(serves) => {
                let halted = failure.kind == ErrorKind::Cancelled;
                let end = End::Failed { failure, served: serves.into() };
                Err(Mishap { end, touched: self.memory().torn, halted, once: false })
            }
            Err(_) => {
                let one_of = vec![from.clone().into(), to.clone().into()];
                let halted = failure.kind == ErrorKind::Cancelled;
                let end = End::Unknown { failure, one_of };
                Err(Mishap { end, touched: true, halted, once: false })
            }
        }
    }

    /// Asks each restarter what runs now, and has the checks note what they will compare with.
    pub(super) async fn note(&self, leave: Leave) -> Result<Vec<Instance>, BackendError> {
        let target = &self.change.target;
        let mut noted = Vec::new();
        for restarter in &self.backend.restarters {
            let within = self.site.timeouts.connect;
            let running = self.call((Stage::Promote, leave), within, true, |scope| async move {
                restarter.running(target, &scope).await
            });
            noted.push(running.await?);
        }
        self.note_for_checks(leave).await?;
        Ok(noted)
    }

    /// Restarts each service in order. The error says whether anything was begun.
    pub(super) async fn restart_all(
        &self,
        before: &[Instance],
        leave: Leave,
        touches: bool,
    ) -> Result<(), (Trouble, bool)> {
        let several = self.backend.restarters.len() > 1;
        let situation = self.situation(leave);
        let (situation, target) = (&situation, &self.change.target);
        let restarters = self.backend.restarters.iter().zip(before);
        for (number, (restarter, before)) in restarters.enumerate() {
            let detail = several.then(|| restarter.describe());
            let part = self.part(Stage::Restart, detail, leave);
            let work = async {
                let within = self.site.timeouts.restart;
                let restarted =
                    self.call((Stage::Restart, leave), within, true, |scope| async move {
                        restarter.restart(target, before, situation, &scope).await
                    });
                let Err(error) = restarted.await else { return Ok(()) };
                let mut failure = self.failure(Stage::Restart, &error);
                self.add_evidence(&mut failure).await;
                Err(Trouble::Failed(failure))
            };
            let restarted = self.stage(part, leave, touches, work).await;
            restarted.map_err(|trouble| {
                let begun = number > 0 || !matches!(trouble, Trouble::Halted(_));
                (trouble, begun)
            })?;
        }
        Ok(())
    }

    /// Adds what a person would look at, before what the failure brought itself: what each service
    /// says of itself since it was restarted.
    pub(super) async fn add_evidence(&self, failure: &mut Failure) {
        let cut_off = matches!(failure.kind, ErrorKind::Unreachable | ErrorKind::Lost);
        if cut_off || self.site.kill.is_cancelled() {
            return;
        }
        let before = self.memory().before.clone().unwrap_or_default();
        let target = &self.change.target;
        let own = failure.evidence.take().unwrap_or_default();
        let mut seen = String::new();
        for (number, restarter) in self.backend.restarters.iter().enumerate() {
            let before = &before.get(number).cloned().unwrap_or_default();
            let within = self.site.timeouts.connect;
            let evidence =
                self.call((failure.stage, Leave::Back), within, false, |scope| async move {
                    restarter.evidence(target, before, &scope).await
                });
            // Evidence is a courtesy: without it the failure stands as it is.
            let evidence = evidence.await.unwrap_or_default();
            if !own.contains(&evidence) && !seen.contains(&evidence) {
                seen.push_str(tail(&evidence));
                seen.push('\n');
            }
        }
        // What failed has the last word: where there is room for a few lines only, it is shown.
        seen.push_str(&own);
        let seen = seen.trim_end();
        failure.evidence = Some(seen.to_owned()).filter(|seen| !seen.is_empty());
    }

    /// How the target ends when its way back failed so, and it is known to serve `served`.
    pub(super) fn not_back(&self, trouble: Trouble, served: Served) -> Mishap {
        let mut failure = match trouble {
            Trouble::Halted(stage) => interrupted(stage),
            Trouble::Failed(failure) => failure,
        };
        failure.stage = Stage::Rollback;
        mishap(failure, served, true)
    }
}

/// The end of a text, where what went wrong usually stands.
fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(EVIDENCE);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}
