//! Brings a target back to where an automatic rollback returns it (rules 7, 15 to 17).

use super::{Post, Trouble};
use crate::{
    backend::{BackendError, ErrorKind, Instance},
    model::Release,
    plan::{Change, Stage, Work},
    record::{End, Failure, Served},
    run::{Leave, Mishap},
};

impl Post {
    pub(in crate::run) async fn revert(&self) -> Result<(), Mishap> {
        let serves = self.serves_for_certain().await?;
        let back = &self.change.back;
        // What our own switch left half-way is nobody else's.
        let torn = self.memory().torn;
        if !torn && serves != self.change.from && serves != self.change.to && serves != *back {
            let failure = Failure {
                stage: Stage::Rollback,
                kind: ErrorKind::Conflict,
                attempted: "bring it back".to_owned(),
                cause: format!("changed meanwhile to {}", name(&serves)),
                hint: None,
                evidence: None,
            };
            return Err(self.not_back(Trouble::Failed(failure), serves.into()));
        }
        let switched = self.memory().switched;
        let kept = serves == self.change.from && serves == *back;
        if kept && !torn && self.change.work == Work::Move && !switched {
            // The switch never happened, so nothing was restarted either.
            return Ok(());
        }
        let running = self.note(Leave::Back).await;
        if torn || serves != *back {
            self.switch_back(&serves).await?;
        }
        let served = || Served::from(back.clone());
        if back.is_none() {
            let stopped = self.stop_what_was_not_active().await;
            return stopped.map_err(|trouble| self.not_back(trouble, served()));
        }
        let running = running
            .map_err(|error| self.not_back(self.failed(Stage::Restart, &error), served()))?;
        let restarted = self.restart_all(&running, Leave::Back, false).await;
        restarted.map_err(|(trouble, _)| self.not_back(trouble, served()))?;
        for stage in [Stage::Promote, Stage::Check] {
            let checked = self.checks(stage, Leave::Back).await;
            checked.map_err(|trouble| self.not_back(trouble, served()))?;
        }
        Ok(())
    }

    /// What the target serves: as noted, or asked where that is not known.
    async fn serves_for_certain(&self) -> Result<Option<Release>, Mishap> {
        let known = self.memory().serves.clone();
        if let Some(serves) = known {
            return Ok(serves);
        }
        let part = self.part(Stage::Rollback, None, Leave::Back);
        let asked = async {
            let asked = self.probe(Stage::Rollback).await;
            asked.map_err(|error| self.failed(Stage::Rollback, &error))
        };
        self.stage(part, Leave::Back, false, asked).await.map_err(|trouble| {
            let mishap = self.not_back(trouble, Served::NeverAsked);
            let failure = mishap
                .end
                .failure()
                .cloned()
                .unwrap_or_else(|| super::interrupted(Stage::Rollback));
            let one_of = vec![self.change.from.clone().into(), self.change.to.clone().into()];
            Mishap { end: End::Unknown { failure, one_of }, ..mishap }
        })
    }

    async fn switch_back(&self, serves: &Option<Release>) -> Result<(), Mishap> {
        let inverse = &Change { from: serves.clone(), ..self.change.inverse() };
        let part = self.part(Stage::Promote, None, Leave::Back);
        let transport = &self.backend.transport;
        let mut known: Option<Served> = Some(serves.clone().into());
        let work = async {
            let within = self.site.timeouts.promote;
            let promoted =
                self.call((Stage::Promote, Leave::Back), within, true, |scope| async move {
                    transport.promote(&inverse.target, inverse, &scope).await
                });
            let Err(error) = promoted.await else {
                let mut memory = self.memory();
                (memory.serves, memory.torn) = (Some(inverse.to.clone()), false);
                return Ok(());
            };
            known = self.after_failed_switch(&error, inverse).await;
            match known {
                None if error.kind() != ErrorKind::Cancelled
                    && self.memory().serves == Some(inverse.to.clone()) =>
                {
                    Ok(())
                }
                _ => Err(self.failed(Stage::Promote, &error)),
            }
        };
        let switched = self.stage(part, Leave::Back, false, work).await;
        let either = || vec![serves.clone().into(), inverse.to.clone().into()];
        switched.map_err(|trouble| match known {
            Some(served) => self.not_back(trouble, served),
            None => {
                let mishap = self.not_back(trouble, Served::NeverAsked);
                match mishap.end.failure().cloned() {
                    Some(failure) => {
                        Mishap { end: End::Unknown { failure, one_of: either() }, ..mishap }
                    }
                    None => mishap,
                }
            }
        })
    }

    /// What the target serves after a switch back that failed; `None` when it is back all the same
    /// (then the memory says so), or when nobody knows.
    async fn after_failed_switch(&self, error: &BackendError, inverse: &Change) -> Option<Served> {
        if error.kind() == ErrorKind::Unreachable {
            return Some(inverse.from.clone().into());
        }
        match self.probe(Stage::Rollback).await {
            Ok(serves) if serves == inverse.to && error.kind().is_uncertain() => None,
            Ok(serves) => Some(serves.into()),
            Err(_) => None,
        }
    }

    /// Back to nothing: the units that were not active before are stopped.
    async fn stop_what_was_not_active(&self) -> Result<(), Trouble> {
        let before = self.memory().before.clone().unwrap_or_default();
        self.stop_each(&before).await
    }

    /// A plan that goes back to nothing: nobody remembers what was active before the first deploy,
    /// and a unit without its files is of no use.
    pub(super) async fn stop_all(&self) -> Result<(), Trouble> {
        let before = vec![Instance::default(); self.backend.restarters.len()];
        self.stop_each(&before).await
    }

    async fn stop_each(&self, before: &[Instance]) -> Result<(), Trouble> {
        let target = &self.change.target;
        for (restarter, before) in self.backend.restarters.iter().zip(before) {
            if before.active {
                continue;
            }
            let part = self.part(Stage::Restart, Some("stop".to_owned()), Leave::Back);
            let work = async {
                let within = self.site.timeouts.restart;
                let stopped =
                    self.call((Stage::Restart, Leave::Back), within, true, |scope| async move {
                        restarter.stop(target, before, &scope).await
                    });
                stopped.await.map_err(|error| self.failed(Stage::Restart, &error))
            };
            self.stage(part, Leave::Back, false, work).await?;
        }
        Ok(())
    }
}

fn name(release: &Option<Release>) -> String {
    release.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
}
