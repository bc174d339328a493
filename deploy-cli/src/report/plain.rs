//! Timestamped lines, for logs and for whoever is not at a terminal.

use deploy_core::{
    plan::{Direction, Work},
    record::{End, Event, EventKind, ObserveError, Observer, StageOutcome, StopCause},
};

use super::{failure, plan_view::count};
use crate::{config::short, display, time, ui::Ui};

/// The most lines of evidence under a failure.
pub(super) const EVIDENCE: usize = 12;

/// Writes what happens to standard output, a line each.
#[derive(Debug)]
pub struct PlainReporter {
    ui: Ui,
    back: bool,
}

impl PlainReporter {
    /// Writes to `ui`; each stage of each target where that is verbose.
    pub fn new(ui: Ui) -> Self {
        Self { ui, back: false }
    }
}

impl Observer for PlainReporter {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        if let EventKind::Planned { plan } = &event.kind {
            self.back = plan.direction == Direction::Back;
        }
        let stamp = time::clock(event.at);
        for line in lines(&event.kind, &self.ui, self.back) {
            self.ui.line(&format!("{} {line}", self.ui.paint(self.ui.dim(), &stamp)));
        }
        Ok(())
    }
}

/// What is told of an event, fit for a terminal; empty where it says nothing new.
pub(super) fn lines(kind: &EventKind, ui: &Ui, back: bool) -> Vec<String> {
    match kind {
        EventKind::RunStarted { info } => {
            let why =
                info.why.as_ref().map_or(String::new(), |w| format!(": {}", display::line(w)));
            vec![format!("run {} by {}{why}", info.run, display::line(&info.who))]
        }
        EventKind::Planned { plan } => {
            let moving = plan.changes().filter(|(_, change)| change.work != Work::Nothing).count();
            let lost: usize = plan.groups.iter().map(|group| group.lost.len()).sum();
            let lost = if lost > 0 { format!(", {lost} cannot") } else { String::new() };
            let hosts = count(plan.targets().count(), "host");
            vec![format!("planned: {moving} of {hosts} to change{lost}")]
        }
        EventKind::GroupStarted { group } => vec![format!("group {group}")],
        EventKind::BatchStarted { group, batch } => {
            vec![format!("group {group}: batch {}", batch + 1)]
        }
        EventKind::StageStarted { target, stage, detail, rolling_back } if ui.verbose => {
            vec![format!("{target}: {} …", stage_name(*stage, detail.as_deref(), *rolling_back))]
        }
        EventKind::StageFinished { target, stage, detail, rolling_back, outcome } => {
            stage_lines(ui, target, &stage_name(*stage, detail.as_deref(), *rolling_back), outcome)
        }
        EventKind::Retried { target, attempt, failure, .. } => {
            vec![ui.paint(
                ui.note(),
                &format!("{target}: attempt {attempt} failed, again: {}", failure::told(failure)),
            )]
        }
        EventKind::TargetFinished { target, end } => target_lines(ui, target.as_str(), end, back),
        other => run_lines(other, ui),
    }
}

/// What is told of an event that is about the run as a whole.
fn run_lines(kind: &EventKind, ui: &Ui) -> Vec<String> {
    match kind {
        EventKind::SoakStarted { group, duration } => {
            vec![format!("group {group}: watching for {}", short(*duration))]
        }
        EventKind::SoakFinished { group, unhealthy } if unhealthy.is_empty() => {
            vec![format!("group {group}: still healthy")]
        }
        EventKind::SoakFinished { group, unhealthy } => {
            vec![
                ui.paint(ui.bad(), &format!("group {group}: {} became unhealthy", unhealthy.len())),
            ]
        }
        EventKind::QuestionFinished { answer: Some(answer), .. } => {
            let answer = if *answer == deploy_core::backend::Answer::Yes { "yes" } else { "no" };
            vec![format!("answered: {answer}")]
        }
        EventKind::StopRequested { cause } => vec![ui.paint(ui.note(), stop_told(*cause))],
        EventKind::Breached { reason, .. } => {
            vec![ui.paint(ui.bad(), &format!("stopped: {}", display::line(reason)))]
        }
        EventKind::RollbackStarted { targets } => {
            vec![ui.paint(ui.note(), &format!("going back on {}", count(targets.len(), "host")))]
        }
        EventKind::RollbackFinished { reverted, failed } if failed.is_empty() => {
            vec![format!("back: {}", count(reverted.len(), "host"))]
        }
        EventKind::RollbackFinished { reverted, failed } => {
            let told =
                format!("back: {}; NOT back: {}", count(reverted.len(), "host"), failed.len());
            vec![ui.paint(ui.bad(), &told)]
        }
        EventKind::Warning { target, message } => {
            let target = target.as_ref().map_or(String::new(), |target| format!("{target}: "));
            vec![ui.paint(ui.note(), &format!("warning: {target}{}", display::line(message)))]
        }
        _ => Vec::new(),
    }
}

/// The stage as a person reads it: `check answers`, `restart (back)`.
pub(super) fn stage_name(
    stage: deploy_core::plan::Stage,
    detail: Option<&str>,
    rolling_back: bool,
) -> String {
    let mut name = stage.to_string();
    if let Some(detail) = detail {
        name.push_str(&format!(" {}", display::line(detail)));
    }
    if rolling_back && stage != deploy_core::plan::Stage::Rollback {
        name.push_str(" (going back)");
    }
    name
}

fn stage_lines(
    ui: &Ui,
    target: &deploy_core::model::Target,
    stage: &str,
    outcome: &StageOutcome,
) -> Vec<String> {
    match outcome {
        StageOutcome::Done if ui.verbose => vec![format!("{target}: {stage} done")],
        StageOutcome::Done => Vec::new(),
        StageOutcome::Failed { failure } => {
            let told = format!("{target}: {stage} failed: {}", failure::told(failure));
            let mut lines = vec![ui.paint(ui.bad(), &told)];
            lines.extend(failure::evidence(failure, EVIDENCE));
            lines
        }
    }
}

fn target_lines(ui: &Ui, target: &str, end: &End, back: bool) -> Vec<String> {
    match end {
        End::Deployed if back => vec![ui.paint(ui.good(), &format!("{target}: back"))],
        End::Deployed | End::Unchanged => {
            vec![ui.paint(ui.good(), &format!("{target}: {}", failure::end(end)))]
        }
        End::NotAttempted => Vec::new(),
        _ => vec![ui.paint(ui.bad(), &format!("{target}: {}", failure::end(end)))],
    }
}

fn stop_told(cause: StopCause) -> &'static str {
    match cause {
        StopCause::GateRefused => "stopping: the answer was no",
        StopCause::Breach => "stopping: too many failures",
        StopCause::Interrupt => "stopping after the stages in flight; Ctrl-C again kills them",
        StopCause::Terminate => "terminated: stopping after the stages in flight",
        StopCause::Kill => "killing what is in flight",
        StopCause::JournalLost => "stopping: the journal cannot be written any more",
    }
}
