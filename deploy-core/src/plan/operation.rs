//! What is done on a target that keeps its version.

use super::{Action, Change, Work};
use crate::{backend::Live, model::Target};

/// What is done on a target whose services are operated. What a deploy would lack there is no
/// matter, and a target that serves nothing is left alone.
pub(super) fn operation(action: Action, target: &Target, live: &Live) -> Change {
    let release = live.release().cloned();
    let work = if release.is_some() { Work::Operate(action) } else { Work::Nothing };
    let (target, from, back) = (target.clone(), release.clone(), release.clone());
    Change { target, from, to: release, back, work }
}

/// What is done on a target where a command is run: it is not even asked what it serves.
pub(super) fn command(target: &Target) -> Change {
    Change { target: target.clone(), from: None, to: None, back: None, work: Work::Run }
}
