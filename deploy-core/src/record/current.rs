//! The app's current good version, as past runs tell it.

use super::{Exit, RunId, Summary};
use crate::{
    model::Version,
    plan::{Direction, Plan},
};

/// The version that past runs left as the current good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The version.
    pub version: Version,
    /// The run that says so.
    pub run: RunId,
    /// Whether that run went back to it.
    pub went_back: bool,
}

/// Why past runs do not say which version is current.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCurrentError {
    /// No run brought a version to its end.
    #[error("no run here brought a version to its end")]
    None,
    /// A rollback took targets to several versions.
    #[error("run {0} went back to several versions")]
    Several(RunId),
}

impl Current {
    /// The current good version by the record: that of the newest run that deployed it and ended
    /// complete or within its budget, unless a later run went back; then the one that this run went
    /// to. Runs that were refused, went back by themselves, or did not come to their end say
    /// nothing. A record may be of some targets only, or of another time: compare it with what the
    /// targets serve.
    ///
    /// # Errors
    /// [`NoCurrentError`] when no run says so, or one went back to several versions.
    pub fn of(newest_first: impl IntoIterator<Item = Summary>) -> Result<Self, NoCurrentError> {
        for summary in newest_first {
            let (Some(info), Some(plan)) = (&summary.info, &summary.plan) else { continue };
            let run = info.run.clone();
            let ended_well = matches!(summary.exit, Some(Exit::Complete | Exit::Incomplete));
            match plan.direction {
                Direction::Forward if ended_well => {
                    if let Some(version) = plan.version.clone() {
                        return Ok(Self { version, run, went_back: false });
                    }
                }
                // Also one that did not come to its end: what it left is no longer what was.
                Direction::Back if ended_well || summary.touched => {
                    let to = went_to(plan).ok_or_else(|| NoCurrentError::Several(run.clone()))?;
                    return Ok(Self { version: to, run, went_back: true });
                }
                Direction::Forward | Direction::Back => {}
            }
        }
        Err(NoCurrentError::None)
    }
}

/// The one version that a rollback goes to, where it is one.
fn went_to(plan: &Plan) -> Option<Version> {
    if plan.version.is_some() {
        return plan.version.clone();
    }
    let mut to = plan.changes().map(|(_, change)| change.to.as_ref().map(|to| &to.version));
    let first = to.next()??;
    to.all(|other| other.is_some_and(|other| other.id == first.id)).then(|| first.clone())
}
