//! What can happen in a run.
//!
//! The live event is the journal line: owned, complete, without display settings or sentences.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{End, Exit, Failure, RunId, StageOutcome};
use crate::{
    backend::{Answer, Question},
    model::{App, Environment, GroupName, Target},
    plan::{Action, Plan, Stage},
};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the run, from 0, without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// How long after the run's start, by a clock that never jumps.
    pub elapsed: Duration,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. Every `…Started` has its `…Finished`, also when the run is interrupted (rule 23).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventKind {
    /// The lock is held, and the run begins. Always the first event.
    RunStarted {
        /// Who, what, where and why.
        info: RunInfo,
    },
    /// All targets were asked, and the plan is made. At most once; a run that is refused before
    /// has none.
    Planned {
        /// The plan.
        plan: Box<Plan>,
    },
    /// The first target of a group is about to be promoted.
    GroupStarted {
        /// The group.
        group: GroupName,
    },
    /// The group's gate is passed, or the group failed or was left.
    GroupFinished {
        /// The group.
        group: GroupName,
    },
    /// A batch is about to start.
    BatchStarted {
        /// The group.
        group: GroupName,
        /// Its number in the group, from 0.
        batch: usize,
    },
    /// Each target of the batch has ended.
    BatchFinished {
        /// The group.
        group: GroupName,
        /// Its number in the group, from 0.
        batch: usize,
    },
    /// A stage begins on a target. Written before anything is done there: it is the intent.
    StageStarted {
        /// The target.
        target: Target,
        /// The stage.
        stage: Stage,
        /// What exactly, where a stage has several parts: a check's or a step's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// Whether this is on the way back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rolling_back: bool,
    },
    /// A stage ended on a target.
    StageFinished {
        /// The target.
        target: Target,
        /// The stage.
        stage: Stage,
        /// What exactly, as in its start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// Whether this is on the way back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rolling_back: bool,
        /// How it ended.
        #[serde(flatten)]
        outcome: StageOutcome,
    },
    /// A call failed in a way that may pass, and is repeated.
    Retried {
        /// The target.
        target: Target,
        /// The stage.
        stage: Stage,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// The targets deployed so far are watched before the next group.
    SoakStarted {
        /// The group that is done.
        group: GroupName,
        /// For how long.
        duration: Duration,
    },
    /// The watch ended.
    SoakFinished {
        /// The group that is done.
        group: GroupName,
        /// The targets whose checks failed meanwhile.
        unhealthy: Vec<Target>,
    },
    /// The deployer is asked.
    QuestionStarted {
        /// What.
        #[serde(flatten)]
        question: Question,
    },
    /// The deployer, or policy in their place, answered; `None` when the question was withdrawn.
    QuestionFinished {
        /// What was asked.
        #[serde(flatten)]
        question: Question,
        /// The answer.
        answer: Option<Answer>,
    },
    /// Something asked the run to stop.
    StopRequested {
        /// What.
        cause: StopCause,
    },
    /// A budget is exceeded, or a canary group or a once-step failed: no target starts any more.
    Breached {
        /// The group whose budget it is; `None` for the run's own.
        group: Option<GroupName>,
        /// Why, in one line.
        reason: String,
    },
    /// Touched targets go back.
    RollbackStarted {
        /// Which, in the order in which they start.
        targets: Vec<Target>,
    },
    /// All of them ended.
    RollbackFinished {
        /// Those that are back and healthy.
        reverted: Vec<Target>,
        /// Those that are not.
        failed: Vec<Target>,
    },
    /// It is known how a target ended. Exactly once per planned target.
    TargetFinished {
        /// The target.
        target: Target,
        /// How.
        #[serde(flatten)]
        end: End,
    },
    /// Something worth telling that changes nothing: a notification that failed, a finalize that
    /// did.
    Warning {
        /// The target it is about, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<Target>,
        /// What, in one line.
        message: String,
    },
    /// The run is over. Always the last event.
    RunFinished {
        /// How it ended.
        exit: Exit,
        /// Why it was refused, where it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// Who, what, where and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The journal's format ([`Command::format`], at most [`FORMAT`](super::FORMAT)), so that old
    /// journals stay readable.
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// The app.
    pub app: App,
    /// The environment, where the configuration has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// What the run does.
    pub command: Command,
    /// Who runs it.
    pub who: String,
    /// On which machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Why: `-m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The version of the tool.
    pub tool: String,
    /// The digest of the saved plan that is applied, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_plan: Option<String>,
}

impl RunInfo {
    /// A run of this process, in no environment and for no reason given.
    pub fn new(run: RunId, app: App, command: Command, who: impl Into<String>) -> Self {
        Self {
            format: command.format(),
            run,
            app,
            environment: None,
            command,
            who: who.into(),
            host: String::new(),
            pid: std::process::id(),
            why: None,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            saved_plan: None,
        }
    }
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Command {
    /// Brings a version onto the targets.
    Deploy,
    /// Brings the targets back.
    Rollback,
    /// Runs a command on the targets.
    Run,
    /// Takes over what another tool deployed, or gives it back.
    Adopt,
    /// Operates the targets' services.
    #[serde(untagged)]
    Service(Action),
}

impl Command {
    /// The oldest format of the journal in which a run of this kind can be told.
    pub fn format(self) -> u32 {
        match self {
            Self::Deploy | Self::Rollback => 1,
            Self::Run | Self::Service(_) => 2,
            Self::Adopt => 3,
        }
    }
}

/// What can stop a run, weakest first: a weaker cause never overrides a stronger one (rule 20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// "No" at a gate.
    GateRefused,
    /// A budget is exceeded.
    Breach,
    /// Ctrl-C once. On a terminal the deployer is asked what to do with touched targets.
    Interrupt,
    /// SIGTERM: as Ctrl-C, without the question.
    Terminate,
    /// Ctrl-C twice: what is in flight is killed.
    Kill,
    /// The journal cannot be written any more.
    JournalLost,
}
