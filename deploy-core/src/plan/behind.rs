//! Which targets are behind a version that others serve.

use std::collections::BTreeMap;

use super::Survey;
use crate::{
    backend::{Live, Standing},
    model::{Target, Version, VersionId},
};

/// A version, and the targets that serve it well: it is good there, and became so after it was
/// last promoted.
#[derive(Debug, Clone, PartialEq)]
pub struct ServedWell {
    /// The version.
    pub version: Version,
    /// The targets.
    pub targets: Vec<Target>,
}

impl Survey {
    /// What is served well, most targets first.
    pub fn served_well(&self) -> Vec<ServedWell> {
        let mut found: BTreeMap<VersionId, ServedWell> = BTreeMap::new();
        for (target, answer) in &self.answers {
            let Ok(live) = answer else { continue };
            let Some(release) = live.release().filter(|_| is_in_order(live)) else { continue };
            let version = release.version.clone();
            let of = found.entry(version.id.clone());
            let of = of.or_insert_with(|| ServedWell { version, targets: Vec::new() });
            of.targets.push(target.clone());
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by_key(|of| std::cmp::Reverse(of.targets.len()));
        found
    }

    /// The targets that answered and are behind `version`: they serve another or nothing, or it
    /// never became good there.
    pub fn behind(&self, version: &Version) -> Vec<&Target> {
        let answers = self.answers.iter();
        let behind = answers
            .filter(|(_, answer)| answer.as_ref().is_ok_and(|live| is_behind(live, version)));
        behind.map(|(target, _)| target).collect()
    }
}

/// Whether a target is behind `version`. How that is laid out there does not matter.
pub(super) fn is_behind(live: &Live, version: &Version) -> bool {
    live.release().is_none_or(|release| release.version.id != version.id) || !is_in_order(live)
}

/// Whether what it serves is used by its services: no run died here, and none failed on its way
/// back.
pub(super) fn is_in_order(live: &Live) -> bool {
    live.is_settled() && !has_died(live)
}

/// Whether a run died on the target.
pub(super) fn has_died(live: &Live) -> bool {
    live.claim.as_ref().is_some_and(|claim| claim.standing == Standing::Dead)
}
