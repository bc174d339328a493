//! What a fleet answers as a backend.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    fault::{Deed, Fault},
    fleet::{Fleet, State, Struck},
};
use crate::{
    backend::{
        BackendError, Checker, Claim, Closing, ErrorKind, Good, Instance, Live, Restarter, Scope,
        Serving, Situation, Standing, Step, Transport, Verdict,
    },
    model::{Release, Target, Version},
    plan::Change,
};

#[async_trait]
impl Transport for Fleet {
    fn release(&self, _: &Target, version: &Version) -> Result<Release, BackendError> {
        Ok(Self::release_of(version))
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let asked = self.perform(target, Deed::Live, scope, |state| {
            let mut live = state.host(target).live();
            let claim = state.host(target).claim.clone();
            live.claim = claim.map(|(run, who)| Claim {
                standing: match () {
                    () if run == scope.run => Standing::Ours,
                    () if state.dead_runs.contains(&run) => Standing::Dead,
                    () => Standing::Foreign,
                },
                run,
                who,
                since: Timestamp::UNIX_EPOCH,
            });
            Ok(live)
        });
        asked.await.or_else(|struck| struck.or_lie(Live::default()))
    }

    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let fetched = self.perform(target, Deed::Fetch, scope, |state| {
            let Some(release) = &change.to else { return Ok(()) };
            state.claim(target, scope)?;
            state.host(target).present.insert(release.id.clone());
            Ok(())
        });
        fetched.await.or_else(|struck| struck.or_lie(()))
    }

    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let promoted = self.perform(target, Deed::Promote, scope, |state| {
            state.claim(target, scope)?;
            let host = state.host(target);
            if host.release() == change.to.as_ref() {
                return Ok(());
            }
            if host.release() != change.from.as_ref() {
                let now = host.serving.as_ref();
                let what = now.map_or("nothing".to_owned(), |now| now.release.to_string());
                let by = now.and_then(|now| now.by.clone()).unwrap_or("somebody".to_owned());
                return Err(BackendError::new(ErrorKind::Conflict, "promote")
                    .with_source(format!("changed meanwhile to {what} by {by}")));
            }
            if let Some(release) = &change.to
                && !host.present.contains(&release.id)
            {
                return Err(BackendError::new(ErrorKind::NotFound, "promote")
                    .with_source("the release is not there"));
            }
            let (by, run) = (Some(scope.who.clone()), Some(scope.run.clone()));
            let serving = |release| Serving { release, since: None, by, run };
            host.serving = change.to.clone().map(serving);
            Ok(())
        });
        promoted.await.or_else(|struck| struck.or_lie(()))
    }

    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let closed = self.perform(target, Deed::Finalize, scope, |state| {
            let keep = state.keep;
            let host = state.host(target);
            if host.claim.as_ref().is_some_and(|(run, _)| *run == scope.run) {
                host.claim = None;
            }
            let Some(good) = &closing.good else { return Ok(()) };
            host.good.retain(|known| known.release != *good);
            host.good.insert(
                0,
                Good {
                    release: good.clone(),
                    run: scope.run.clone(),
                    by: scope.who.clone(),
                    at: Timestamp::UNIX_EPOCH,
                    present: true,
                },
            );
            if let Some(keep) = keep {
                host.prune(keep, closing);
            }
            Ok(())
        });
        closed.await.or_else(|struck| struck.or_lie(()))
    }
}

impl State {
    fn claim(&mut self, target: &Target, scope: &Scope) -> Result<(), BackendError> {
        let dead = self.dead_runs.clone();
        let host = self.host(target);
        if let Some((run, who)) = &host.claim
            && *run != scope.run
            && !dead.contains(run)
        {
            return Err(BackendError::new(ErrorKind::Claimed, "take the target")
                .with_source(format!("claimed by run {run} of {who}")));
        }
        host.claim = Some((scope.run.clone(), scope.who.clone()));
        Ok(())
    }
}

