//! One target in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Deed, Fault, Turn};
use crate::{
    backend::{Good, Live, Serving},
    model::{Release, ReleaseId},
    record::RunId,
};

/// One target in memory, as it is now.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// What it serves.
    pub serving: Option<Serving>,
    /// What its service runs; `None` when that is stopped.
    pub running: Option<Release>,
    /// How often its service was started.
    pub starts: u64,
    /// The releases that are there, whole.
    pub present: BTreeSet<ReleaseId>,
    /// What is good, newest first.
    pub good: Vec<Good>,
    /// The run that claims it, and who runs that.
    pub claim: Option<(RunId, String)>,
    /// What it lacks.
    pub lacks: Vec<String>,
    /// Whether it cannot be reached.
    pub cut: bool,
    pub(super) faults: Vec<(Deed, Turn, Fault)>,
    pub(super) counts: BTreeMap<Deed, usize>,
}

impl Host {
    /// The release it serves.
    pub fn release(&self) -> Option<&Release> {
        self.serving.as_ref().map(|serving| &serving.release)
    }

    /// The id of the version it serves, for a short assertion.
    pub fn serves(&self) -> Option<&str> {
        self.release().map(|release| release.version.id.as_str())
    }

    /// The id of the version its service runs.
    pub fn runs(&self) -> Option<&str> {
        self.running.as_ref().map(|release| release.version.id.as_str())
    }

    /// The ids of the versions that are good, newest first.
    pub fn good_versions(&self) -> Vec<&str> {
        self.good.iter().map(|good| good.release.version.id.as_str()).collect()
    }

    pub(super) fn live(&self) -> Live {
        let mut live = Live {
            serving: self.serving.clone(),
            good: self.good.clone(),
            lacks: self.lacks.clone(),
            ..Live::default()
        };
        for good in &mut live.good {
            good.present = self.present.contains(&good.release.id);
        }
        live
    }

    /// The fault that strikes this call of `deed`, if any.
    pub(super) fn next_fault(&mut self, deed: Deed) -> Option<Fault> {
        let count = self.counts.entry(deed).or_default();
        *count += 1;
        let number = *count;
        let struck = |(of, turn, _): &&(Deed, Turn, Fault)| *of == deed && turn.strikes(number);
        self.faults.iter().find(struck).map(|(_, _, fault)| fault.clone())
    }
}
