//! Asks whether a target is healthy, as often as each check's policy says.

use std::{sync::PoisonError, time::Duration};

use tokio::time::{Instant, sleep};

use super::{Post, Report, Trouble};
use crate::{
    backend::{BackendError, ErrorKind, Situation, Verdict},
    model::Gate,
    plan::Stage,
    record::{Failure, Served},
    run::{Leave, Mishap, OwnedCheck, attempt::from_now},
};

/// What is asked, and of which moment.
struct Asked<'a> {
    owned: &'a OwnedCheck,
    situation: Situation,
    leave: Leave,
}

impl Post {
    /// Runs the checks that belong after `stage`, in order; the first that fails ends it.
    pub(super) async fn checks(&self, stage: Stage, leave: Leave) -> Result<(), Trouble> {
        for (index, owned) in self.backend.checks.iter().enumerate() {
            if owned.policy.applies(&self.group, stage) {
                let part = self.part(stage, Some(owned.policy.name.clone()), leave);
                let noted = self.memory().noted.get(index).cloned().unwrap_or(Ok(None));
                let work = async {
                    let situation = self.situation(leave);
                    let noted = noted.map_err(Trouble::Failed)?;
                    let situation = Situation { noted, ..situation };
                    self.check(Asked { owned, situation, leave }).await
                };
                self.stage(part, leave, false, work).await?;
            }
        }
        Ok(())
    }

    /// Has each check note what it will compare with after a restart. What it could not note stops
    /// the way forward; on the way back it is remembered, and fails the check.
    pub(super) async fn note_for_checks(&self, leave: Leave) -> Result<(), BackendError> {
        let target = &self.change.target;
        let mut noted = Vec::new();
        for owned in &self.backend.checks {
            if !owned.policy.applies(&self.group, Stage::Check) {
                noted.push(Ok(None));
                continue;
            }
            let (checker, within) = (&owned.checker, self.site.timeouts.connect);
            let note = self.call((Stage::Promote, leave), within, true, |scope| async move {
                checker.note(target, &scope).await
            });
            noted.push(match note.await {
                Err(error) if leave == Leave::Forward => return Err(error),
                note => note.map_err(|error| self.failure(Stage::Check, &error)),
            });
        }
        self.memory().noted = noted;
        Ok(())
    }

    /// Repeats the checks until the soak is over; a failure after its own retries is this target's.
    pub(in crate::run) async fn soak(&self, gate: &Gate) -> Result<(), Mishap> {
        let until = from_now(gate.soak.unwrap_or_default());
        let cut = self.site.soak_cut.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let interval = gate.interval.max(Duration::from_millis(100));
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            tokio::select! {
                () = sleep(interval.min(rest)) => {}
                () = cut.cancelled() => return Ok(()),
                () = self.site.halt.cancelled() => return Ok(()),
            }
            let checked = self.checks(Stage::Check, Leave::Forward).await;
            let served = Served::from(self.change.to.clone());
            checked.map_err(|trouble| self.touched(trouble, served))?;
        }
    }

    async fn check(&self, asked: Asked<'_>) -> Result<(), Trouble> {
        let policy = &asked.owned.policy;
        let until = from_now(policy.timeout);
        let mut unhealthy = 0;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let why = match self.ask_once(&asked, rest).await {
                Ok(Verdict::Healthy) => return Ok(()),
                Ok(Verdict::HealthyBut { note }) => {
                    self.remark(&policy.name, &note);
                    return Ok(());
                }
                Ok(Verdict::NotYet { seen }) => self.ill(&asked, ErrorKind::TimedOut, seen, None),
                Ok(Verdict::Unhealthy { reason, evidence }) => {
                    unhealthy += 1;
                    let failure = self.ill(&asked, ErrorKind::Rejected, reason, evidence);
                    if unhealthy > policy.retries {
                        return Err(self.give_up(&asked, failure).await);
                    }
                    failure
                }
                Err(error) => {
                    let failure = self.failure(policy.stage, &error);
                    return Err(self.give_up(&asked, failure).await);
                }
            };
            // At least a moment between two attempts, whatever the configuration says.
            let interval = policy.interval.max(Duration::from_millis(10));
            if from_now(interval) >= until {
                return Err(self.give_up(&asked, why).await);
            }
            tokio::select! {
                () = sleep(interval) => {}
                () = self.stopped(asked.leave) => return Err(Trouble::Halted(policy.stage)),
            }
            if self.is_stopped(asked.leave) {
                return Err(Trouble::Halted(policy.stage));
            }
        }
    }

    async fn ask_once(&self, asked: &Asked<'_>, rest: Duration) -> Result<Verdict, BackendError> {
        let (target, situation) = (&self.change.target, &asked.situation);
        let checker = &asked.owned.checker;
        self.call((asked.owned.policy.stage, asked.leave), rest, true, |scope| async move {
            checker.check(target, situation, &scope).await
        })
        .await
    }

    /// Tells what a person should know of a target that is well, once for each check.
    fn remark(&self, check: &str, note: &str) {
        if self.memory().remarked.insert(check.to_owned()) {
            let message = format!("check {check:?}: {note}");
            self.report(Report::Warning { at: self.at, message });
        }
    }

    fn ill(
        &self,
        asked: &Asked<'_>,
        kind: ErrorKind,
        cause: String,
        evidence: Option<String>,
    ) -> Failure {
        Failure {
            stage: asked.owned.policy.stage,
            kind,
            attempted: format!("check {:?}", asked.owned.policy.name),
            cause,
            hint: None,
            evidence,
        }
    }

    /// The check failed for good. On the way back it says so when it is the check for which the
    /// fleet goes back: then the version may not be what is wrong.
    async fn give_up(&self, asked: &Asked<'_>, mut failure: Failure) -> Trouble {
        let name = &asked.owned.policy.name;
        let asked_and_answered = matches!(failure.kind, ErrorKind::TimedOut | ErrorKind::Rejected);
        if asked_and_answered && self.site.failed_forward(name, asked.leave) {
            let hint = "the old version fails the same check: look at the check, and at what both \
                        versions depend on";
            failure.hint = Some(hint.to_owned());
        }
        if asked.owned.policy.stage == Stage::Check {
            self.add_evidence(&mut failure).await;
        }
        Trouble::Failed(failure)
    }

    /// Completes when no further attempt of a check may begin.
    async fn stopped(&self, leave: Leave) {
        match leave {
            Leave::Forward => self.site.halt.cancelled().await,
            Leave::Back | Leave::Close => self.site.kill.cancelled().await,
        }
    }

    fn is_stopped(&self, leave: Leave) -> bool {
        match leave {
            Leave::Forward => self.site.halt.is_cancelled() || self.site.kill.is_cancelled(),
            Leave::Back | Leave::Close => self.site.kill.is_cancelled(),
        }
    }
}
