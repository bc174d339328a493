//! A fleet in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{sleep, sleep_until};

use super::{
    fault::{Deed, Fault, Turn},
    host::Host,
};
use crate::{
    backend::{BackendError, ErrorKind, Good, Scope, Serving},
    model::{Release, ReleaseId, Target, Version},
    plan::CheckPolicy,
    record::RunId,
    run::{Backend, OwnedCheck},
};

/// A fleet in memory: transport, restarter, operator and checker of its
/// targets. Cheap to clone; all clones
/// are the same fleet. A target exists from its first mention on, fresh and in good order.
#[derive(Debug, Clone, Default)]
pub struct Fleet(Arc<Mutex<State>>);

/// A call that reached a target's backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The target.
    pub target: Target,
    /// What was to be done.
    pub deed: Deed,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// The run.
    pub run: RunId,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) hosts: BTreeMap<Target, Host>,
    pub(super) calls: Vec<Call>,
    latency: Duration,
    /// Versions whose service is never healthy.
    pub(super) ill: BTreeSet<String>,
    pub(super) dead_runs: BTreeSet<RunId>,
    pub(super) keep: Option<usize>,
    no_record: bool,
}

impl Fleet {
    /// A fleet without targets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The fleet as a backend: its transport, one service, and one check named `healthy`.
    pub fn backend(&self) -> Backend {
        let policy =
            CheckPolicy { timeout: Duration::from_secs(30), ..CheckPolicy::new("healthy") };
        Backend {
            transport: Arc::new(self.clone()),
            restarters: vec![Arc::new(self.clone())],
            checks: vec![OwnedCheck { policy, checker: Arc::new(self.clone()) }],
            steps: Vec::new(),
            operators: vec![Arc::new(self.clone())],
            preview: None,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a target as no deployment would.
    pub fn set(&self, target: &Target, change: impl FnOnce(&mut Host)) {
        change(self.state().host(target));
    }

    /// Lets `target` serve and run `version`, which is good there.
    pub fn install(&self, target: &Target, version: &Version) {
        let release = Self::release_of(version);
        self.set(target, |host| {
            host.good.insert(0, Self::good(&release));
            host.put(&release);
        });
    }

    /// Lets `target` serve and run `version`, which never became good there: what a crash leaves.
    pub fn leave_half_done(&self, target: &Target, version: &Version) {
        let release = Self::release_of(version);
        self.set(target, |host| host.put(&release));
    }

    /// The target as it is now.
    pub fn host(&self, target: &Target) -> Host {
        self.state().host(target).clone()
    }

    /// What was called so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How often `deed` was called on `target`.
    pub fn count(&self, target: &Target, deed: Deed) -> usize {
        self.state().host(target).counts.get(&deed).copied().unwrap_or_default()
    }

    /// Lets `deed` go wrong on `target`.
    pub fn fault(&self, target: &Target, deed: Deed, turn: Turn, fault: Fault) {
        self.set(target, |host| host.faults.push((deed, turn, fault)));
    }

    /// Lets no call reach `target` any more.
    pub fn cut(&self, target: &Target) {
        self.set(target, |host| host.cut = true);
    }

    /// Mends `target`: it can be reached, and nothing goes wrong on it any more.
    pub fn mend(&self, target: &Target) {
        self.set(target, |host| {
            host.cut = false;
            host.faults.clear();
            host.lacks.clear();
        });
    }

    /// Lets the service of `version` never be healthy, on any target.
    pub fn break_version(&self, version: &Version) {
        self.state().ill.insert(version.id.to_string());
    }

    /// How long each call takes.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// How many good releases a finalize keeps; all by default.
    pub fn set_keep(&self, keep: usize) {
        self.state().keep = Some(keep);
    }

    /// Keeps no record of calls: for very large fleets.
    pub fn without_record(&self) {
        self.state().no_record = true;
    }

    /// Proves `run` dead: its claims may be taken over.
    pub fn bury(&self, run: &RunId) {
        self.state().dead_runs.insert(run.clone());
    }

    /// The release that `version` is on every target of a fleet.
    ///
    /// # Panics
    /// When the version's id is too long to be part of a release's.
    pub fn release_of(version: &Version) -> Release {
        #[expect(clippy::expect_used, reason = "a test that names such a version is wrong")]
        let id = ReleaseId::new(format!("{}-0", version.id)).expect("a short version id");
        Release { id, version: version.clone() }
    }

    fn good(release: &Release) -> Good {
        #[expect(clippy::expect_used, reason = "a constant that obeys the rule for names")]
        let run = RunId::new("before").expect("a run id");
        let (by, at) = ("somebody".to_owned(), Timestamp::UNIX_EPOCH);
        Good { release: release.clone(), run, by, at, present: true }
    }

    /// Does `deed` on `target` as the script says: `act` is the deed itself.
    pub(super) async fn perform<T>(
        &self,
        target: &Target,
        deed: Deed,
        scope: &Scope,
        act: impl FnOnce(&mut State) -> Result<T, BackendError>,
    ) -> Result<T, Struck> {
        let (fault, latency, cut) = self.begin(target, deed, scope);
        if !latency.is_zero() {
            tokio::select! {
                () = sleep(latency) => {}
                () = sleep_until(scope.deadline) => return Err(error(ErrorKind::TimedOut, deed)),
                () = scope.cancel.cancelled() => return Err(error(ErrorKind::Cancelled, deed)),
            }
        }
        if cut {
            return Err(error(ErrorKind::Unreachable, deed));
        }
        match fault {
            None => act(&mut self.state()).map_err(Struck::Error),
            Some(Fault::Fail(kind)) => Err(error(kind, deed)),
            Some(Fault::LoseBefore) => Err(error(ErrorKind::Lost, deed)),
            Some(Fault::LoseAfter) => {
                act(&mut self.state()).map_err(Struck::Error)?;
                Err(error(ErrorKind::Lost, deed))
            }
            Some(Fault::DieBefore) => {
                self.cut(target);
                Err(error(ErrorKind::Lost, deed))
            }
            Some(Fault::DieAfter) => {
                act(&mut self.state()).map_err(Struck::Error)?;
                self.cut(target);
                Err(error(ErrorKind::Lost, deed))
            }
            Some(Fault::Hang) => {
                tokio::select! {
                    () = sleep_until(scope.deadline) => Err(error(ErrorKind::TimedOut, deed)),
                    () = scope.cancel.cancelled() => Err(error(ErrorKind::Cancelled, deed)),
                }
            }
            Some(Fault::Deaf) => std::future::pending().await,
            #[expect(clippy::panic, reason = "the script asks for a backend that panics")]
            Some(Fault::Panic) => panic!("scripted panic in {deed:?} on {target}"),
            Some(fault @ (Fault::Lie | Fault::NotYet(_) | Fault::Unhealthy(_))) => {
                Err(Struck::Answer(fault))
            }
        }
    }

    fn begin(&self, target: &Target, deed: Deed, scope: &Scope) -> (Option<Fault>, Duration, bool) {
        let mut state = self.state();
        if !state.no_record {
            let (target, run) = (target.clone(), scope.run.clone());
            state.calls.push(Call { target, deed, attempt: scope.attempt, run });
        }
        let latency = state.latency;
        let host = state.host(target);
        let fault = host.next_fault(deed);
        (fault, latency, host.cut)
    }
}

impl State {
    pub(super) fn host(&mut self, target: &Target) -> &mut Host {
        self.hosts.entry(target.clone()).or_default()
    }
}

impl Host {
    /// Lets it serve and run `release`.
    fn put(&mut self, release: &Release) {
        self.present.insert(release.id.clone());
        self.running = Some(release.clone());
        self.starts += 1;
        let release = release.clone();
        self.serving = Some(Serving { release, since: None, by: None, run: None });
    }
}

/// Why a deed was not simply done.
pub(super) enum Struck {
    Error(BackendError),
    /// The fault is in the answer.
    Answer(Fault),
}

impl Struck {
    /// As a result, where a lie is the only false answer there can be.
    pub(super) fn or_lie<T>(self, lie: T) -> Result<T, BackendError> {
        match self {
            Self::Error(error) => Err(error),
            Self::Answer(_) => Ok(lie),
        }
    }
}

fn error(kind: ErrorKind, deed: Deed) -> Struck {
    let what = format!("{deed:?}").to_lowercase();
    Struck::Error(BackendError::new(kind, what).with_source("as scripted"))
}
