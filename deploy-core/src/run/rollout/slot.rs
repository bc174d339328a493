//! What a rollout knows of each target and each group.

use crate::{
    model::{Gate, GroupName, Release},
    plan::{Allowance, PlannedGroup, Work},
    record::{End, Failure},
};

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) group: usize,
    pub(super) work: Work,
    pub(super) to: Option<Release>,
    /// Whether it would have to be brought back.
    pub(super) touched: bool,
    /// Whether it was touched at all.
    pub(super) ever_touched: bool,
    /// Whether the run may hold a claim on it.
    pub(super) claimed: bool,
    /// Why it failed on the way forward.
    pub(super) failure: Option<Failure>,
    pub(super) back_failed: bool,
    pub(super) end: Option<End>,
    /// Whether its end was told.
    pub(super) told: bool,
}

impl Slot {
    fn new(group: usize, work: Work, to: Option<Release>, end: Option<End>) -> Self {
        Self {
            group,
            work,
            to,
            touched: false,
            ever_touched: false,
            claimed: false,
            failure: None,
            back_failed: false,
            end,
            told: false,
        }
    }
}

#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) name: GroupName,
    pub(super) canary: bool,
    pub(super) allowance: Allowance,
    pub(super) gate: Gate,
    pub(super) batches: Vec<Vec<usize>>,
    pub(super) lost: Vec<usize>,
    pub(super) failures: usize,
    /// How many are deployed, or unchanged and healthy.
    pub(super) well: usize,
}

impl GroupState {
    pub(super) fn new(at: usize, group: &PlannedGroup, slots: &mut Vec<Slot>) -> Self {
        let mut batches = Vec::new();
        for batch in &group.batches {
            let first = slots.len();
            slots.extend(
                batch.iter().map(|change| Slot::new(at, change.work, change.to.clone(), None)),
            );
            batches.push((first..slots.len()).collect());
        }
        let first = slots.len();
        slots.extend(
            group.lost.iter().map(|lost| Slot::new(at, Work::Nothing, None, Some(lost.end()))),
        );
        Self {
            name: group.name.clone(),
            canary: group.canary,
            allowance: group.allowance,
            gate: group.gate.clone(),
            batches,
            lost: (first..slots.len()).collect(),
            failures: 0,
            well: 0,
        }
    }
}
