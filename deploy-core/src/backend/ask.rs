//! The questions to the deployer.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::GroupName;

/// Asks the deployer, or answers in their place.
///
/// Without a terminal the answer comes from policy: `--yes`, or the configured default.
///
/// # How to implement it
/// Show the question, and wait: nothing is lost while it waits. The future is dropped when a stronger
/// cause has decided; take the question off the screen then. [`Unattended`] is for programs.
#[async_trait]
pub trait Ask: fmt::Debug + Send + Sync {
    /// Asks, and waits for the answer. Cancel-safe: a dropped question is withdrawn.
    async fn ask(&self, question: &Question) -> Answer;
}

/// What a deployer can be asked during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "kebab-case")]
pub enum Question {
    /// The group is done: go on with the next one?
    Continue {
        /// The group that is done.
        after: GroupName,
        /// The group that would start.
        next: GroupName,
    },
    /// The budget is exceeded: bring all touched targets back? Default yes (rule 16).
    RollBackAfterBreach {
        /// Why, in one line.
        reason: String,
        /// How many targets would go back.
        touched: usize,
    },
    /// The run was interrupted: bring all touched targets back? Default: leave (rule 20).
    RollBackAfterStop {
        /// How many targets would go back.
        touched: usize,
    },
}

/// The deployer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Go on; roll back.
    Yes,
    /// Stop; leave as it is.
    No,
}

/// Answers when nobody is there to be asked: gates are passed, a breach is taken back, and an
/// interrupted run is left as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

#[async_trait]
impl Ask for Unattended {
    async fn ask(&self, question: &Question) -> Answer {
        match question {
            Question::Continue { .. } | Question::RollBackAfterBreach { .. } => Answer::Yes,
            Question::RollBackAfterStop { .. } => Answer::No,
        }
    }
}
