//! Rules 8 to 14: the order of things.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{
        Answer, BackendError, Changes, ErrorKind, Listed, Question, Relation, VersionSource,
    },
    model::{GroupName, Target, Version, VersionRef},
    plan::{Goal, OnBreach, Stage, StepMoment, StepPlace, StepPolicy},
    record::{Event, EventKind, Exit},
    run::{Backend, OwnedStep, Pipeline},
    testing::{Fault, Fleet, Turn},
};

use super::rig::*;

const ILL: Fault = Fault::Fail(ErrorKind::Rejected);

/// Versions are ordered by their names.
#[derive(Debug)]
struct Ordered;

#[async_trait]
impl VersionSource for Ordered {
    async fn resolve(&self, _: &VersionRef) -> Result<Version, BackendError> {
        Err(BackendError::new(ErrorKind::NotFound, "resolve"))
    }

    async fn list(&self, _: usize) -> Result<Vec<Listed>, BackendError> {
        Ok(Vec::new())
    }

    async fn changes(&self, from: &Version, to: &Version) -> Result<Changes, BackendError> {
        let relation = match () {
            () if from.id.as_str() == "stranger" => Relation::Unknown,
            () if from.id < to.id => Relation::Forward,
            () => Relation::Backward,
        };
        Ok(Changes { relation, commits: Vec::new() })
    }
}

fn ordered(backend: Backend) -> Pipeline {
    Pipeline::new(backend).with_source(Arc::new(Ordered))
}

#[tokio::test(start_paused = true)]
async fn rule_08_a_downgrade_is_refused_and_names_the_hosts() {
    let story = Story::new(&[("all", &["h1", "h2"])]).pipeline(ordered);
    story.fleet.install(&target("h2"), &version("v5"));
    let (ending, refusal) = story.go(Goal::Deploy(version("v3"))).await;
    assert_eq!(ending.code(), 1);
    assert_eq!(refusal.unwrap().targets, [target("h2")]);
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v5"]);
    assert!(ending.began(Stage::Fetch).is_empty());
}

