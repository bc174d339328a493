//! From `[restart]`, `[[check]]` and `[[step]]` to what asks hosts about their health.

use std::sync::Arc;

use deploy_core::{
    backend::Restarter,
    run::{OwnedCheck, OwnedStep},
};
use deploy_ssh::{Layout, session::Sessions};

use crate::{context::Project, error::CommandError};

pub(super) fn restarters(
    _project: &Project,
    _sessions: &Sessions,
) -> Result<Vec<Arc<dyn Restarter>>, CommandError> {
    Ok(Vec::new())
}

pub(super) fn checks(
    _project: &Project,
    _sessions: &Sessions,
    _layout: &Layout,
) -> Result<Vec<OwnedCheck>, CommandError> {
    Ok(Vec::new())
}

pub(super) fn steps(_project: &Project, _sessions: &Sessions, _layout: &Layout) -> Vec<OwnedStep> {
    Vec::new()
}
