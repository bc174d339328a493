//! What one process knows of the targets whose values it changes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use deploy_core::{model::Target, plan::Change, record::RunId};

/// What is known of each target.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<BTreeMap<Target, Known>>);

/// What is known of one target.
#[derive(Debug, Default)]
struct Known {
    /// The value that belongs to what it serves, or may serve.
    serves: Option<String>,
    /// What git had for it before a run changed it, and which.
    before: Option<(RunId, String)>,
    /// What a run has begun to do with it.
    begun: Option<(RunId, Change)>,
    /// The run that has written for it.
    wrote: Option<RunId>,
}

impl Memory {
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

    /// From now on the target of `change` may serve what `value` names.
    pub(super) fn begin(&self, change: &Change, run: &RunId, value: &str) {
        let mut known = self.known();
        let known = known.entry(change.target.clone()).or_default();
        known.serves = Some(value.to_owned());
        known.begun = Some((run.clone(), change.clone()));
    }

    /// Whether `change` undoes what `run` has begun.
    pub(super) fn is_back(&self, change: &Change, run: &RunId) -> bool {
        let known = self.known();
        let begun = known.get(&change.target).and_then(|known| known.begun.as_ref());
        begun.is_some_and(|(of, begun)| {
            of == run
                && change.from != change.to
                && change.from == begun.to
                && (change.to == begun.back || change.to == begun.from)
        })
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