#[tokio::test(start_paused = true)]
async fn rule_08_where_nobody_can_tell_it_is_said() {
    let story = Story::new(&[("all", &["h1", "h2"])]).pipeline(ordered);
    story.fleet.install(&target("h2"), &version("stranger"));
    let ending = story.deploy("v3").await;
    assert_eq!(ending.code(), 0);
    let warnings = &ending.summary.plan.as_ref().unwrap().warnings;
    let told: Vec<_> = warnings.iter().filter(|w| w.contains("may be newer")).collect();
    assert!(told[..].iter().all(|w| w.contains("live on h2 is")) && told.len() == 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn rule_08_a_downgrade_may_be_allowed_and_a_rollback_is_exempt() {
    let mut story = Story::new(&[("all", &["h1"])]).pipeline(ordered);
    story.fleet.install(&target("h1"), &version("v5"));
    story.allow.downgrade = true;
    let ending = story.deploy("v3").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.summary.plan.as_ref().unwrap().transitions.len(), 1);
    let ending = Story::again(&ending, &[("all", &["h1"])], "run-2").pipeline(ordered);
    let ending = ending.roll_back().await;
    assert_eq!((ending.code(), ending.host("h1").serves()), (0, Some("v5")));
    // It leads to a newer one, which is said.
    let told = |ending: &Ending| {
        let warnings = &ending.summary.plan.as_ref().unwrap().warnings;
        warnings.iter().filter(|w| w.contains("on h1 this leads to a newer version")).count()
    };
    assert_eq!(told(&ending), 1);
    let again = Story::again(&ending, &[("all", &["h1"])], "run-3").pipeline(ordered);
    let ending = again.roll_back().await;
    assert_eq!((ending.code(), ending.host("h1").serves()), (0, Some("v3")));
    assert_eq!(told(&ending), 0);
}

#[tokio::test(start_paused = true)]
async fn rule_09_all_are_fetched_before_any_is_promoted() {
    let story = Story::new(&[("canary", &["c1"]), ("all", &["h1", "h2"])]);
    story.fleet.set_latency(Duration::from_secs(1));
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    let last_fetch = ending.events.iter().rposition(|event| {
        matches!(event.kind, EventKind::StageFinished { stage: Stage::Fetch, .. })
    });
    let first_promote = ending
        .position(|kind| matches!(kind, EventKind::StageStarted { stage: Stage::Promote, .. }));
    assert!(last_fetch < first_promote);
}

#[tokio::test(start_paused = true)]
async fn rule_09_a_target_that_lacks_something_is_never_promoted_and_the_rest_goes_on() {
    let story = Story::new(&[("all", &["h1", "h2", "h3"])])
        .allow(0, "2")
        .set("h1", |host| host.lacks.push("git is not installed".into()))
        .fault("h2", Deed::Fetch, Turn::Always, ILL);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(
        ending.words(&["h1", "h2", "h3"]),
        ["failed(preflight)", "failed(fetch)", "deployed"]
    );
    assert_eq!(ending.serving(&["h1", "h2", "h3"]), ["v1", "v1", "v2"]);
}

#[tokio::test(start_paused = true)]
async fn rule_10_a_later_group_over_its_budget_stops_the_run_before_the_first_promote() {
    let groups: [(&str, &[&str]); 2] = [("canary", &["c1"]), ("all", &["h1", "h2", "h3"])];
    let ending = Story::new(&groups).cut("h3").deploy("v2").await;
    assert_eq!(ending.code(), 1);
    assert!(ending.began(Stage::Fetch).is_empty(), "known before anything was fetched");
    assert_eq!(ending.words(&["c1", "h1", "h3"])[2], "unreachable(connect)");
    assert!(ending.summary.reason.as_ref().unwrap().contains("group all"));

    let ending = Story::new(&groups).fault("h3", Deed::Fetch, Turn::Always, ILL).deploy("v2").await;
    assert_eq!(ending.code(), 1);
    assert!(ending.began(Stage::Promote).is_empty());
    assert_eq!(ending.serving(&["c1", "h1", "h2", "h3"]), ["v1"; 4]);
    assert!(ending.host("h1").claim.is_none(), "the claims are given up");
}

#[tokio::test(start_paused = true)]
async fn rule_11_a_batch_ends_before_the_next_begins() {
    let story = Story::new(&[("all", &["h1", "h2", "h3", "h4"])]).batch(0, "2");
    story.fleet.set_latency(Duration::from_secs(1));
    let ending = story.deploy("v2").await;
    let promotes = ending.began(Stage::Promote);
    assert_eq!(promotes, ["h1", "h2", "h3", "h4"]);
    let end_of_first =
        ending.position(|kind| matches!(kind, EventKind::BatchFinished { batch: 0, .. })).unwrap();
    let third = ending
        .position(|kind| {
            matches!(kind, EventKind::StageStarted { target: t, stage: Stage::Promote, .. }
                if *t == target("h3"))
        })
        .unwrap();
    assert!(end_of_first < third);
}

#[tokio::test(start_paused = true)]
async fn rule_11_once_a_budget_is_exceeded_no_target_starts() {
    let names = ["h1", "h2", "h3", "h4", "h5", "h6"];
    let story = Story::new(&[("all", &names)])
        .batch(0, "2")
        .strategy(|strategy| strategy.on_breach = OnBreach::Leave)
        .fault("h1", Deed::Restart, Turn::Always, ILL)
        .fault("h2", Deed::Restart, Turn::Always, ILL);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.began(Stage::Promote), ["h1", "h2"], "failures are at most budget + batch");
    assert_eq!(ending.words(&names)[2..], ["not attempted"; 4]);
}

#[tokio::test(start_paused = true)]
async fn rule_12_a_target_that_was_changed_meanwhile_is_left_alone() {
    let story = Story::new(&[("canary", &["c1"]), ("all", &["h1", "h2"])]).allow(1, "1").on(
        |event, _, fleet| {
            if matches!(&event.kind, EventKind::GroupFinished { group } if group.as_str() == "canary")
            {
                fleet.install(&target("h1"), &version("v9"));
            }
            Ok(())
        },
    );
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.word("h1"), "failed(promote)");
    assert_eq!(ending.cause("h1"), "changed meanwhile to v9 by somebody");
    assert_eq!(ending.serving(&["c1", "h1", "h2"]), ["v2", "v9", "v2"]);
}

#[tokio::test(start_paused = true)]
async fn rule_13_a_soak_repeats_the_checks_on_all_deployed_so_far() {
    let story = Story::new(&[("canary", &["c1"]), ("all", &["h1"])]).group(0, |group| {
        group.gate.soak = Some(10 * MINUTE);
        group.gate.interval = MINUTE;
    });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.fleet.count(&target("c1"), Deed::Check), 11);
}

