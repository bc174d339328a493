//! What checks note before a restart, and what they remark on a target that is well.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::{Gate, Target},
    plan::{CheckPolicy, Stage},
    record::EventKind,
    run::Pipeline,
    testing::{Fault, Turn},
};

use super::rig::*;

/// What was noted, and whether the target was going back.
type Given = (Option<String>, bool);

/// Notes how often it was asked to note, and remembers with what it was asked to check.
#[derive(Debug, Clone, Default)]
struct Notes {
    taken: Arc<AtomicUsize>,
    given: Arc<Mutex<Vec<Given>>>,
    /// The note that fails.
    fails: Option<usize>,
}

#[async_trait]
impl Checker for Notes {
    fn describe(&self) -> String {
        "nothing came since".to_owned()
    }

    async fn note(&self, _: &Target, scope: &Scope) -> Result<Option<String>, BackendError> {
        assert_eq!(scope.stage, Stage::Promote);
        let number = self.taken.fetch_add(1, Ordering::SeqCst) + 1;
        if self.fails == Some(number) {
            return Err(BackendError::new(ErrorKind::Denied, "note how long the log is")
                .with_source("the log cannot be read"));
        }
        Ok(Some(format!("note {number}")))
    }

    async fn check(
        &self,
        _: &Target,
        situation: &Situation,
        _: &Scope,
    ) -> Result<Verdict, BackendError> {
        self.given.lock().unwrap().push((situation.noted.clone(), situation.rolling_back));
        Ok(Verdict::HealthyBut { note: "the disk fills up".to_owned() })
    }
}

impl Notes {
    /// A run of one host, or several, with this check before the fleet's own.
    fn story(&self, hosts: &[&str]) -> Story {
        let check = self.clone();
        Story::new(&[("all", hosts)]).pipeline(move |mut backend| {
            let policy = CheckPolicy::new("log");
            let owned = deploy_core::run::OwnedCheck { policy, checker: Arc::new(check.clone()) };
            backend.checks.insert(0, owned);
            Pipeline::new(backend)
        })
    }

    fn given(&self) -> Vec<Given> {
        self.given.lock().unwrap().clone()
    }
}

fn note(number: usize) -> Option<String> {
    Some(format!("note {number}"))
}

#[tokio::test(start_paused = true)]
async fn what_a_check_noted_before_the_restart_is_given_to_it_each_time() {
    let notes = Notes::default();
    let soak = Gate { soak: Some(Duration::from_secs(25)), ..Gate::default() };
    let story = notes.story(&["h1"]).group(0, |group| group.gate = soak);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert!(notes.given().len() > 2, "asked again while soaking: {:?}", notes.given());
    assert!(notes.given().iter().all(|given| *given == (note(1), false)), "{:?}", notes.given());
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_restarted_nothing_is_noted() {
    let notes = Notes::default();
    let ending = notes.story(&["h1"]).deploy("v1").await;
    assert_eq!((ending.code(), ending.word("h1").as_str()), (0, "unchanged"));
    assert_eq!(notes.given(), [(None, false)]);
    assert_eq!(notes.taken.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn on_the_way_back_it_notes_anew() {
    let notes = Notes::default();
    let ill = Fault::Unhealthy("it answers 500".into());
    let ending =
        notes.story(&["h1"]).fault("h1", Deed::Check, Turn::Nth(1), ill).deploy("v2").await;
    assert_eq!((ending.code(), ending.word("h1").as_str()), (3, "reverted(check)"));
    assert_eq!(notes.given(), [(note(1), false), (note(2), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_could_not_be_judged_later_is_not_switched() {
    let notes = Notes { fails: Some(1), ..Notes::default() };
    let ending = notes.story(&["h1"]).deploy("v2").await;
    assert_eq!(ending.word("h1"), "failed(promote)");
    assert_eq!(ending.cause("h1"), "the log cannot be read");
    assert_eq!(ending.serving(&["h1"]), ["v1"]);
    assert_eq!(ending.host("h1").runs(), Some("v1"));
    assert_eq!(notes.given(), []);
}

#[tokio::test(start_paused = true)]
async fn a_note_that_fails_keeps_nobody_from_going_back() {
    let notes = Notes { fails: Some(2), ..Notes::default() };
    let ill = Fault::Unhealthy("it answers 500".into());
    let ending =
        notes.story(&["h1"]).fault("h1", Deed::Check, Turn::Nth(1), ill).deploy("v2").await;
    assert_eq!(ending.serving(&["h1"]), ["v1"]);
    assert_eq!(ending.host("h1").runs(), Some("v1"));
    // But nobody knows whether the old version is well.
    assert_eq!((ending.code(), ending.word("h1").as_str()), (4, "failed(rollback)"));
    assert_eq!(ending.cause("h1"), "the log cannot be read");
}

#[tokio::test(start_paused = true)]
async fn what_is_only_restarted_is_noted_before_that() {
    let notes = Notes::default();
    let ending = notes.story(&["h1"]).set("h1", |host| host.good.clear()).deploy("v1").await;
    assert_eq!((ending.code(), ending.word("h1").as_str()), (0, "deployed"));
    assert_eq!(notes.given(), [(note(1), false)]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_was_asked_for_is_not_kept_back_by_a_note() {
    let hosts: [(&str, &[&str]); 1] = [("all", &["h1"])];
    let before = Story::new(&hosts).deploy("v2").await;
    let notes = Notes { fails: Some(1), ..Notes::default() };
    let mut story = notes.story(&["h1"]);
    (story.fleet, story.run) = (before.fleet.clone(), "run-2".parse().unwrap());
    let ending = story.roll_back().await;
    assert_eq!(ending.serving(&["h1"]), ["v1"]);
    assert_eq!((ending.code(), ending.cause("h1").as_str()), (4, "the log cannot be read"));
}

#[tokio::test(start_paused = true)]
async fn a_remark_is_told_once_for_each_target() {
    let notes = Notes::default();
    let soak = Gate { soak: Some(Duration::from_secs(25)), ..Gate::default() };
    let story = notes.story(&["h1", "h2"]).group(0, |group| group.gate = soak);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    let told: Vec<_> = ending
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Warning { target, message } => Some((target.clone(), message.clone())),
            _ => None,
        })
        .collect();
    let words = "check \"log\": the disk fills up".to_owned();
    assert_eq!(told, [(Some(target("h1")), words.clone()), (Some(target("h2")), words)]);
}
