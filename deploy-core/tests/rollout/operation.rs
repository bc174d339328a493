//! Services that are operated, and commands that are run: the rules of a rollout, without a way
//! back.

use std::time::Duration;

use deploy_core::{
    backend::{Answer, ErrorKind},
    plan::{Action, Goal, Stage, StepMoment, StepPlace, StepPolicy, Work},
    record::{End, EventKind, RunId, StageOutcome, StopCause},
    run::{Backend, Pipeline, Stop},
    testing::{Fault, Fleet, Turn},
};

use super::rig::*;

const GROUPS: [(&str, &[&str]); 2] = [("canary", &["c1"]), ("all", &["h1", "h2", "h3", "h4"])];
const ALL: [&str; 5] = ["c1", "h1", "h2", "h3", "h4"];

/// What the service of each does: the version it runs, and how often it was started.
fn services(ending: &Ending, names: &[&str]) -> Vec<String> {
    let told = |name: &&str| {
        let host = ending.host(name);
        format!("{}:{}", host.runs().unwrap_or("down"), host.starts)
    };
    names.iter().map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn each_action_does_what_it_says_and_nothing_else() {
    for (action, service) in [
        (Action::Restart, "v1:2"),
        (Action::Start, "v1:1"),
        (Action::Reload, "v1:1"),
        (Action::Stop, "down:1"),
    ] {
        let ending = Story::new(&GROUPS).operate(action).await;
        assert_eq!(ending.code(), 0, "{action}");
        assert_eq!(ending.words(&ALL), ["done"; 5], "{action}");
        assert_eq!(services(&ending, &ALL), [service; 5], "{action}");
        let began = [Stage::Fetch, Stage::Promote].map(|stage| ending.began(stage).len());
        assert_eq!(began, [0, 0], "{action}");
        let checked = ending.began(Stage::Check).len();
        assert_eq!(checked, if action == Action::Stop { 0 } else { 5 }, "{action}");
        for name in ALL {
            assert!(ending.host(name).claim.is_none(), "{action}: the claim is given up");
            assert_eq!(ending.host(name).good_versions(), ["v1"], "{action}: nothing becomes good");
        }
        assert_eq!(ending.summary.counts().done, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_down_is_started_and_not_reloaded() {
    let down = || Story::new(&[("all", &["h1"])]).set("h1", |host| host.running = None);
    let ending = down().operate(Action::Start).await;
    assert_eq!((ending.code(), services(&ending, &["h1"])), (0, vec!["v1:2".to_owned()]));
    let ending = down().operate(Action::Reload).await;
    assert_eq!(ending.code(), 1, "refused there; nothing is other than before");
    assert!(ending.cause("h1").contains("does not run"), "{}", ending.cause("h1"));
}

#[tokio::test(start_paused = true)]
async fn the_canary_goes_first_and_batches_follow_each_other() {
    let story = Story::new(&GROUPS).batch(1, "2");
    let ending = story.operate(Action::Restart).await;
    let at = |what: &dyn Fn(&EventKind) -> bool| ending.position(what).unwrap();
    let begun = |name: &'static str| {
        move |kind: &EventKind| {
            matches!(kind, EventKind::StageStarted { target, stage: Stage::Restart, .. }
                if target.as_str() == name)
        }
    };
    let checked = |name: &'static str| {
        move |kind: &EventKind| {
            matches!(kind, EventKind::StageFinished { target, stage: Stage::Check,
                outcome: StageOutcome::Done, .. } if target.as_str() == name)
        }
    };
    assert!(at(&checked("c1")) < at(&begun("h1")));
    assert!(at(&checked("h1")) < at(&begun("h3")) && at(&checked("h2")) < at(&begun("h3")));
    let held = ending.position(|kind| {
        matches!(kind, EventKind::StageFinished { target, stage: Stage::Preflight,
            detail: Some(_), .. } if target.as_str() == "h4")
    });
    assert!(held.unwrap() < at(&begun("c1")), "all are held before the first is touched");
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_stops_and_nothing_goes_back() {
    let story = Story::new(&GROUPS).broken("v1");
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 4, "its service is left unhealthy");
    assert_eq!(ending.word("c1"), "failed(check)");
    assert_eq!(ending.words(&ALL[1..]), ["not attempted"; 4]);
    assert_eq!(services(&ending, &ALL[1..]), ["v1:1"; 4]);
    assert!(!ending.has(|kind| matches!(kind, EventKind::RollbackStarted { .. })));
    assert!(!ending.has(|kind| matches!(kind, EventKind::QuestionStarted { .. })));
    assert!(ending.has(|kind| matches!(kind, EventKind::Breached { .. })));
}

#[tokio::test(start_paused = true)]
async fn within_the_budget_the_others_go_on() {
    let ill = || Fault::Fail(ErrorKind::Rejected);
    // What was refused and is as before leaves nothing down.
    let story = Story::new(&GROUPS).allow(1, "1").fault("h2", Deed::Operate, Turn::Always, ill());
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.words(&ALL), ["done", "done", "failed(restart)", "done", "done"]);
    // What was restarted and is unhealthy is left so.
    let unhealthy = Fault::Unhealthy("answers 500".into());
    let story = Story::new(&GROUPS).allow(1, "1").fault("h2", Deed::Check, Turn::Always, unhealthy);
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.words(&ALL), ["done", "done", "failed(check)", "done", "done"]);
    // Who could not be reached at all was not touched.
    let ending = Story::new(&GROUPS).allow(1, "1").cut("h2").operate(Action::Restart).await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.word("h2"), "unreachable(connect)");
}

