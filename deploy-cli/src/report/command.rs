//! What hosts said to a command: equal answers together, or a line of JSON for each host.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use deploy_core::{
    model::{Group, GroupName, Target},
    record::{End, Event, EventKind, Failure, ObserveError, Observer, RunId, Summary},
};
use deploy_ssh::{RemoteCommand, Said, session::Captured};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    failure,
    json::escape_json,
    summary_view::Finish,
    teller::{names, stop_told},
    verdict::{counts, verdict},
};
use crate::{context::Context, display, ui::Ui};

/// What became of the command on one host.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its place in the plan.
    position: usize,
    target: Target,
    end: End,
    /// What it said; `None` where it did not come to its end.
    said: Option<Said>,
}

/// Gathers what hosts said while they say it; on a terminal it shows how far it is.
#[derive(Debug)]
pub struct CommandReporter {
    ui: Ui,
    json: bool,
    command: Arc<RemoteCommand>,
    groups: BTreeMap<Target, GroupName>,
    heard: Arc<Mutex<Vec<Heard>>>,
    positions: BTreeMap<Target, usize>,
    run: Option<RunId>,
    bar: Option<ProgressBar>,
}

impl CommandReporter {
    /// Gathers into `heard` what the hosts of `groups` say to `command`.
    pub fn new(
        context: &Context,
        command: Arc<RemoteCommand>,
        groups: &[Group],
        heard: &Arc<Mutex<Vec<Heard>>>,
    ) -> Self {
        let mut of = BTreeMap::new();
        for group in groups {
            for target in &group.targets {
                of.entry(target.clone()).or_insert_with(|| group.name.clone());
            }
        }
        let (ui, json) = (context.ui.clone(), context.global.json);
        let bar = (ui.is_terminal() && !json).then(|| ProgressBar::new(0).with_style(style()));
        let (heard, positions) = (Arc::clone(heard), BTreeMap::new());
        Self { ui, json, command, groups: of, heard, positions, run: None, bar }
    }

    fn ended(&self, target: &Target, end: &End) {
        let said = self.command.take(target);
        let position = self.positions.get(target).copied().unwrap_or(usize::MAX);
        let heard = Heard { position, target: target.clone(), end: end.clone(), said };
        if self.json {
            self.ui.line(&escape_json(&self.line(&heard).to_string()));
        }
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
    }

    /// One host as a line of JSON.
    fn line(&self, heard: &Heard) -> serde_json::Value {
        let mut line = serde_json::json!({
            "target": heard.target, "group": self.groups.get(&heard.target), "run": self.run,
            "end": failure::end_word(&heard.end),
        });
        if let Some(said) = &heard.said {
            line["status"] = said.output.status.into();
            line["stdout"] = said.output.stdout.text().into();
            line["stderr"] = said.output.stderr.text().into();
            line["truncated"] =
                (said.output.stdout.is_truncated() || said.output.stderr.is_truncated()).into();
        } else if let Some(failure) = heard.end.failure() {
            line["failure"] = serde_json::json!(failure);
        }
        line
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.ui.error_line(line)),
            None => self.ui.error_line(line),
        }
    }
}

impl Observer for CommandReporter {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        match &event.kind {
            EventKind::RunStarted { info } => self.run = Some(info.run.clone()),
            EventKind::Planned { plan } => {
                self.positions = plan.targets().cloned().zip(0..).collect();
                if let Some(bar) = &self.bar {
                    bar.set_length(u64::try_from(plan.targets().count()).unwrap_or(u64::MAX));
                }
            }
            EventKind::TargetFinished { target, end } => self.ended(target, end),
            EventKind::StopRequested { cause } => {
                self.say(&self.ui.paint(self.ui.note(), stop_told(*cause)));
            }
            EventKind::Breached { reason, .. } => {
                let told = format!("stopped: {}", display::line(reason));
                self.say(&self.ui.paint(self.ui.bad(), &told));
            }
            EventKind::RunFinished { .. } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A template that indicatif refuses falls back to its own.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} hosts")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What the hosts said, those that said the same together: the most first.
pub fn heard_lines(heard: &[Heard], ui: &Ui) -> Vec<String> {
    let mut in_order: Vec<&Heard> = heard.iter().collect();
    in_order.sort_by_key(|heard| heard.position);
    let mut alike: Vec<Vec<&Heard>> = Vec::new();
    for one in in_order {
        match alike.iter_mut().find(|of| of.first().is_some_and(|first| is_same(first, one))) {
            Some(of) => of.push(one),
            None => alike.push(vec![one]),
        }
    }
    alike.sort_by_key(|of| std::cmp::Reverse(of.len()));
    alike.iter().flat_map(|of| group_lines(of, ui)).collect()
}

fn is_same(one: &Heard, other: &Heard) -> bool {
    match (&one.said, &other.said) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => words(one) == words(other),
        _ => false,
    }
}

/// How it ended on a host, without the host's name.
fn words(heard: &Heard) -> String {
    let end = failure::end_word(&heard.end);
    match (&heard.said, heard.end.failure()) {
        (Some(said), _) => format!("exit {}", said.output.status),
        // An end that is named like its cause is told once.
        (None, Some(failure)) if end == failure.kind.to_string() => told(failure),
        (None, Some(failure)) => format!("{end}: {}", told(failure)),
        (None, None) => end.to_owned(),
    }
}

fn told(failure: &Failure) -> String {
    format!("{}: {}", failure.kind, failure.cause)
}

fn group_lines(of: &[&Heard], ui: &Ui) -> Vec<String> {
    let Some(first) = of.first() else { return Vec::new() };
    let targets: Vec<Target> = of.iter().map(|heard| heard.target.clone()).collect();
    let paint = if first.end.is_success() { ui.good() } else { ui.bad() };
    let title = format!(
        "{}: {}",
        deploy_core::plan::Noun::Host.count(of.len()),
        display::line(&words(first))
    );
    let on = if ui.verbose {
        targets.iter().map(Target::as_str).collect::<Vec<_>>().join(", ")
    } else {
        names(&targets)
    };
    let mut lines = vec![ui.paint(paint, &title), format!("    on {on}")];
    match (&first.said, first.end.failure()) {
        (Some(said), _) => {
            lines.extend(output_lines(&said.output.stdout, '|'));
            lines.extend(output_lines(&said.output.stderr, '!'));
        }
        (None, Some(failure)) => {
            lines.extend(
                failure.hint.iter().map(|hint| format!("    hint: {}", display::line(hint))),
            );
            lines.extend(failure::evidence(failure, usize::MAX));
        }
        (None, None) => {}
    }
    lines
}

/// An output, each line after a mark that tells the two outputs apart.
fn output_lines(output: &Captured, mark: char) -> Vec<String> {
    let text = output.text();
    let lines = text.trim_end_matches('\n').split('\n').filter(|_| !text.is_empty());
    lines.map(|line| format!("    {mark} {}", display::line(line))).collect()
}

/// What a run of a command came to, after what the hosts said.
pub fn command_lines(summary: &Summary, finish: &Finish, ui: &Ui) -> Vec<String> {
    let mut lines = vec![verdict(summary, finish, ui)];
    if let Some(reason) = &summary.reason {
        lines.push(format!("  {}", display::block(reason)));
    }
    lines.push(format!("  {}", counts(summary)));
    if let Some(info) = &summary.info {
        lines.push(format!("all that they said: deploy-cli show{} {}", finish.options, info.run));
    }
    ui.wrap(lines)
}
