//! Taking the lock, or waiting for it.

use std::time::Duration;

use deploy_core::{
    backend::{Acquired, Holder, Lock, LockGuard},
    record::RunId,
    run::Stop,
};
use jiff::Timestamp;

use super::Wish;
use crate::{
    context::{Context, Project},
    echo::Unechoed,
    error::CommandError,
    signals::Signals,
    state::describe_holder,
    who, wire,
};

/// The lock that is held, and what belongs to it as long as it is.
pub(in crate::commands) struct Hold {
    pub(super) run: RunId,
    pub(super) stop: Stop,
    pub(super) lock: Box<dyn LockGuard>,
    pub(super) signals: Signals,
    pub(super) unechoed: Option<Unechoed>,
}

impl Hold {
    /// Takes the lock for a new run; waits for it where that is wished for. From then on signals
    /// reach the run.
    pub(in crate::commands) async fn take(
        context: &Context,
        project: &Project,
        wish: &Wish,
    ) -> Result<Self, CommandError> {
        project.state.make()?;
        let (run, stop) = (context.run_id(), Stop::new());
        let signals = Signals::listen(stop.clone())
            .map_err(|error| CommandError::because("listen for signals", error))?;
        let unechoed = context.ui.is_terminal().then(Unechoed::start);
        let lock = take_lock(context, project, &run, wish, &stop).await?;
        Ok(Self { run, stop, lock, signals, unechoed })
    }

    /// Gives the lock up, where nothing is run under it.
    pub(in crate::commands) async fn release(self) -> Result<(), CommandError> {
        Ok(self.lock.release().await?)
    }
}

async fn take_lock(
    context: &Context,
    project: &Project,
    run: &RunId,
    wish: &Wish,
    stop: &Stop,
) -> Result<Box<dyn LockGuard>, CommandError> {
    let holder = Holder {
        who: project.who.clone(),
        host: who::host(),
        pid: std::process::id(),
        why: wish.message.clone(),
        since: Timestamp::now(),
        run: Some(run.clone()),
        until: None,
    };
    let lock = wire::lock(project, run.clone())?;
    let mut told = None;
    loop {
        let other = match lock.acquire(&holder).await {
            Ok(Acquired::Yes(guard)) => return Ok(guard),
            Ok(Acquired::HeldBy(other)) => other,
            // Who waits for hours waits for a cluster that is away for a moment, too.
            Err(error) if told.is_some() && error.kind().is_transient() => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !wish.wait {
            let options = &project.options;
            return Err(CommandError::locked(&other).hint(if other.run.is_some() {
                format!("--wait waits for it; `deploy-cli show{options} --follow` watches it")
            } else {
                format!("--wait waits for it; `deploy-cli unlock{options}` removes it")
            }));
        }
        if told.as_ref() != Some(&other) {
            context.ui.error_prose(&format!("waiting: locked by {}", describe_holder(&other)));
            told = Some(other);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = crate::signals::ended() => return Err(CommandError::interrupted()),
        }
        // A signal that came between two waits is seen here.
        if stop.cause().is_some() {
            return Err(CommandError::interrupted());
        }
    }
}
