//! Operates the services of a target, or runs a command there; what it serves stays.

use std::sync::Arc;

use super::{Post, Trouble, mishap};
use crate::{
    backend::{BackendError, ErrorKind, Instance, Operator},
    plan::{Action, Stage},
    record::{End, Failure, Served},
    run::{Leave, Mishap, OwnedStep},
};

impl Post {
    /// Holds the target for the run. It must still serve what the plan says.
    pub(in crate::run) async fn hold(&self) -> Result<(), Mishap> {
        let (stage, leave) = (Stage::Preflight, Leave::Forward);
        let part = self.part(stage, Some("claim".to_owned()), leave);
        let (transport, change) = (&self.backend.transport, &self.change);
        let mut served = Served::from(change.from.clone());
        let work = async {
            let within = self.site.timeouts.promote;
            let held = self.call((stage, leave), within, true, |scope| async move {
                transport.promote(&change.target, change, &scope).await
            });
            let Err(error) = held.await else { return Ok(()) };
            if error.kind() == ErrorKind::Conflict {
                served = self.probe(stage).await.map_or(Served::NeverAsked, Served::from);
            }
            Err(self.failed(stage, &error))
        };
        self.stage(part, leave, false, work).await.map_err(|trouble| match trouble {
            Trouble::Failed(failure) => mishap(failure, served, false),
            halted @ Trouble::Halted(_) => self.untouched(halted),
        })
    }

    /// Operates each service in order, the last first where they are stopped, and asks the checks
    /// where the services are to be healthy afterwards.
    pub(in crate::run) async fn operate(&self, action: Action) -> Result<(), Mishap> {
        let mut operators: Vec<&Arc<dyn Operator>> = self.backend.operators.iter().collect();
        if action == Action::Stop {
            operators.reverse();
        }
        for (number, operator) in operators.into_iter().enumerate() {
            self.operate_one(action, operator.as_ref(), number == 0).await?;
        }
        if action.is_checked() {
            let served = || Served::from(self.change.to.clone());
            let checked = self.checks(Stage::Check, Leave::Forward).await;
            checked.map_err(|trouble| self.touched(trouble, served()))?;
        }
        Ok(())
    }

    async fn operate_one(
        &self,
        action: Action,
        operator: &dyn Operator,
        is_first: bool,
    ) -> Result<(), Mishap> {
        let (stage, leave) = (Stage::Restart, Leave::Forward);
        let words = operator.describe_action(action).unwrap_or_else(|_| action.to_string());
        let (situation, target) = (&self.situation(leave), &self.change.target);
        let mut untouched = true;
        let work = async {
            if is_first && action.is_checked() {
                let noted = self.note_for_checks(leave).await;
                noted.map_err(|error| self.failed(stage, &error))?;
            }
            let within = self.site.timeouts.connect;
            let before = self.call((stage, leave), within, true, |scope| async move {
                operator.state(target, &scope).await
            });
            let before = &before.await.map_err(|error| self.failed(stage, &error))?.instance;
            let within = self.site.timeouts.restart;
            let operated = self.call((stage, leave), within, true, |scope| async move {
                operator.operate(target, action, before, situation, &scope).await
            });
            let Err(error) = operated.await else { return Ok(()) };
            untouched = self.is_as_before(&error, operator, before).await;
            let mut failure = self.failure(stage, &error);
            self.add_evidence(&mut failure).await;
            Err(Trouble::Failed(failure))
        };
        let operated = self.stage(self.part(stage, Some(words), leave), leave, true, work).await;
        operated.map_err(|trouble| {
            if is_first && untouched {
                self.untouched(trouble)
            } else {
                self.touched(trouble, self.change.to.clone().into())
            }
        })
    }

    /// Whether the service is known to run as it did, although it was to be operated.
    async fn is_as_before(
        &self,
        error: &BackendError,
        operator: &dyn Operator,
        before: &Instance,
    ) -> bool {
        if error.kind() == ErrorKind::Unreachable {
            return true;
        }
        // What was begun may still be at work there, and show itself later.
        if error.kind().is_uncertain() {
            return false;
        }
        let target = &self.change.target;
        let asked =
            self.ask(Stage::Restart, |scope| async move { operator.state(target, &scope).await });
        asked.await.is_ok_and(|now| now.instance == *before)
    }

    /// Runs the steps of the backend, and nothing else.
    pub(in crate::run) async fn run(&self) -> Result<(), Mishap> {
        for owned in &self.backend.steps {
            self.run_one(owned).await.map_err(|trouble| match trouble {
                halted @ Trouble::Halted(_) => self.untouched(halted),
                Trouble::Failed(failure) => ran(failure),
            })?;
        }
        Ok(())
    }

    async fn run_one(&self, owned: &OwnedStep) -> Result<(), Trouble> {
        let (stage, leave) = (Stage::Run, Leave::Forward);
        let (situation, target) = (&self.situation(leave), &self.change.target);
        let work = async {
            let ran = self.call((stage, leave), owned.policy.timeout, false, |scope| async move {
                owned.step.run(target, situation, &scope).await
            });
            ran.await.map_err(|error| self.failed(stage, &error))
        };
        self.stage(self.part(stage, None, leave), leave, true, work).await
    }
}

/// How a target ends on which a command failed so. What it serves, nobody asked.
fn ran(failure: Failure) -> Mishap {
    let (kind, served) = (failure.kind, Served::NeverAsked);
    let end = match kind {
        ErrorKind::Unreachable => End::Unreachable { failure, served },
        // Nobody knows how the command ended, or whether it has.
        ErrorKind::Lost | ErrorKind::Broken => End::Unknown { failure, one_of: Vec::new() },
        _ => End::Failed { failure, served },
    };
    let (touched, halted) = (kind != ErrorKind::Unreachable, kind == ErrorKind::Cancelled);
    Mishap { end, touched, halted, once: false }
}
