//! Rules 15 to 17: going back.

use deploy_core::{
    backend::{Answer, ErrorKind, Question},
    plan::{OnBreach, Stage},
    record::{End, EventKind, Served},
    testing::{Fault, Fleet, Turn},
};

use super::rig::*;

const ILL: Fault = Fault::Fail(ErrorKind::Rejected);

fn sick() -> Fault {
    Fault::Unhealthy("it answers 500".into())
}

#[tokio::test(start_paused = true)]
async fn rule_15_within_the_budget_a_failed_target_goes_back_on_its_own() {
    let names = ["h1", "h2", "h3"];
    let story = Story::new(&[("all", &names)]).allow(0, "1").batch(0, "1");
    let ending = story.fault("h1", Deed::Check, Turn::Nth(1), sick()).deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.words(&names), ["reverted(check)", "deployed", "deployed"]);
    assert_eq!(ending.serving(&names), ["v1", "v2", "v2"]);
    assert_eq!(ending.host("h1").runs(), Some("v1"));
    assert!(!ending.has(|kind| matches!(kind, EventKind::RollbackStarted { .. })));
    let failure = ending.end("h1").failure().unwrap();
    assert_eq!(failure.cause, "it answers 500");
    assert!(failure.evidence.as_ref().unwrap().contains("the service runs v2"));
}

#[tokio::test(start_paused = true)]
async fn rule_15_a_target_that_cannot_go_back_counts_once_and_the_run_ends_4() {
    let names = ["h1", "h2", "h3"];
    let story = Story::new(&[("all", &names)])
        .allow(0, "1")
        .batch(0, "1")
        .fault("h1", Deed::Check, Turn::Nth(1), sick())
        .fault("h1", Deed::Promote, Turn::From(2), ILL);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.words(&names), ["failed(rollback)", "deployed", "deployed"]);
    let served = Served::Release { release: Fleet::release_of(&version("v2")) };
    assert!(matches!(ending.end("h1"), End::Failed { served: s, .. } if *s == served));
    assert_eq!(ending.host("h2").good_versions(), ["v1"], "a run that ends 4 makes nothing good");
}

/// The switch back went well, and the restart after it did not: that the target serves the old
/// version again does not make it well.
#[tokio::test(start_paused = true)]
async fn rule_17_a_second_way_back_restarts_and_checks_what_the_first_only_switched() {
    let names = ["h1", "h2", "h3"];
    let story = || {
        Story::new(&[("all", &names)])
            .allow(0, "1")
            .batch(0, "1")
            .fault("h1", Deed::Check, Turn::Nth(1), sick())
            .fault("h2", Deed::Check, Turn::Nth(1), sick())
    };
    let ending = story().fault("h1", Deed::Restart, Turn::From(2), ILL).deploy("v2").await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.words(&names), ["failed(rollback)", "reverted(check)", "not attempted"]);
    assert_eq!(ending.serving(&["h1"]), ["v1"]);
    assert_eq!(ending.host("h1").runs(), Some("v2"), "its service was never restarted");

    let ending = story().fault("h1", Deed::Restart, Turn::Nth(2), ILL).deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.words(&names), ["reverted(check)", "reverted(check)", "not attempted"]);
    assert_eq!(ending.host("h1").runs(), Some("v1"), "the second way back restarts it");
}

#[tokio::test(start_paused = true)]
async fn rule_16_all_touched_go_back_in_reverse_order_and_failures_are_collected() {
    let names = ["h1", "h2", "h3", "h4", "h5"];
    let story = Story::new(&[("canary", &["c1"]), ("all", &names)])
        .batch(1, "1")
        .fault("h1", Deed::Promote, Turn::From(2), ILL)
        .fault("h4", Deed::Check, Turn::Nth(1), sick());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 4);
    let order = ending.events.iter().find_map(|event| match &event.kind {
        EventKind::RollbackStarted { targets } => Some(targets.clone()),
        _ => None,
    });
    let order: Vec<String> = order.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(order, ["h4", "h3", "h2", "h1", "c1"]);
    assert_eq!(
        ending.words(&["c1", "h1", "h2", "h3", "h4", "h5"]),
        [
            "reverted",
            "failed(rollback)",
            "reverted",
            "reverted",
            "reverted(check)",
            "not attempted"
        ]
    );
    assert!(ending.has(|kind| {
        matches!(kind, EventKind::RollbackFinished { failed, .. } if *failed == [target("h1")])
    }));
}

#[tokio::test(start_paused = true)]
async fn rule_16_up_to_rollback_batch_go_back_at_once() {
    let names = ["h1", "h2", "h3", "h4"];
    let story = Story::new(&[("all", &names)])
        .strategy(|strategy| strategy.rollback_batch = "1".parse().unwrap())
        .broken("v2");
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    let mut running = 0;
    for event in &ending.events {
        match &event.kind {
            EventKind::StageStarted { rolling_back: true, .. } => running += 1,
            EventKind::StageFinished { rolling_back: true, .. } => running -= 1,
            _ => {}
        }
        assert!(running <= 1, "one at a time");
    }
    assert_eq!(ending.serving(&names), ["v1"; 4]);
}

