//! The live view on a terminal: a bar for each group, a line for each host at work, failures above.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deploy_core::{
    model::{GroupName, Target},
    plan::{Direction, Plan, Stage},
    record::{Event, EventKind, ObserveError, Observer, StageOutcome},
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{plain, plan_view::count};
use crate::ui::Ui;

/// The most hosts that have a line at once; the bars count all.
const LINES: usize = 12;

/// Draws on standard error, and takes it all away at the end.
#[derive(Debug)]
pub struct LiveReporter {
    ui: Ui,
    screen: Screen,
    bars: BTreeMap<GroupName, ProgressBar>,
    groups: HashMap<Target, GroupName>,
    probing: Option<ProgressBar>,
    lines: HashMap<Target, ProgressBar>,
    back: bool,
}

/// What is drawn on; shared with whoever asks questions, so that a bar never overwrites one.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: MultiProgress,
    asking: Arc<AtomicBool>,
}

/// Nothing is drawn while it lives.
#[derive(Debug)]
#[must_use = "drawing goes on when it is dropped"]
pub struct Quiet(Screen);

impl Screen {
    /// Standard error.
    pub fn new() -> Self {
        Self { bars: MultiProgress::with_draw_target(target()), asking: Arc::default() }
    }

    /// Takes the bars away until the answer is there. Lines are still told meanwhile: whoever
    /// tells must not wait for a person.
    pub fn quiet(&self) -> Quiet {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        self.asking.store(true, Ordering::SeqCst);
        Quiet(self.clone())
    }

    /// Takes the bars away while `print` writes.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    fn say(&self, ui: &Ui, line: &str) {
        if self.asking.load(Ordering::SeqCst) {
            ui.error_line(&format!("\n{line}"));
        } else {
            // A terminal that is gone is no failure of the run.
            let _ = self.bars.println(line);
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.0.asking.store(false, Ordering::SeqCst);
        self.0.bars.set_draw_target(target());
    }
}

fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::stderr_with_hz(10)
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl LiveReporter {
    /// Draws on `screen`.
    pub fn new(ui: Ui, screen: Screen) -> Self {
        Self {
            ui,
            screen,
            bars: BTreeMap::new(),
            groups: HashMap::new(),
            probing: None,
            lines: HashMap::new(),
            back: false,
        }
    }

    fn say(&self, lines: Vec<String>) {
        for line in lines {
            self.screen.say(&self.ui, &line);
        }
    }

    fn planned(&mut self, plan: &Plan) {
        if let Some(bar) = self.probing.take() {
            bar.finish_and_clear();
        }
        self.back = plan.direction == Direction::Back;
        let width = plan.groups.iter().map(|g| g.name.as_str().len()).max().unwrap_or(0);
        for group in &plan.groups {
            let targets: Vec<&Target> = group
                .batches
                .iter()
                .flatten()
                .map(|change| &change.target)
                .chain(group.lost.iter().map(|lost| &lost.target))
                .collect();
            let bar = self.screen.bars.add(ProgressBar::new(targets.len() as u64));
            bar.set_style(style(&format!("{{prefix:{width}}} {{bar:30}} {{pos}}/{{len}} {{msg}}")));
            bar.set_prefix(group.name.to_string());
            bar.tick();
            self.groups.extend(targets.into_iter().map(|t| (t.clone(), group.name.clone())));
            self.bars.insert(group.name.clone(), bar);
        }
    }

    fn stage_started(&mut self, target: &Target, stage: Stage, name: String) {
        if self.bars.is_empty() {
            if stage != Stage::Connect {
                return;
            }
            let probing = self.probing.get_or_insert_with(|| {
                let bar = self.screen.bars.add(ProgressBar::new_spinner());
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
            probing.inc(1);
            let hosts = count(usize::try_from(probing.position()).unwrap_or_default(), "host");
            probing.set_message(format!("asking {hosts} what is live"));
            return;
        }
        if !self.lines.contains_key(target) {
            if self.lines.len() >= LINES {
                return;
            }
            let bar = self.screen.bars.add(ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {prefix}: {msg} ({elapsed})"));
            bar.set_prefix(target.to_string());
            bar.enable_steady_tick(Duration::from_millis(250));
            self.lines.insert(target.clone(), bar);
        }
        if let Some(bar) = self.lines.get(target) {
            bar.set_message(name);
            bar.reset_elapsed();
        }
    }

    fn stage_finished(&mut self, target: &Target, outcome: &StageOutcome) {
        if matches!(outcome, StageOutcome::Failed { .. })
            && let Some(bar) = self.groups.get(target).and_then(|group| self.bars.get(group))
        {
            bar.set_message("with failures");
        }
        if let Some(bar) = self.lines.remove(target) {
            bar.finish_and_clear();
        }
    }

    fn clear(&mut self) {
        for bar in self.lines.values().chain(self.bars.values()).chain(&self.probing) {
            bar.finish_and_clear();
        }
    }
}

impl Observer for LiveReporter {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        match &event.kind {
            EventKind::Planned { plan } => self.planned(plan),
            EventKind::StageStarted { target, stage, detail, rolling_back } => {
                let name = plain::stage_name(*stage, detail.as_deref(), *rolling_back);
                self.stage_started(target, *stage, name);
            }
            EventKind::StageFinished { target, outcome, .. } => {
                self.stage_finished(target, outcome);
                self.say(plain::lines(&event.kind, &self.ui, self.back));
            }
            EventKind::TargetFinished { target, end } => {
                if let Some(bar) = self.groups.get(target).and_then(|group| self.bars.get(group)) {
                    bar.inc(1);
                }
                if !end.is_success() {
                    self.say(plain::lines(&event.kind, &self.ui, self.back));
                }
            }
            EventKind::GroupStarted { .. } | EventKind::BatchStarted { .. } => {}
            EventKind::RunFinished { .. } => self.clear(),
            other => self.say(plain::lines(other, &self.ui, self.back)),
        }
        Ok(())
    }
}

/// Bars and lines are drawn by fixed templates; one that indicatif refuses falls back to its own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