impl super::Host {
    /// Keeps the `keep` newest good releases, what is live, and the way back.
    fn prune(&mut self, keep: usize, closing: &Closing) {
        let spared: Vec<_> = self.release().into_iter().chain(&closing.back).cloned().collect();
        let mut kept = 0;
        let present = &mut self.present;
        self.good.retain(|good| {
            kept += 1;
            let keep = kept <= keep || spared.contains(&good.release);
            if !keep {
                present.remove(&good.release.id);
            }
            keep
        });
    }
}

#[async_trait]
impl Restarter for Fleet {
    fn describe(&self) -> String {
        "restart the service".to_owned()
    }

    async fn running(&self, target: &Target, scope: &Scope) -> Result<Instance, BackendError> {
        let asked = self.perform(target, Deed::Running, scope, |state| {
            let host = state.host(target);
            Ok(Instance { active: host.running.is_some(), mark: host.starts.to_string() })
        });
        asked.await.or_else(|struck| struck.or_lie(Instance::default()))
    }

    async fn restart(
        &self,
        target: &Target,
        before: &Instance,
        _: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let restarted = self.perform(target, Deed::Restart, scope, |state| {
            let host = state.host(target);
            if before.mark == host.starts.to_string() {
                host.starts += 1;
                host.running = host.release().cloned();
            }
            Ok(())
        });
        restarted.await.or_else(|struck| struck.or_lie(()))
    }

    async fn stop(&self, target: &Target, _: &Instance, scope: &Scope) -> Result<(), BackendError> {
        let stopped = self.perform(target, Deed::Stop, scope, |state| {
            state.host(target).running = None;
            Ok(())
        });
        stopped.await.or_else(|struck| struck.or_lie(()))
    }

    async fn evidence(
        &self,
        target: &Target,
        _: &Instance,
        scope: &Scope,
    ) -> Result<String, BackendError> {
        let asked = self.perform(target, Deed::Evidence, scope, |state| {
            let running = state.host(target).running.clone();
            Ok(running.map_or_else(
                || "the service is stopped".to_owned(),
                |release| format!("the service runs {}", release.version.id),
            ))
        });
        asked.await.or_else(|struck| struck.or_lie(String::new()))
    }
}

#[async_trait]
impl Checker for Fleet {
    fn describe(&self) -> String {
        "the service runs what is served, and is healthy".to_owned()
    }

    async fn check(
        &self,
        target: &Target,
        _: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let asked = self.perform(target, Deed::Check, scope, |state| {
            let ill = state.ill.clone();
            let host = state.host(target);
            let unhealthy = |reason: String| Verdict::Unhealthy { reason, evidence: None };
            Ok(match (&host.running, host.release()) {
                (None, _) => unhealthy("the service is stopped".to_owned()),
                (running, served) if running.as_ref() != served => {
                    unhealthy("the service runs something else than is served".to_owned())
                }
                (Some(running), _) if ill.contains(running.version.id.as_str()) => {
                    unhealthy("it answers 500".to_owned())
                }
                _ => Verdict::Healthy,
            })
        });
        asked.await.or_else(|struck| match struck {
            Struck::Answer(Fault::NotYet(seen)) => Ok(Verdict::NotYet { seen }),
            Struck::Answer(Fault::Unhealthy(reason)) => {
                Ok(Verdict::Unhealthy { reason, evidence: None })
            }
            struck => struck.or_lie(Verdict::Healthy),
        })
    }
}

#[async_trait]
impl Step for Fleet {
    fn describe(&self) -> String {
        "run a step".to_owned()
    }

    async fn run(&self, target: &Target, _: &Situation, scope: &Scope) -> Result<(), BackendError> {
        let ran = self.perform(target, Deed::Step, scope, |_| Ok(()));
        ran.await.or_else(|struck| struck.or_lie(()))
    }
}