#[tokio::test(start_paused = true)]
async fn a_breach_in_a_later_batch_leaves_the_rest_alone() {
    let story = Story::new(&GROUPS).batch(1, "2").fault(
        "h2",
        Deed::Operate,
        Turn::Always,
        Fault::Fail(ErrorKind::Rejected),
    );
    let ending = story.operate(Action::Stop).await;
    assert_eq!(ending.code(), 6, "what failed is as before, what was stopped is as wanted");
    assert_eq!(
        ending.words(&ALL),
        ["done", "done", "failed(restart)", "not attempted", "not attempted"]
    );
    assert_eq!(services(&ending, &["h1", "h2", "h3"]), ["down:1", "v1:1", "v1:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_whose_answer_was_lost_is_not_repeated() {
    for fault in [Fault::LoseBefore, Fault::LoseAfter] {
        let story = Story::new(&GROUPS).fault("h1", Deed::Operate, Turn::Nth(1), fault.clone());
        let ending = story.operate(Action::Restart).await;
        assert_eq!(ending.code(), 0, "{fault:?}");
        assert_eq!(ending.host("h1").starts, 2, "{fault:?}: restarted once");
        assert_eq!(ending.fleet.count(&target("h1"), Deed::Operate), 2, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_dies_while_it_restarts_is_unknown_and_said_so() {
    let story =
        Story::new(&GROUPS).allow(1, "1").fault("h1", Deed::Operate, Turn::Nth(1), Fault::DieAfter);
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.word("h1"), "unreachable(restart)");
    assert_eq!(ending.words(&["h2", "h3", "h4"]), ["done"; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_lets_what_is_in_flight_end_and_asks_nothing() {
    let story = Story::new(&GROUPS).batch(1, "2").stop_at("h1", Stage::Restart, Stop::interrupt);
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.word("c1"), "done");
    assert_eq!(ending.words(&["h3", "h4"]), ["not attempted"; 2]);
    assert_eq!(services(&ending, &["h1", "h3"]), ["v1:2", "v1:1"], "h1's restart came to its end");
    assert!(!ending.has(|kind| matches!(kind, EventKind::QuestionStarted { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_second_interrupt_kills_what_is_in_flight() {
    let story = Story::new(&GROUPS).fault("c1", Deed::Operate, Turn::Nth(1), Fault::Hang).stop_at(
        "c1",
        Stage::Restart,
        |stop| {
            stop.interrupt();
            stop.request(StopCause::Kill);
        },
    );
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.words(&ALL[1..]), ["not attempted"; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_asks_and_a_soak_watches_but_not_what_was_stopped() {
    let soaking = || {
        Story::new(&GROUPS).group(0, |group| {
            group.gate.ask = true;
            group.gate.soak = Some(MINUTE);
        })
    };
    let ending = soaking().operate(Action::Restart).await;
    assert_eq!(ending.code(), 0);
    assert!(ending.has(|kind| matches!(kind, EventKind::SoakStarted { .. })));
    assert!(ending.has(|kind| matches!(kind, EventKind::QuestionStarted { .. })));
    let ending = soaking().operate(Action::Stop).await;
    assert_eq!(ending.code(), 0);
    assert!(!ending.has(|kind| matches!(kind, EventKind::SoakStarted { .. })));
    let story = soaking().answers(Some(Answer::No), Some(Answer::Yes));
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.word("c1"), "done", "what is done is not undone");
    // Ill during the soak: left so, and said.
    let story = soaking().on(|event, _, fleet| {
        if let EventKind::SoakStarted { .. } = event.kind {
            fleet.break_version(&version("v1"));
        }
        Ok(())
    });
    let ending = story.operate(Action::Restart).await;
    assert_eq!((ending.code(), ending.word("c1").as_str()), (4, "failed(check)"));
}

#[tokio::test(start_paused = true)]
async fn targets_that_serve_nothing_are_named_and_left_alone() {
    let story = Story::new(&GROUPS).set("h2", |host| host.serving = None);
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.word("h2"), "unchanged");
    assert_eq!(ending.fleet.count(&target("h2"), Deed::Operate), 0);
    assert_eq!(ending.fleet.count(&target("h2"), Deed::Check), 0);
    let warnings = &ending.summary.plan.as_ref().unwrap().warnings;
    assert!(warnings.iter().any(|told| told == "serve nothing, left alone: h2"), "{warnings:?}");
    let story = Story::new(&[("all", &["h1"])]).set("h1", |host| host.serving = None);
    let (ending, refusal) = story.go(Goal::Operate(Action::Start)).await;
    assert_eq!(ending.code(), 1);
    assert!(refusal.unwrap().reason.contains("none of the targets serves anything"));
}

#[tokio::test(start_paused = true)]
async fn what_a_deploy_would_lack_is_no_matter() {
    let story = Story::new(&GROUPS).set("h1", |host| host.lacks.push("no git".into()));
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 0);
    let warnings = &ending.summary.plan.as_ref().unwrap().warnings;
    assert!(warnings.contains(&"h1: no git".to_owned()), "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_of_another_run_is_not_touched() {
    let claim = || Some((RunId::new("other").unwrap(), "bob".to_owned()));
    let story = Story::new(&GROUPS).set("h2", |host| host.claim = claim());
    let ending = story.operate(Action::Restart).await;
    assert_eq!(ending.code(), 5);
    assert_eq!(services(&ending, &ALL), ["v1:1"; 5]);
    // The other run comes between the plan and the hold.
    let story = Story::new(&GROUPS).on(move |event, _, fleet| {
        if let EventKind::Planned { .. } = event.kind {
            fleet.set(&target("h2"), |host| host.claim = claim());
        }
        Ok(())
    });
    let ending = story.operate(Action::Restart).await;
    assert_eq!((ending.code(), ending.word("h2").as_str()), (5, "failed(preflight)"));
    assert_eq!(services(&ending, &ALL), ["v1:1"; 5]);
    // Another version came between.
    let story = Story::new(&GROUPS).on(|event, _, fleet| {
        if let EventKind::Planned { .. } = event.kind {
            fleet.install(&target("h2"), &version("v2"));
        }
        Ok(())
    });
    let ending = story.operate(Action::Restart).await;
    assert_eq!((ending.code(), ending.word("h2").as_str()), (1, "failed(preflight)"));
    assert!(ending.cause("h2").contains("changed meanwhile"), "{}", ending.cause("h2"));
}

#[tokio::test(start_paused = true)]
async fn without_a_service_nothing_is_asked_at_all() {
    let without = |backend: Backend| Pipeline::new(Backend { operators: Vec::new(), ..backend });
    let story = Story::new(&GROUPS).pipeline(without);
    let (ending, refusal) = story.go(Goal::Operate(Action::Restart)).await;
    assert_eq!(ending.code(), 1);
    assert_eq!(refusal.unwrap().reason, "group canary has no service to restart");
    assert!(ending.fleet.calls().is_empty(), "{:?}", ending.fleet.calls());
}

/// A pipeline that runs a command on the fleet.
fn commanding(backend: Backend, fleet: &Fleet) -> Pipeline {
    let policy = StepPolicy {
        name: "command".into(),
        moment: StepMoment::AfterCheck,
        place: StepPlace::Each,
        group: None,
        timeout: Duration::from_secs(60),
    };
    Pipeline::new(Backend { steps: Vec::new(), ..backend }.with_step(policy, fleet.clone()))
}

fn command(allow: &str) -> Story {
    let story = Story::new(&[("all", &["h1", "h2", "h3", "h4"])]).allow(0, allow);
    let fleet = story.fleet.clone();
    story.pipeline(move |backend| commanding(backend, &fleet))
}

async fn run(story: Story) -> Ending {
    story.go(Goal::Run).await.0
}

const HOSTS: [&str; 4] = ["h1", "h2", "h3", "h4"];

#[tokio::test(start_paused = true)]
async fn a_command_is_run_once_and_nobody_is_asked_or_held() {
    let ending = run(command("100%")).await;
    assert_eq!((ending.code(), ending.words(&HOSTS)), (0, vec!["done".to_owned(); 4]));
    let calls = ending.fleet.calls();
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(calls.iter().all(|call| call.deed == Deed::Step), "{calls:?}");
    let works = ending.summary.plan.as_ref().unwrap().changes().map(|(_, change)| change.work);
    assert!(works.collect::<Vec<_>>().iter().all(|work| *work == Work::Run));
    assert!(ending.summary.served().is_empty(), "nobody asked what they serve");
    // It runs where another run is at work, too.
    let claim = Some((RunId::new("other").unwrap(), "bob".to_owned()));
    let ending = run(command("100%").set("h1", |host| host.claim = claim)).await;
    assert_eq!(ending.code(), 0);
}

#[tokio::test(start_paused = true)]
async fn commands_that_fail_are_told_apart() {
    let story = command("100%")
        .cut("h1")
        .fault("h2", Deed::Step, Turn::Always, Fault::Fail(ErrorKind::Rejected))
        .fault("h4", Deed::Step, Turn::Always, Fault::Hang);
    let ending = run(story).await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.words(&HOSTS), ["unreachable(run)", "failed(run)", "done", "failed(run)"]);
    // All failed: that is an answer too, not a refusal.
    let mut story = command("100%");
    for name in HOSTS {
        story = story.fault(name, Deed::Step, Turn::Always, Fault::Fail(ErrorKind::Rejected));
    }
    assert_eq!(run(story).await.code(), 6);
    // Nobody knows how it ended, and it is not repeated.
    let ending = run(command("100%").fault("h2", Deed::Step, Turn::Nth(1), Fault::LoseAfter)).await;
    assert_eq!((ending.code(), ending.word("h2").as_str()), (4, "unknown"));
    assert_eq!(ending.fleet.count(&target("h2"), Deed::Step), 1);
    assert!(matches!(ending.end("h2"), End::Unknown { one_of, .. } if one_of.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_a_command_stops_it_and_a_second_interrupt_kills_it() {
    let failing = Fault::Fail(ErrorKind::Rejected);
    let story = command("0").batch(0, "1").fault("h2", Deed::Step, Turn::Always, failing);
    let ending = run(story).await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.words(&HOSTS), ["done", "failed(run)", "not attempted", "not attempted"]);

    let story = command("100%").fault("h1", Deed::Step, Turn::Always, Fault::Hang).stop_at(
        "h1",
        Stage::Run,
        |stop| {
            stop.interrupt();
            stop.interrupt();
        },
    );
    let ending = run(story).await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.word("h1"), "failed(run)");
}