#[tokio::test(start_paused = true)]
async fn rule_13_a_failure_in_the_soak_counts_in_its_group() {
    let soaked = |story: Story| {
        story.group(0, |group| {
            group.gate.soak = Some(10 * MINUTE);
            group.gate.interval = MINUTE;
        })
    };
    let groups: [(&str, &[&str]); 3] =
        [("canary", &["c1"]), ("one", &["h1", "h2"]), ("two", &["h3"])];
    let sick = Fault::Unhealthy("it leaks".into());
    let story = soaked(Story::new(&groups)).fault("c1", Deed::Check, Turn::Nth(4), sick.clone());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.words(&["c1", "h1"]), ["reverted(check)", "not attempted"]);

    // Within the budget it goes back on its own, and the run goes on.
    let story = Story::new(&groups)
        .allow(1, "1")
        .group(1, |group| {
            group.gate.soak = Some(10 * MINUTE);
            group.gate.interval = MINUTE;
        })
        .fault("h1", Deed::Check, Turn::Nth(4), sick);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(
        ending.words(&["c1", "h1", "h2", "h3"]),
        ["deployed", "reverted(check)", "deployed", "deployed"]
    );
    assert!(ending.has(|kind| {
        matches!(kind, EventKind::SoakFinished { unhealthy, .. } if *unhealthy == [target("h1")])
    }));
}

#[tokio::test(start_paused = true)]
async fn rule_13_no_at_a_gate_stops_as_ctrl_c_does() {
    for (back, expect) in [(Answer::Yes, "v1"), (Answer::No, "v2")] {
        let story = Story::new(&[("canary", &["c1"]), ("all", &["h1"])])
            .group(0, |group| group.gate.ask = true)
            .answers(Some(Answer::No), Some(back));
        let ending = story.deploy("v2").await;
        assert_eq!(ending.code(), 130);
        assert_eq!(ending.serving(&["c1", "h1"]), [expect, "v1"]);
        assert!(ending.has(|kind| matches!(
            kind,
            EventKind::QuestionStarted { question: Question::RollBackAfterStop { touched: 1 } }
        )));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_13_yes_at_a_gate_goes_on() {
    let story = Story::new(&[("canary", &["c1"]), ("all", &["h1"])])
        .group(0, |group| group.gate.ask = true);
    assert_eq!(story.deploy("v2").await.exit(), Exit::Complete);
}

#[tokio::test(start_paused = true)]
async fn rule_14_fetch_does_not_touch() {
    let story = Story::new(&[("all", &["h1", "h2"])]).allow(0, "1").fault(
        "h1",
        Deed::Fetch,
        Turn::Always,
        Fault::LoseAfter,
    );
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.word("h1"), "unreachable(fetch)");
    assert!(!ending.began(Stage::Rollback).contains(&"h1".to_owned()));
    assert_eq!(ending.fleet.count(&target("h1"), Deed::Promote), 0);
}

#[tokio::test(start_paused = true)]
async fn rule_13_nobody_is_asked_between_groups_where_nothing_changes() {
    let groups: [(&str, &[&str]); 3] = [("canary", &["c1"]), ("some", &["h1"]), ("all", &["h2"])];
    let asked = |ending: &Ending| {
        let asked = |event: &&Event| matches!(event.kind, EventKind::QuestionStarted { .. });
        ending.events.iter().filter(asked).count()
    };
    // Those that serve the version already, and how often the deployer is asked at two gates.
    let cases: [(&[&str], usize); 4] =
        [(&["c1", "h1", "h2"], 0), (&["h1", "h2"], 1), (&["c1", "h1"], 2), (&[], 2)];
    for (done, times) in cases {
        let mut story = Story::new(&groups);
        for number in 0..3 {
            story = story.group(number, |group| group.gate.ask = true);
        }
        done.iter().for_each(|name| story.fleet.install(&target(name), &version("v2")));
        let ending = story.deploy("v2").await;
        assert_eq!((ending.code(), asked(&ending)), (0, times), "{done:?}");
    }
}

fn stepped(story: Story, moment: StepMoment, place: StepPlace) -> Story {
    let fleet = story.fleet.clone();
    story.pipeline(move |mut backend: Backend| {
        let policy =
            StepPolicy { name: "migrate".into(), moment, place, group: None, timeout: MINUTE };
        backend.steps.push(OwnedStep { policy, step: Arc::new(fleet.clone()) });
        Pipeline::new(backend)
    })
}

fn steps_on(ending: &Ending) -> Vec<Target> {
    let calls = ending.fleet.calls().into_iter();
    calls.filter(|call| call.deed == Deed::Step).map(|call| call.target).collect()
}

#[tokio::test(start_paused = true)]
async fn rule_09_a_once_step_runs_on_the_first_canary_before_any_promote() {
    let story = Story::new(&[("canary", &["c1", "c2"]), ("all", &["h1"])]);
    let ending = stepped(story, StepMoment::BeforePromote, StepPlace::Once).deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(steps_on(&ending), [target("c1")]);
    let calls = ending.fleet.calls();
    let step = calls.iter().position(|call| call.deed == Deed::Step);
    assert!(step < calls.iter().position(|call| call.deed == Deed::Promote));
}

#[tokio::test(start_paused = true)]
async fn rule_09_a_once_step_that_fails_is_a_breach() {
    let story = Story::new(&[("canary", &["c1", "c2"]), ("all", &["h1"])]).fault(
        "c1",
        Deed::Step,
        Turn::Always,
        ILL,
    );
    let ending = stepped(story, StepMoment::BeforePromote, StepPlace::Once).deploy("v2").await;
    assert_eq!(ending.code(), 1, "nothing was touched");
    assert_eq!(ending.words(&["c1", "c2"]), ["failed(promote)", "not attempted"]);

    let story = || {
        let story = Story::new(&[("all", &["h1", "h2"])]).allow(0, "100%").batch(0, "1");
        story.fault("h1", Deed::Step, Turn::Always, ILL)
    };
    let ending = stepped(story(), StepMoment::BeforePromote, StepPlace::Once).deploy("v2").await;
    assert_eq!(ending.code(), 1, "whatever the budget");
    assert!(ending.summary.breach.as_ref().unwrap().contains("runs once"));

    let story = story();
    let ending = stepped(story, StepMoment::AfterCheck, StepPlace::Once).deploy("v2").await;
    assert_eq!(ending.code(), 3, "whatever the budget");
    assert_eq!(ending.words(&["h1", "h2"]), ["reverted(check)", "not attempted"]);
    assert!(ending.summary.breach.as_ref().unwrap().contains("runs once"));
}

#[tokio::test(start_paused = true)]
async fn rule_09_an_each_step_runs_on_each_target_and_never_twice() {
    let story = Story::new(&[("all", &["h1", "h2"])]).allow(0, "1").fault(
        "h1",
        Deed::Step,
        Turn::Nth(1),
        Fault::LoseAfter,
    );
    let ending = stepped(story, StepMoment::BeforePromote, StepPlace::Each).deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.fleet.count(&target("h1"), Deed::Step), 1);
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v2"]);
}

