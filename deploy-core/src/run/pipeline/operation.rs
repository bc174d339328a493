//! What refuses an operation of services before anything is touched.

use crate::{
    model::Group,
    plan::{Action, Plan},
    run::{Backend, Refusal},
};

/// Refuses an action that the services of a group do not have.
pub(super) fn refuse_impossible(
    action: Action,
    group: &Group,
    backend: &Backend,
) -> Result<(), Refusal> {
    if backend.operators.is_empty() {
        let reason = format!("group {} has no service to {action}", group.name);
        return Err(Refusal::new(reason).with_hint("name the service in [restart]"));
    }
    backend.operators.iter().try_for_each(|one| match one.describe_action(action) {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::from(&error)),
    })
}

/// Refuses a plan in which no service would be operated, since no target serves anything.
pub(super) fn refuse_idle(plan: &Plan) -> Result<(), Refusal> {
    if plan.is_idle() && plan.groups.iter().all(|group| group.lost.is_empty()) {
        let reason = "none of the targets serves anything";
        return Err(Refusal::new(reason).with_hint("deploy a version first"));
    }
    Ok(())
}
