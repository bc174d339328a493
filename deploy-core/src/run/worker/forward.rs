//! Brings a target to the version: fetch, the app's steps, promote, restart, check; and closes.

use super::{Post, Report, Trouble};
use crate::{
    backend::Closing,
    plan::{Stage, StepMoment, StepPlace, Work},
    record::Served,
    run::{Leave, Mishap, OwnedStep},
};

impl Post {
    /// Puts the release beside the live one; then the checks of that stage.
    pub(in crate::run) async fn fetch(&self) -> Result<(), Mishap> {
        if let Work::Operate(_) = self.change.work {
            return self.hold().await;
        }
        let leave = Leave::Forward;
        let part =
            super::Part { rolling_back: self.site.back, ..self.part(Stage::Fetch, None, leave) };
        let (transport, change) = (&self.backend.transport, &self.change);
        let work = async {
            let within = self.site.timeouts.fetch;
            let fetched = self.call((Stage::Fetch, leave), within, true, |scope| async move {
                transport.fetch(&change.target, change, &scope).await
            });
            fetched.await.map_err(|error| self.failed(Stage::Fetch, &error))
        };
        self.stage(part, leave, false, work).await.map_err(|trouble| self.untouched(trouble))?;
        self.checks(Stage::Fetch, leave).await.map_err(|trouble| self.untouched(trouble))
    }

    /// Runs the named steps, which run once for all before anything is promoted.
    pub(in crate::run) async fn lead(&self, names: &[String]) -> Result<(), Mishap> {
        for owned in &self.backend.steps {
            if names.contains(&owned.policy.name) {
                let ran = self.step(owned, Stage::Promote).await;
                ran.map_err(|trouble| {
                    let mishap = self.untouched(trouble);
                    Mishap { once: !mishap.halted, ..mishap }
                })?;
            }
        }
        Ok(())
    }

    /// Switches, restarts and checks; an unchanged target is only checked. Or operates services, or
    /// runs a command, where that is the work.
    pub(in crate::run) async fn handle(&self) -> Result<(), Mishap> {
        let leave = if self.site.back { Leave::Back } else { Leave::Forward };
        let served = || Served::from(self.change.to.clone());
        match self.change.work {
            // What serves nothing and is left so has nothing that could be healthy.
            Work::Nothing if self.change.to.is_none() => return Ok(()),
            Work::Nothing => {
                let checked = self.checks(Stage::Check, leave).await;
                return checked.map_err(|trouble| self.untouched(trouble));
            }
            Work::Operate(action) => return self.operate(action).await,
            Work::Run => return self.run().await,
            Work::Confirm | Work::Move => {}
        }
        if self.change.work == Work::Move {
            for owned in self.steps(StepMoment::BeforePromote, StepPlace::Each) {
                let ran = self.step(owned, Stage::Promote).await;
                ran.map_err(|trouble| self.untouched(trouble))?;
            }
            self.promote(leave).await?;
            if self.change.to.is_none() {
                let stopped = self.stop_all().await;
                return stopped.map_err(|trouble| self.touched(trouble, served()));
            }
            let checked = self.checks(Stage::Promote, leave).await;
            checked.map_err(|trouble| self.touched(trouble, served()))?;
        }
        self.restart(leave).await?;
        let checked = self.checks(Stage::Check, leave).await;
        checked.map_err(|trouble| self.touched(trouble, served()))?;
        self.after_check().await
    }

    /// Restarts each service in order. For a target that is only confirmed, this is what touches
    /// it.
    async fn restart(&self, leave: Leave) -> Result<(), Mishap> {
        let confirm = self.change.work == Work::Confirm;
        let served = || Served::from(self.change.to.clone());
        if self.backend.restarters.is_empty() {
            return Ok(());
        }
        let known = self.memory().before.clone();
        let before = match known {
            Some(before) => before,
            None => {
                let noted = self.note(leave).await;
                let failed = |error| self.untouched(self.failed(Stage::Restart, &error));
                let before = noted.map_err(failed)?;
                self.memory().before = Some(before.clone());
                before
            }
        };
        let restarted = self.restart_all(&before, leave, confirm).await;
        restarted.map_err(|(trouble, begun)| {
            if confirm && !begun {
                self.untouched(trouble)
            } else {
                self.touched(trouble, served())
            }
        })
    }

    async fn after_check(&self) -> Result<(), Mishap> {
        let served = || Served::from(self.change.to.clone());
        for owned in self.steps(StepMoment::AfterCheck, StepPlace::Once) {
            if self.site.is_first(&owned.policy.name) {
                let ran = self.step(owned, Stage::Check).await;
                ran.map_err(|trouble| {
                    let mishap = self.touched(trouble, served());
                    Mishap { once: !mishap.halted, ..mishap }
                })?;
            }
        }
        for owned in self.steps(StepMoment::AfterCheck, StepPlace::Each) {
            let ran = self.step(owned, Stage::Check).await;
            ran.map_err(|trouble| self.touched(trouble, served()))?;
        }
        Ok(())
    }

    /// The steps of this target at one moment. Steps run on the way forward only.
    fn steps(&self, moment: StepMoment, place: StepPlace) -> impl Iterator<Item = &OwnedStep> {
        self.backend.steps.iter().filter(move |owned| {
            let policy = &owned.policy;
            let here = policy.group.as_ref().is_none_or(|only| *only == self.group);
            !self.site.back && here && policy.moment == moment && policy.place == place
        })
    }

    /// Runs one of the app's own steps; never a second time by itself.
    async fn step(&self, owned: &OwnedStep, stage: Stage) -> Result<(), Trouble> {
        let part = self.part(stage, Some(owned.policy.name.clone()), Leave::Forward);
        let situation = &self.situation(Leave::Forward);
        let target = &self.change.target;
        let work = async {
            let within = owned.policy.timeout;
            let ran = self.call((stage, Leave::Forward), within, false, |scope| async move {
                owned.step.run(target, situation, &scope).await
            });
            ran.await.map_err(|error| self.failed(stage, &error))
        };
        self.stage(part, Leave::Forward, false, work).await
    }

    /// Ends the run on this target. What it failed for is only worth a warning.
    pub(in crate::run) async fn close(&self, good: bool) -> Result<(), Mishap> {
        let leave = Leave::Close;
        let part = self.part(Stage::Finalize, None, leave);
        let good = if good { self.change.to.clone() } else { None };
        let closing = &Closing { back: self.change.back.clone().filter(|_| good.is_some()), good };
        let (transport, target) = (&self.backend.transport, &self.change.target);
        let within = self.site.timeouts.finalize;
        let work = async {
            let act = |scope| async move { transport.finalize(target, closing, &scope).await };
            // After a second Ctrl-C the claim is still given up, but nobody waits for long.
            let closed = if self.site.kill.is_cancelled() {
                self.ask(Stage::Finalize, act).await
            } else {
                self.call((Stage::Finalize, leave), within, true, act).await
            };
            closed.map_err(|error| self.failed(Stage::Finalize, &error))
        };
        self.stage(part, leave, false, work).await.map_err(|trouble| {
            if let Trouble::Failed(failure) = &trouble {
                let what = match &closing.good {
                    Some(_) => "perhaps not marked good; the next run then confirms it first",
                    None => "its claim was perhaps not given up",
                };
                let message = format!("{what}: {}", failure.cause);
                self.report(Report::Warning { at: self.at, message });
            }
            self.untouched(trouble)
        })
    }
}