#[tokio::test(start_paused = true)]
async fn rule_16_the_deployer_is_asked_and_may_leave_it() {
    let groups: [(&str, &[&str]); 1] = [("all", &["h1", "h2"])];
    let ending =
        Story::new(&groups).broken("v2").answers(None, Some(Answer::No)).deploy("v2").await;
    assert_eq!(ending.code(), 4, "the fleet is mixed, and says so");
    assert_eq!(ending.serving(&["h1", "h2"]), ["v2", "v2"]);
    assert!(ending.has(|kind| matches!(
        kind,
        EventKind::QuestionFinished {
            question: Question::RollBackAfterBreach { touched: 2, .. },
            answer: Some(Answer::No)
        }
    )));

    for (on_breach, code) in [(OnBreach::RollBack, 3), (OnBreach::Leave, 4)] {
        let story = Story::new(&groups).broken("v2").answers(None, None);
        let ending = story.strategy(|strategy| strategy.on_breach = on_breach).deploy("v2").await;
        assert_eq!(ending.code(), code);
        assert!(!ending.has(|kind| matches!(kind, EventKind::QuestionStarted { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_17_unhealthy_on_the_old_version_is_a_failed_rollback_and_the_same_check_is_said() {
    let story = Story::new(&[("all", &["h1", "h2"])]).fault(
        "h1",
        Deed::Check,
        Turn::Always,
        Fault::Unhealthy("the database is down".into()),
    );
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.words(&["h1", "h2"]), ["failed(rollback)", "reverted"]);
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"]);
    let failure = ending.end("h1").failure().unwrap();
    assert!(failure.hint.as_ref().unwrap().contains("the old version fails the same check"));
}

#[tokio::test(start_paused = true)]
async fn rule_17_unreachable_in_rollback_is_last_known_to_serve_the_new_one() {
    let story = Story::new(&[("all", &["h1", "h2"])])
        .fault("h1", Deed::Check, Turn::Nth(1), sick())
        .on(|event, _, fleet| {
            if matches!(event.kind, EventKind::RollbackStarted { .. }) {
                fleet.cut(&target("h2"));
            }
            Ok(())
        });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.words(&["h1", "h2"]), ["reverted(check)", "unreachable(rollback)"]);
    let served = Served::Release { release: Fleet::release_of(&version("v2")) };
    assert!(matches!(ending.end("h2"), End::Unreachable { served: s, .. } if *s == served));
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_rollback_restarts_and_checks_like_a_deploy() {
    let ending = Story::new(&[("all", &["h1"])]).broken("v2").deploy("v2").await;
    assert_eq!(ending.code(), 3);
    for wanted in [Stage::Promote, Stage::Restart, Stage::Check] {
        assert!(ending.has(|kind| matches!(
            kind,
            EventKind::StageStarted { stage, rolling_back: true, .. } if *stage == wanted
        )));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_17_a_lost_link_in_rollback_is_tried_again() {
    let story = Story::new(&[("all", &["h1", "h2"])])
        .broken("v2")
        .fault("h1", Deed::Promote, Turn::Nth(2), Fault::LoseAfter)
        .fault("h2", Deed::Promote, Turn::Nth(2), Fault::LoseBefore);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"]);
}

#[tokio::test(start_paused = true)]
async fn the_rollback_command_collects_failures_and_ends_4() {
    let names = ["h1", "h2", "h3"];
    let ending = Story::new(&[("canary", &["h1"]), ("all", &["h2", "h3"])]).deploy("v2").await;
    assert_eq!(ending.code(), 0);
    let groups: [(&str, &[&str]); 2] = [("canary", &["h1"]), ("all", &["h2", "h3"])];
    let story = Story::again(&ending, &groups, "run-2").cut("h2");
    let ending = story.roll_back().await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.words(&names), ["deployed", "unreachable(connect)", "deployed"]);
    assert_eq!(ending.serving(&names), ["v1", "v2", "v1"]);
}

#[tokio::test(start_paused = true)]
async fn the_rollback_command_ends_1_when_nothing_could_start() {
    let story = Story::new(&[("all", &["h1", "h2"])]);
    let ending = story.roll_back().await;
    assert_eq!(ending.code(), 1, "no target has another good version");
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"]);
}

#[tokio::test(start_paused = true)]
async fn the_rollback_command_asks_all_groups_at_once_and_runs_no_gates() {
    let groups: [(&str, &[&str]); 2] = [("canary", &["h1"]), ("all", &["h2"])];
    let ending = Story::new(&groups).deploy("v2").await;
    let story = Story::again(&ending, &groups, "run-2")
        .group(0, |group| group.gate.ask = true)
        .answers(None, None);
    let ending = story.roll_back().await;
    assert_eq!(ending.code(), 0);
    let second = ending.position(
        |kind| matches!(kind, EventKind::GroupStarted { group } if group.as_str() == "all"),
    );
    let first_end = ending.position(|kind| matches!(kind, EventKind::GroupFinished { .. }));
    assert!(second < first_end, "both groups are at work together");
}
