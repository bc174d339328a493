//! From the configuration to what the engine is asked for.

use deploy_core::{
    model::Group,
    plan::{BatchSize, Goal, PlanRequest},
};

use super::groups::strategy;
use crate::config::Loaded;

/// Wants `goal` for `groups`, as configured; `batch` stands above that of each group.
pub fn request(
    loaded: &Loaded,
    goal: Goal,
    mut groups: Vec<Group>,
    batch: Option<BatchSize>,
) -> PlanRequest {
    if let Some(batch) = batch {
        groups.iter_mut().for_each(|group| group.batch = batch);
    }
    PlanRequest {
        environment: loaded.environment.clone(),
        strategy: strategy(&loaded.config.run),
        ..PlanRequest::new(loaded.config.app.clone(), goal, groups)
    }
}
