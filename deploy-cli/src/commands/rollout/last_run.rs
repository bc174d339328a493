//! The last run that touched a host.

use deploy_core::record::{RunId, Summary};

use crate::{
    commands::history::{fold, what},
    state::{Past, StateDir},
};

/// The newest run of `state` that touched a host, and what it was: `deploy v2 by ann`.
pub(in crate::commands) fn last_run(state: &StateDir) -> Option<(RunId, String)> {
    let mut runs = Past::all(state).into_iter().map(|past| (fold(&past), past.run));
    let (summary, run) = runs.find(|(summary, _)| summary.touched)?;
    Some((run, told(&summary)))
}

fn told(summary: &Summary) -> String {
    match &summary.info {
        Some(info) => format!("{} by {}", what(summary), info.who),
        None => what(summary),
    }
}
