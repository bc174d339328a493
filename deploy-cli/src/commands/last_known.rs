//! What targets served when a run last knew, for those that cannot be reached now.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    model::{Group, Target},
    record::Served,
};

use super::history::fold;
use crate::state::{Past, StateDir};

/// How many runs are looked through; mostly the newest one knows of all targets.
const RUNS: usize = 8;

/// What the targets of `groups` served at the end of the newest run that says so. A target of
/// which the newest run that touched it is not sure is left out: older runs know less.
pub(super) fn last_known(state: &StateDir, groups: &[Group]) -> BTreeMap<Target, Served> {
    let mut wanted: BTreeSet<&Target> = groups.iter().flat_map(|group| &group.targets).collect();
    let mut known = BTreeMap::new();
    for past in Past::all(state).iter().take(RUNS) {
        if wanted.is_empty() {
            break;
        }
        for (target, served) in fold(past).served() {
            if wanted.remove(&target)
                && let Some(served) = served
            {
                known.insert(target, served);
            }
        }
    }
    known
}
