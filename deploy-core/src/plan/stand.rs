//! What a plan relies on of one target.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    backend::{Claim, ErrorKind, Live, Serving, Standing},
    model::{ReleaseId, Target},
    plan::Difference,
    record::{Failure, RunId},
};

/// How a target stood when it was asked: all that a plan for it relies on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stands", rename_all = "kebab-case")]
pub enum Stand {
    /// It answered.
    Answered {
        /// What it serves, since which run; `None` on a fresh target.
        live: Option<Box<Serving>>,
        /// What it can go back to, each with the run that finished with it.
        good: BTreeMap<ReleaseId, RunId>,
        /// Who holds it, if anybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
        /// What it lacks to be deployed to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lacks: Vec<String>,
    },
    /// It could not be asked.
    Silent {
        /// Why.
        kind: ErrorKind,
    },
}

impl Stand {
    /// How the target that gave `answer` stands.
    pub fn of(answer: &Result<Live, Failure>) -> Self {
        match answer {
            Ok(live) => Self::Answered {
                live: live.serving.clone().map(Box::new),
                good: present(live),
                claim: live.claim.clone(),
                lacks: live.lacks.clone(),
            },
            Err(failure) => Self::Silent { kind: failure.kind },
        }
    }

    /// In what the target stands otherwise `now`.
    pub(super) fn differences(&self, target: &Target, now: &Self) -> Vec<Difference> {
        let told = |what: &str, was: &dyn fmt::Display, is: &dyn fmt::Display| Difference {
            targets: vec![target.clone()],
            what: what.to_owned(),
            was: was.to_string(),
            is: is.to_string(),
        };
        let (was, is) = match (self, now) {
            (Self::Answered { .. }, Self::Answered { .. }) => (self.parts(), now.parts()),
            (Self::Silent { kind: was }, Self::Silent { kind: is })
                if was == is || (is_unreachable(*was) && is_unreachable(*is)) =>
            {
                return Vec::new();
            }
            _ => return vec![told("asked", &self.in_a_word(), &now.in_a_word())],
        };
        let parts = was.into_iter().zip(is);
        let moved = parts.filter(|(was, is)| was.relied_on != is.relied_on);
        moved.map(|(was, is)| told(was.what, &was.shown, &is.shown)).collect()
    }

    fn in_a_word(&self) -> String {
        match self {
            Self::Answered { .. } => "answers".to_owned(),
            Self::Silent { kind } if is_unreachable(*kind) => "cannot be reached".to_owned(),
            Self::Silent { kind } => format!("cannot be asked: {kind}"),
        }
    }

    fn parts(&self) -> Vec<Part> {
        let Self::Answered { live, good, claim, lacks } = self else { return Vec::new() };
        let runs: Vec<String> = good.iter().map(|(id, run)| format!("{id} of {run}")).collect();
        vec![
            Part::new("live", live.as_deref().map(relied_on), live.as_deref().map(serving)),
            Part::new("good", Some(runs.join(" ")), Some(runs.join(", "))),
            Part::new(
                "claim",
                claim.as_ref().map(|claim| format!("{} {:?}", claim.run, claim.standing)),
                claim.as_ref().map(held),
            ),
            // What exactly it lacks may have numbers in it that never stand still.
            Part::new("lacks", (!lacks.is_empty()).then(String::new), Some(lacks.join("; "))),
        ]
    }
}

/// What is compared, and what is shown of it.
struct Part {
    what: &'static str,
    relied_on: Option<String>,
    shown: String,
}

impl Part {
    fn new(what: &'static str, relied_on: Option<String>, shown: Option<String>) -> Self {
        let shown = shown.filter(|shown| !shown.is_empty()).unwrap_or_else(|| "nothing".into());
        Self { what, relied_on, shown }
    }
}

fn present(live: &Live) -> BTreeMap<ReleaseId, RunId> {
    let present = live.good.iter().filter(|good| good.present);
    present.map(|good| (good.release.id.clone(), good.run.clone())).collect()
}

fn relied_on(serving: &Serving) -> String {
    format!("{} {:?} {:?}", serving.release.id, serving.since, serving.run)
}

fn serving(serving: &Serving) -> String {
    let run = serving.run.as_ref().map(|run| format!("run {run}"));
    let by = serving.by.as_ref().map(|by| format!("by {by}"));
    let how: Vec<String> = run.into_iter().chain(by).collect();
    let how = if how.is_empty() { String::new() } else { format!(" ({})", how.join(" ")) };
    format!("{}{how}", serving.release)
}

fn held(claim: &Claim) -> String {
    let dead = if claim.standing == Standing::Dead { ", which died" } else { "" };
    format!("run {} of {}{dead}", claim.run, claim.who)
}

fn is_unreachable(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Lost | ErrorKind::TimedOut)
}
