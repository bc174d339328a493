//! Hosts that could not be asked, against the budgets, before the first host is touched (rule 10).

use std::collections::BTreeSet;

use deploy_core::{
    model::Target,
    plan::{Budget, PlanRequest},
};

/// Says which budget of `request` the hosts exceed that are `lost`; `None` where none is.
pub(super) fn exceeded(request: &PlanRequest, lost: impl Fn(&Target) -> bool) -> Option<String> {
    let several = request.groups.len() > 1 && !request.groups.iter().any(|group| group.canary);
    let (mut seen, mut all_lost) = (BTreeSet::new(), 0);
    for (index, group) in request.groups.iter().enumerate() {
        // A host in several groups belongs to the first (rule 4).
        let targets: Vec<&Target> =
            group.targets.iter().filter(|target| seen.insert(*target)).collect();
        let failed = targets.iter().filter(|target| lost(target)).count();
        all_lost += failed;
        let canary = group.canary || (several && index == 0);
        let budget = if canary { Budget::default() } else { group.max_failures };
        let allowed = budget.resolve(targets.len());
        let is_hopeless = failed > 0 && failed == targets.len();
        if allowed.exceeded_by(failed) || is_hopeless {
            let canary = if canary { "canary " } else { "" };
            return Some(format!(
                "{canary}group {}: {failed} of {} could not be asked, {} allowed",
                group.name, allowed.of, allowed.failures
            ));
        }
    }
    let allowed = request.strategy.max_failures?.resolve(seen.len());
    allowed.exceeded_by(all_lost).then(|| {
        format!("{all_lost} of all {} could not be asked, {} allowed", allowed.of, allowed.failures)
    })
}
