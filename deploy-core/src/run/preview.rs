//! Equal diffs told once, with all the targets that they are of.

use std::collections::BTreeMap;

use crate::{
    backend::{FileDiff, Preview},
    plan::{Plan, PlannedDiff, Work},
};

/// How many different diffs of one file a plan holds.
const DISTINCT: usize = 50;

/// Asks what each change of `plan` brings, and writes it down.
pub(super) fn fill_in(plan: &mut Plan, preview: &dyn Preview) {
    let mut found: Vec<PlannedDiff> = Vec::new();
    let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut distinct: BTreeMap<String, usize> = BTreeMap::new();
    let changes = plan.changes().filter(|(_, change)| change.work != Work::Nothing);
    for (_, change) in changes {
        for FileDiff { file, diff } in preview.diffs(change) {
            let mut key = (file, diff);
            if !known.contains_key(&key) {
                let count = distinct.entry(key.0.clone()).or_default();
                *count += 1;
                if *count > DISTINCT {
                    // A plan stays readable: of the rest only the targets are told.
                    key.1.clear();
                }
            }
            let at = *known.entry(key.clone()).or_insert_with(|| {
                let (file, diff) = key;
                found.push(PlannedDiff { file, diff, targets: Vec::new() });
                found.len() - 1
            });
            found[at].targets.push(change.target.clone());
        }
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    plan.diffs = found;
}
