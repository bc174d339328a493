//! What is told of a run while it runs, in lines: the same at a terminal and in a log.

use std::collections::BTreeSet;

use deploy_core::{
    backend::{Answer, Question},
    model::{GroupName, Target},
    plan::{Noun, Purpose, Stage, Work},
    record::{End, EventKind, Failure, StageOutcome, StopCause},
};

use super::{failure, progress::Progress};
use crate::{config::short, display, ui::Ui};

/// The most lines of evidence under a failure.
const EVIDENCE: usize = 12;

/// The most targets that are named in a line.
const NAMED: usize = 10;

/// Turns events into lines. It remembers what was told, so that nothing is told twice.
#[derive(Debug)]
pub(super) struct Teller {
    ui: Ui,
    progress: Progress,
    /// The failures whose evidence was shown: forty hosts that fail alike show it once.
    shown: BTreeSet<(Stage, String)>,
    fetched: bool,
}

impl Teller {
    /// Paints as `ui` does; tells each stage of each target where that is verbose.
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, progress: Progress::default(), shown: BTreeSet::new(), fetched: false }
    }

    /// How far the run is, after the events told so far.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What is told of an event, fit for a terminal; empty where it says nothing new.
    pub(super) fn tell(&mut self, kind: &EventKind) -> Vec<String> {
        self.progress.apply(kind);
        match kind {
            EventKind::GroupStarted { .. } if !self.fetched => {
                self.fetched = true;
                self.fetches()
            }
            EventKind::BatchStarted { group, batch } => vec![self.batch_started(group, *batch)],
            EventKind::BatchFinished { group, batch } => vec![self.batch_finished(group, *batch)],
            EventKind::StageStarted { target, stage, detail, rolling_back } if self.ui.verbose => {
                let name = stage_name(*stage, detail.as_deref(), *rolling_back);
                vec![format!("{target}: {name} …")]
            }
            EventKind::StageFinished { target, stage, detail, rolling_back, outcome } => {
                self.stage(target, (*stage, detail.as_deref(), *rolling_back), outcome)
            }
            EventKind::Retried { target, attempt, failure, .. } => {
                let told = failure::told(failure, target);
                let line = format!("{target}: attempt {attempt} failed, again: {told}");
                vec![self.ui.paint(self.ui.note(), &line)]
            }
            EventKind::TargetFinished { target, end } => self.target(target, end),
            other => run_lines(other, self.progress.noun(), &self.ui),
        }
    }

    fn fetches(&self) -> Vec<String> {
        match self.progress.fetched() {
            (_, 0) => Vec::new(),
            (done, of) if done == of => {
                vec![format!("fetched on {}", self.progress.noun().count(of))]
            }
            (done, of) => vec![format!("fetched on {done} of {}", self.progress.noun().count(of))],
        }
    }

    /// `group default, batch 2 of 3`.
    fn batch_name(&self, group: &GroupName, batch: usize) -> String {
        match self.progress.batches(group) {
            0 | 1 => format!("group {group}"),
            many => format!("group {group}, batch {} of {many}", batch + 1),
        }
    }

    fn batch_started(&self, group: &GroupName, batch: usize) -> String {
        let targets = self.progress.batch(group, batch);
        format!("{}: {}", self.batch_name(group, batch), names(targets))
    }

    fn batch_finished(&self, group: &GroupName, batch: usize) -> String {
        let tally = self.progress.tally(self.progress.batch(group, batch));
        let well = self.progress.well();
        let name = self.batch_name(group, batch);
        let mut told = format!("{name}: {} of {} {well}", tally.healthy, tally.of);
        if tally.failed > 0 {
            told.push_str(&format!(", {} failed", tally.failed));
        }
        let open = tally.of - tally.healthy - tally.failed;
        if open > 0 {
            told.push_str(&format!(", {open} not finished"));
        }
        let paint = if tally.healthy == tally.of { self.ui.good() } else { self.ui.note() };
        self.ui.paint(paint, &told)
    }

    fn stage(
        &mut self,
        target: &Target,
        (stage, detail, rolling_back): (Stage, Option<&str>, bool),
        outcome: &StageOutcome,
    ) -> Vec<String> {
        let StageOutcome::Failed { failure } = outcome else {
            let name = stage_name(stage, detail, rolling_back);
            return if self.ui.verbose {
                vec![format!("{target}: {name} done")]
            } else {
                Vec::new()
            };
        };
        if stage == Stage::Finalize && !self.ui.verbose {
            return Vec::new(); // the warning that follows says what it means
        }
        let back = if rolling_back { "going back, " } else { "" };
        let told = failure::in_stage(failure, target);
        let line = format!("{target}: FAILED: {back}{told}");
        let mut lines = vec![self.ui.paint(self.ui.bad(), &line)];
        lines.extend(self.evidence(failure));
        lines
    }

    fn evidence(&mut self, failure: &Failure) -> Vec<String> {
        if failure.evidence.is_none() {
            return Vec::new();
        }
        if self.shown.insert((failure.stage, failure.cause.clone())) {
            failure::evidence(failure, EVIDENCE)
        } else {
            vec!["    | … much as above".to_owned()]
        }
    }

    /// Those that end well are counted by batch; the summary names those that do not.
    fn target(&self, target: &Target, end: &End) -> Vec<String> {
        match end {
            End::Reverted { .. } => {
                vec![self.ui.paint(self.ui.note(), &format!("{target}: went back"))]
            }
            End::Deployed | End::Unchanged | End::Done if self.ui.verbose => {
                let told = if self.progress.is_back() { "back" } else { failure::end_word(end) };
                vec![self.ui.paint(self.ui.good(), &format!("{target}: {told}"))]
            }
            End::Deployed | End::Unchanged | End::Done => Vec::new(),
            End::NotAttempted | End::Failed { .. } => Vec::new(),
            End::Unreachable { .. } | End::Unknown { .. } => {
                let line = format!("{target}: {}", failure::end(end));
                vec![self.ui.paint(self.ui.bad(), &line)]
            }
        }
    }
}

