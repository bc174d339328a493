//! The live view on a terminal: a bar for each group, a line for each host at work, failures above.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use deploy_core::{
    model::{GroupName, Target},
    plan::{Plan, Stage},
    record::{Event, EventKind, ObserveError, Observer},
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    progress::Tally,
    teller::{Teller, stage_name},
    ticker::Ticker,
};
use crate::ui::Ui;

/// The most hosts that have a line at once; the bars count all.
const LINES: usize = 12;

/// Draws on standard error, and takes it all away at the end.
#[derive(Debug)]
pub struct LiveReporter {
    ui: Ui,
    screen: Screen,
    ticker: Ticker,
    teller: Teller,
    groups: BTreeMap<GroupName, ProgressBar>,
    /// What all hosts are at together: being asked, or fetching.
    together: Option<ProgressBar>,
    asked: usize,
    going_back: Option<(ProgressBar, HashSet<Target>)>,
    lines: HashMap<Target, ProgressBar>,
}

/// What is drawn on; shared with whoever asks questions, so that a bar never overwrites one.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: MultiProgress,
    asking: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

/// Nothing is drawn while it lives.
#[derive(Debug)]
#[must_use = "drawing goes on when it is dropped"]
pub struct Quiet(Screen);

impl Screen {
    /// Standard error.
    pub fn new() -> Self {
        Self {
            bars: MultiProgress::with_draw_target(target()),
            asking: Arc::default(),
            closed: Arc::default(),
        }
    }

    /// Takes the bars away until the answer is there. Lines are still told meanwhile: whoever
    /// tells must not wait for a person.
    pub fn quiet(&self) -> Quiet {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        self.asking.store(true, Ordering::SeqCst);
        Quiet(self.clone())
    }

    /// Takes the bars away for good: the run ends without doing anything. Lines are still told.
    pub fn close(&self) {
        let _ = self.bars.clear();
        self.bars.set_draw_target(ProgressDrawTarget::hidden());
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Takes the bars away while `print` writes.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    fn say(&self, ui: &Ui, line: &str) {
        if self.asking.load(Ordering::SeqCst) {
            ui.error_line(&format!("\n{line}"));
        } else if self.closed.load(Ordering::SeqCst) {
            ui.error_line(line);
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
            teller: Teller::new(ui.clone()),
            ui,
            screen,
            ticker: Ticker::new(),
            groups: BTreeMap::new(),
            together: None,
            asked: 0,
            going_back: None,
            lines: HashMap::new(),
        }
    }

    fn add(&self, bar: ProgressBar) -> ProgressBar {
        let bar = self.screen.bars.add(bar);
        bar.tick();
        bar
    }

    fn remove(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.screen.bars.remove(bar);
    }

    fn planned(&mut self, plan: &Plan) {
        self.end_together();
        let width = plan.groups.iter().map(|g| g.name.as_str().len()).max().unwrap_or(0);
        for group in &plan.groups {
            let tally = self.teller.progress().group(&group.name);
            let bar = ProgressBar::new(u64::try_from(tally.of).unwrap_or(u64::MAX))
                .with_style(style(&format!("{{prefix:{width}}} {{bar:30}} {{pos}}/{{len}}{{msg}}")))
                .with_prefix(group.name.to_string());
            let bar = self.add(bar);
            self.groups.insert(group.name.clone(), bar);
        }
    }

    fn together(&mut self, message: String) {
        if let Some(bar) = &self.together {
            bar.set_message(message);
            return;
        }
        let bar = self.add(ProgressBar::new_spinner().with_message(message));
        self.ticker.add(&bar);
        self.together = Some(bar);
    }

    fn end_together(&mut self) {
        if let Some(bar) = self.together.take() {
            self.remove(&bar);
        }
    }

    fn stage_started(&mut self, target: &Target, stage: Stage, name: String) {
        if !self.teller.progress().is_planned() {
            if stage == Stage::Connect {
                self.asked += 1;
                self.together(format!("asking what is live on {}", self.asked));
            }
            return;
        }
        if let Some(bar) = self.lines.get(target) {
            bar.set_message(name);
            bar.reset_elapsed();
        } else if self.lines.len() < LINES {
            let bar = ProgressBar::new_spinner()
                .with_style(style("  {spinner} {prefix}: {msg} ({elapsed})"))
                .with_prefix(target.to_string())
                .with_message(name);
            let bar = self.add(bar);
            self.ticker.add(&bar);
            self.lines.insert(target.clone(), bar);
        }
    }

    fn advanced(&mut self, target: &Target, stage: Stage) {
        if let Some(bar) = self.lines.remove(target) {
            self.remove(&bar);
        }
        let progress = self.teller.progress();
        if let Some(group) = progress.group_of(target)
            && let Some(bar) = self.groups.get(group)
        {
            show_tally(bar, progress.group(group));
        }
        if stage == Stage::Fetch && progress.is_planned() {
            let (done, of) = progress.fetched();
            self.together(format!("fetched on {done} of {}", progress.noun().count(of)));
        }
    }

    fn rollback(&mut self, targets: &[Target]) {
        let groups = std::mem::take(&mut self.groups);
        groups.values().for_each(|bar| self.remove(bar));
        let bar = ProgressBar::new(u64::try_from(targets.len()).unwrap_or(u64::MAX))
            .with_style(style("{prefix} {bar:30} {pos}/{len}"))
            .with_prefix("going back");
        self.going_back = Some((self.add(bar), targets.iter().cloned().collect()));
    }

    fn target_finished(&mut self, target: &Target) {
        if let Some((bar, targets)) = &mut self.going_back
            && targets.remove(target)
        {
            bar.inc(1);
        }
    }

    fn clear(&mut self) {
        self.end_together();
        let lines = std::mem::take(&mut self.lines);
        let groups = std::mem::take(&mut self.groups);
        let back = self.going_back.take().map(|(bar, _)| bar);
        lines.values().chain(groups.values()).chain(&back).for_each(|bar| self.remove(bar));
    }
}

impl Observer for LiveReporter {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        let told = self.teller.tell(&event.kind);
        match &event.kind {
            EventKind::Planned { plan } => self.planned(plan),
            EventKind::StageStarted { target, stage, detail, rolling_back } => {
                let name = stage_name(*stage, detail.as_deref(), *rolling_back);
                self.stage_started(target, *stage, name);
            }
            EventKind::StageFinished { target, stage, .. } => self.advanced(target, *stage),
            EventKind::TargetFinished { target, .. } => self.target_finished(target),
            EventKind::RollbackStarted { targets } => self.rollback(targets),
            EventKind::GroupStarted { .. } | EventKind::Breached { .. } => self.end_together(),
            EventKind::RunFinished { .. } => self.clear(),
            _ => {}
        }
        // The plan itself was shown, or will be; a started batch is on the bars.
        let seen = matches!(event.kind, EventKind::Planned { .. } | EventKind::BatchStarted { .. });
        if !seen || self.ui.verbose {
            told.iter().for_each(|line| self.screen.say(&self.ui, line));
        }
        Ok(())
    }
}

fn show_tally(bar: &ProgressBar, tally: Tally) {
    bar.set_position(u64::try_from(tally.healthy).unwrap_or(u64::MAX));
    let failed =
        if tally.failed > 0 { format!(", {} failed", tally.failed) } else { String::new() };
    bar.set_message(failed);
}

/// Bars and lines are drawn by fixed templates; one that indicatif refuses falls back to its own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
