//! What is remembered of targets between calls.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use deploy_core::{model::Target, plan::Change, record::RunId};

/// What one process knows of the targets whose values it changes: what each serves, and what git had.
#[derive(Debug, Default)]
pub struct ValuesMemory(Mutex<BTreeMap<Target, Known>>);

/// What is known of one target.
#[derive(Debug, Default)]
struct Known {
    /// The value that belongs to what it serves, or may serve.
    serves: Option<String>,
    /// What git had for it before a run changed it, and which.
    before: Option<(RunId, String)>,
    /// The way back that git has still to name, and the run of it.
    owed: Option<(RunId, Change)>,
    /// The run that has written for it.
    wrote: Option<RunId>,
}

impl ValuesMemory {
    fn known(&self) -> MutexGuard<'_, BTreeMap<Target, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `target` serves what `value` names.
    pub(super) fn saw(&self, target: &Target, value: Option<String>) {
        self.known().entry(target.clone()).or_default().serves = value;
    }

    /// Git has `value` for `target` while `run` prepares to change it.
    pub(super) fn found(&self, target: &Target, run: &RunId, value: &str) {
        let before = Some((run.clone(), value.to_owned()));
        self.known().entry(target.clone()).or_default().before = before;
    }

    /// What git had for `target` before `run` changed it.
    pub(super) fn before(&self, target: &Target, run: &RunId) -> Option<String> {
        let known = self.known();
        let (of, value) = known.get(target)?.before.as_ref()?;
        (of == run).then(|| value.clone())
    }

    /// `run` has brought `target` back, and git is still to name what `change` led to; `None` when it does.
    pub(super) fn owes(&self, target: &Target, run: &RunId, change: Option<Change>) {
        let owed = change.map(|change| (run.clone(), change));
        self.known().entry(target.clone()).or_default().owed = owed;
    }

    /// The change by which `run` has brought `target` back, where git is still to name what it led to.
    pub(super) fn owed(&self, target: &Target, run: &RunId) -> Option<Change> {
        let known = self.known();
        let (of, value) = known.get(target)?.owed.as_ref()?;
        (of == run).then(|| value.clone())
    }

    /// `run` has written for `target`.
    pub(super) fn wrote(&self, target: &Target, run: &RunId) {
        self.known().entry(target.clone()).or_default().wrote = Some(run.clone());
    }

    /// Whether `run` has written for one of `targets`.
    pub(super) fn has_written(&self, targets: &[&Target], run: &RunId) -> bool {
        let known = self.known();
        let of = |target: &&Target| known.get(*target).and_then(|known| known.wrote.as_ref());
        targets.iter().any(|target| of(target) == Some(run))
    }

    /// Whether one of `targets` is known to serve what `value` names, or may.
    pub(super) fn is_served(&self, targets: &[&Target], value: &str) -> bool {
        let known = self.known();
        let of = |target: &&Target| known.get(*target).and_then(|known| known.serves.as_deref());
        targets.iter().any(|target| of(target) == Some(value))
    }
}