/// What is told of an event that is about the run as a whole.
fn run_lines(kind: &EventKind, noun: Noun, ui: &Ui) -> Vec<String> {
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
            let hosts = plan.noun.count(plan.targets().count());
            vec![match plan.purpose {
                Purpose::Version => format!("planned: {moving} of {hosts} to change{lost}"),
                Purpose::Operate(action) => {
                    format!("planned: {action} on {moving} of {hosts}{lost}")
                }
                Purpose::Run => format!("planned: run on {hosts}"),
                Purpose::Adopt => format!("planned: adoption of {hosts}"),
            }]
        }
        EventKind::SoakStarted { group, duration } => {
            vec![format!("group {group}: watching for {}", short(*duration))]
        }
        EventKind::SoakFinished { group, unhealthy } if unhealthy.is_empty() => {
            vec![format!("group {group}: still healthy")]
        }
        EventKind::SoakFinished { group, unhealthy } => {
            let told = format!("group {group}: {} became unhealthy", unhealthy.len());
            vec![ui.paint(ui.bad(), &told)]
        }
        EventKind::QuestionFinished { question, answer: Some(answer) } => {
            let asked = match question {
                Question::Continue { next, .. } => format!("go on with group {next}"),
                Question::RollBackAfterBreach { .. } | Question::RollBackAfterStop { .. } => {
                    "bring back what was touched".to_owned()
                }
            };
            vec![format!("{asked}: {}", if *answer == Answer::Yes { "yes" } else { "no" })]
        }
        EventKind::StopRequested { cause } => vec![ui.paint(ui.note(), stop_told(*cause))],
        EventKind::Breached { reason, .. } => {
            vec![ui.paint(ui.bad(), &format!("stopped: {}", display::line(reason)))]
        }
        EventKind::RollbackStarted { targets } => {
            vec![ui.paint(ui.note(), &format!("going back on {}", names(targets)))]
        }
        EventKind::RollbackFinished { reverted, failed } if failed.is_empty() => {
            vec![format!("back and healthy: {}", noun.count(reverted.len()))]
        }
        EventKind::RollbackFinished { reverted, failed } => {
            let back = noun.count(reverted.len());
            let told = format!("back: {back}; NOT back: {}", names(failed));
            vec![ui.paint(ui.bad(), &told)]
        }
        EventKind::Warning { target, message } => {
            let target = target.as_ref().map_or(String::new(), |target| format!("{target}: "));
            vec![ui.paint(ui.note(), &format!("warning: {target}{}", display::line(message)))]
        }
        _ => Vec::new(),
    }
}

/// The stage as a person reads it: `check answers`, `restart (going back)`.
pub(super) fn stage_name(stage: Stage, detail: Option<&str>, rolling_back: bool) -> String {
    let mut name = stage.to_string();
    if let (Stage::Restart, Some(detail)) = (stage, detail) {
        // It says what is done, and to which service.
        name = display::line(detail).into_owned();
    } else if let Some(detail) = detail {
        name.push_str(&format!(" {}", display::line(detail)));
    }
    if rolling_back && stage != Stage::Rollback {
        name.push_str(" (going back)");
    }
    name
}

/// The first ten of the targets, and how many more there are.
pub fn names(targets: &[Target]) -> String {
    let shown: Vec<&str> = targets.iter().take(NAMED).map(Target::as_str).collect();
    let more = targets.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

pub(super) fn stop_told(cause: StopCause) -> &'static str {
    match cause {
        StopCause::GateRefused => "stopping: the answer was no",
        StopCause::Breach => "stopping: too many failures",
        StopCause::Interrupt => "stopping after the stages in flight; Ctrl-C again kills them",
        StopCause::Terminate => "terminated: stopping after the stages in flight",
        StopCause::Kill => "killing what is in flight",
        StopCause::JournalLost => "stopping: the journal cannot be written any more",
    }
}
