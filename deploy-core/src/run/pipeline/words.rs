//! What a plan does to each target, in words for whoever reads it.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    model::GroupName,
    plan::{Apart, Direction, Noun, Plan, PlannedCheck, PlannedStep, Purpose, Stage},
    run::{Backend, OwnedCheck, OwnedStep},
};

/// Says in words what is restarted, checked and run, where the request did not.
pub(super) fn fill_in<'a>(plan: &mut Plan, backend: impl Fn(&GroupName) -> &'a Arc<Backend>) {
    plan.noun = Noun::of(plan.groups.iter().map(|group| backend(&group.name).transport.noun()));
    let mut backends: Vec<&Arc<Backend>> = Vec::new();
    for backend in plan.groups.iter().map(|group| backend(&group.name)) {
        if !backends.iter().any(|seen| Arc::ptr_eq(seen, backend)) {
            backends.push(backend);
        }
    }
    if backends.len() > 1 {
        let groups = plan.groups.iter().map(|group| &group.name);
        plan.apart = groups.map(|group| apart(plan.purpose, group, backend(group))).collect();
    }
    if plan.restarts.is_empty() {
        plan.restarts =
            backends.iter().flat_map(|backend| restarts(plan.purpose, backend)).collect();
    }
    if plan.checks.is_empty() {
        let checks = backends.iter().flat_map(|backend| &backend.checks);
        plan.checks = checks.filter(|check| is_asked(plan.purpose, check)).map(check).collect();
        // What hosts and clusters are both asked is told once.
        let mut told = BTreeSet::new();
        plan.checks.retain(|check| told.insert(check.policy.name.clone()));
    }
    let steps = match plan.purpose {
        Purpose::Version => plan.direction == Direction::Forward,
        Purpose::Operate(_) => false,
        Purpose::Run | Purpose::Adopt => true,
    };
    if plan.steps.is_empty() && steps {
        plan.steps = backends.iter().flat_map(|backend| &backend.steps).map(step).collect();
    }
}

fn apart(purpose: Purpose, group: &GroupName, backend: &Backend) -> Apart {
    let checks = backend.checks.iter().filter(|check| is_asked(purpose, check));
    Apart {
        group: group.clone(),
        restarts: restarts(purpose, backend),
        checks: checks.map(|check| check.policy.name.clone()).collect(),
        steps: backend.steps.iter().map(|step| step.policy.name.clone()).collect(),
    }
}

fn restarts(purpose: Purpose, backend: &Backend) -> Vec<String> {
    match purpose {
        Purpose::Version => backend.restarters.iter().map(|one| one.describe()).collect(),
        // What cannot be done was refused before.
        Purpose::Operate(action) => {
            backend.operators.iter().filter_map(|one| one.describe_action(action).ok()).collect()
        }
        Purpose::Run | Purpose::Adopt => Vec::new(),
    }
}

fn is_asked(purpose: Purpose, check: &OwnedCheck) -> bool {
    match purpose {
        Purpose::Version => true,
        Purpose::Operate(action) => action.is_checked() && check.policy.stage == Stage::Check,
        Purpose::Run | Purpose::Adopt => false,
    }
}

fn check(owned: &OwnedCheck) -> PlannedCheck {
    PlannedCheck { policy: owned.policy.clone(), asks: owned.checker.describe() }
}

fn step(owned: &OwnedStep) -> PlannedStep {
    PlannedStep { policy: owned.policy.clone(), does: owned.step.describe() }
}
