//! A plan that is kept, to be reviewed and run later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Difference, Plan, Stand, Survey,
    difference::{merged, of_changes, of_plans},
};
use crate::model::Target;

/// A plan with what it was made from, so that it can be told later whether it still holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// The plan.
    pub plan: Plan,
    /// How each of its targets stood when it was made.
    pub stands: BTreeMap<Target, Stand>,
}

impl SavedPlan {
    /// `plan`, which was made from `survey`.
    pub fn new(plan: Plan, survey: &Survey) -> Self {
        let planned = plan.targets().filter_map(|target| {
            let answer = survey.answers.get(target)?;
            Some((target.clone(), Stand::of(answer)))
        });
        Self { stands: planned.collect(), plan }
    }

    /// In what `now`, which was made for the same wish, differs: what each target serves and can
    /// go back to, who holds it, whether it answers; and what is done to which target, in which
    /// order, under which budgets. Empty where it would do exactly the same from exactly the same
    /// state. Equal differences of several targets are one.
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let mut found = of_plans(&self.plan, &now.plan);
        let both = self
            .stands
            .iter()
            .filter_map(|(target, stand)| Some(stand.differences(target, now.stands.get(target)?)));
        found.extend(both.flatten());
        found.extend(of_changes(&self.plan, &now.plan, |target| {
            let (was, is) = (self.stands.get(target), now.stands.get(target));
            was.zip(is).is_some_and(|(was, is)| was.differences(target, is).is_empty())
        }));
        merged(found)
    }
}