#[tokio::test(start_paused = true)]
async fn rule_09_a_step_before_a_promote_that_never_came_is_told() {
    let story =
        Story::new(&[("all", &["h1", "h2"])])
            .batch(0, "1")
            .stop_at("h1", Stage::Promote, |stop| stop.interrupt());
    let ending = stepped(story, StepMoment::BeforePromote, StepPlace::Each).deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.words(&["h1", "h2"]), ["not attempted", "not attempted"]);
    assert_eq!(ending.summary.targets[&target("h1")].ran, ["migrate"]);
    assert!(ending.summary.targets[&target("h2")].ran.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rule_09_each_group_may_have_a_backend_of_its_own() {
    let clusters = Fleet::new();
    clusters.install(&target("k1"), &version("v1"));
    let other = clusters.clone();
    let mut story = Story::new(&[("canary", &["h1"]), ("clusters", &["k1"])]);
    story.fleet = Fleet::new();
    story.fleet.install(&target("h1"), &version("v1"));
    story.groups[1].gate.ask = false;
    let hosts = story.fleet.clone();
    let story = story.pipeline(move |backend| {
        let name = GroupName::new("clusters").unwrap();
        Pipeline::new(backend).with_group(name, other.backend())
    });
    // What the rig asserts about the truth it looks up in the hosts' fleet.
    let watch = clusters.clone();
    let story = story.on(move |event, _, hosts| {
        if let EventKind::TargetFinished { .. } = &event.kind {
            let host = watch.host(&target("k1"));
            hosts.set(&target("k1"), |known| *known = host);
        }
        Ok(())
    });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(clusters.host(&target("k1")).serves(), Some("v2"));
    assert_eq!(hosts.host(&target("h1")).serves(), Some("v2"));
    assert_eq!(clusters.count(&target("h1"), Deed::Fetch), 0);
}
