//! Keeps every started stage paired with its end (rule 23).

use super::Conductor;
use crate::{
    backend::ErrorKind,
    record::{EventKind, Failure, StageOutcome},
    run::worker::Part,
};

impl Conductor<'_> {
    pub(super) fn begin_stage(&mut self, at: usize, part: Part) {
        self.close_stage(at, "another stage began");
        self.ledger.emit(EventKind::StageStarted {
            target: self.crew.target(at).clone(),
            stage: part.stage,
            detail: part.detail.clone(),
            rolling_back: part.rolling_back,
        });
        self.open[at] = Some(part);
    }

    pub(super) fn finish_stage(&mut self, at: usize, part: Part, outcome: StageOutcome) {
        self.open[at] = None;
        let target = self.crew.target(at).clone();
        let Part { stage, detail, rolling_back } = part;
        self.ledger.emit(EventKind::StageFinished { target, stage, detail, rolling_back, outcome });
    }

    /// Ends a stage whose worker will not report its end.
    pub(super) fn close_stage(&mut self, at: usize, why: &str) {
        let Some(part) = self.open[at].take() else { return };
        let failure = Failure {
            stage: part.stage,
            kind: ErrorKind::Broken,
            attempted: part.stage.to_string(),
            cause: why.to_owned(),
            hint: None,
            evidence: None,
        };
        self.finish_stage(at, part, StageOutcome::Failed { failure });
    }
}
