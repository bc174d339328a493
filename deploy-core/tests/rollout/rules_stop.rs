//! Rules 19 to 21: lost answers, stops, and starting again.

use std::sync::Arc;

use async_trait::async_trait;
use deploy_core::{
    backend::{Answer, BackendError, Changes, ErrorKind, Listed, Question, VersionSource},
    model::{Version, VersionRef},
    plan::{OnAbort, Stage},
    record::{End, EventKind, ObserveError, Served, StopCause},
    run::Pipeline,
    testing::{Fault, Turn},
};

use super::rig::*;

const STAGES: [Stage; 5] =
    [Stage::Fetch, Stage::Promote, Stage::Restart, Stage::Check, Stage::Finalize];

const GROUPS: [(&str, &[&str]); 2] = [("canary", &["c1"]), ("all", &["h1", "h2"])];

#[tokio::test(start_paused = true)]
async fn rule_19_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice() {
    for deed in [Deed::Live, Deed::Fetch, Deed::Promote, Deed::Restart, Deed::Finalize] {
        for fault in [Fault::LoseBefore, Fault::LoseAfter] {
            let story = Story::new(&GROUPS).fault("h1", deed, Turn::Nth(1), fault.clone());
            let ending = story.deploy("v2").await;
            assert_eq!(ending.code(), 0, "{deed:?} {fault:?}");
            assert_eq!(ending.host("h1").starts, 2, "{deed:?} {fault:?}: restarted once");
            assert!(ending.has(|kind| matches!(kind, EventKind::Retried { .. })));
            let second =
                ending.fleet.calls().into_iter().find(|c| c.deed == deed && c.attempt == 2);
            assert_eq!(second.unwrap().target, target("h1"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_19_a_promote_whose_answer_stays_lost_is_asked_about() {
    // The link breaks each time, but the switch was made: the target says so.
    let story =
        Story::new(&[("all", &["h1"])]).fault("h1", Deed::Promote, Turn::Always, Fault::LoseAfter);
    assert_eq!(story.deploy("v2").await.code(), 0);

    // The target is gone: nobody knows.
    let names = ["h1", "h2", "h3"];
    let story = Story::new(&[("all", &names)]).allow(0, "1").fault(
        "h1",
        Deed::Promote,
        Turn::Nth(1),
        Fault::DieAfter,
    );
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 4);
    assert_eq!(ending.words(&names), ["unknown", "deployed", "deployed"]);
    let End::Unknown { one_of, .. } = ending.end("h1") else { panic!() };
    assert_eq!(one_of.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rule_20_interrupt_in_each_stage_lets_the_stage_end_and_then_leaves() {
    for stage in STAGES {
        let story = Story::new(&GROUPS).answers(Some(Answer::Yes), Some(Answer::No)).stop_at(
            "c1",
            stage,
            |stop| stop.interrupt(),
        );
        let ending = story.deploy("v2").await;
        if stage == Stage::Finalize {
            assert_eq!(ending.code(), 0, "all was done by then");
            continue;
        }
        assert_eq!(ending.code(), 130, "{stage}");
        assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"], "{stage}");
        let canary = match stage {
            Stage::Fetch => ("not attempted", "v1"),
            Stage::Promote => ("failed(restart)", "v2"),
            Stage::Restart => ("failed(check)", "v2"),
            _ => ("deployed", "v2"),
        };
        assert_eq!((ending.word("c1").as_str(), ending.serving(&["c1"])[0].as_str()), canary);
        let asked = ending.has(|kind| matches!(kind, EventKind::QuestionStarted { .. }));
        assert_eq!(asked, stage != Stage::Fetch, "{stage}: nothing touched, nothing to ask");
        assert!(ending.host("c1").claim.is_none(), "{stage}: the claim is given up");
        assert_eq!(ending.host("c1").good_versions(), ["v1"], "{stage}");
    }
}

#[tokio::test(start_paused = true)]
async fn rule_20_what_an_interrupted_run_deployed_is_left_to_finish() {
    let story = Story::new(&GROUPS)
        .answers(Some(Answer::Yes), Some(Answer::No))
        .batch(1, "1")
        .stop_at("h1", Stage::Promote, |stop| stop.interrupt());
    story.fleet.install(&target("h2"), &version("v2"));
    let ending = story.deploy("v2").await;
    let names = ["c1", "h1", "h2"];
    assert_eq!(ending.words(&names), ["deployed", "failed(restart)", "not attempted"]);
    // h2 serves it and is good: nothing is left to do there. c1 serves it and is not good yet.
    assert_eq!(ending.summary.unfinished(), [&target("c1"), &target("h1")]);
    let ending = Story::again(&ending, &[("all", &["c1", "h1"])], "run-2").deploy("v2").await;
    assert_eq!((ending.code(), ending.summary.unfinished().len()), (0, 0));
    assert!(ending.host("c1").good_versions().contains(&"v2"));
}

#[tokio::test(start_paused = true)]
async fn rule_20_interrupt_may_be_answered_with_going_back() {
    for stage in [Stage::Promote, Stage::Restart, Stage::Check] {
        let story = Story::new(&GROUPS).stop_at("h1", stage, |stop| stop.interrupt());
        let ending = story.deploy("v2").await;
        assert_eq!(ending.code(), 130, "{stage}");
        assert_eq!(ending.serving(&["c1", "h1", "h2"]), ["v1"; 3], "{stage}");
        assert_eq!(ending.host("h1").runs(), Some("v1"));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_20_terminate_asks_nobody() {
    for (on_abort, expect) in [(OnAbort::Leave, "v2"), (OnAbort::RollBack, "v1")] {
        for stage in [Stage::Promote, Stage::Restart, Stage::Check] {
            let story = Story::new(&GROUPS)
                .answers(Some(Answer::Yes), None)
                .strategy(|strategy| strategy.on_abort = on_abort)
                .stop_at("c1", stage, |stop| stop.request(StopCause::Terminate));
            let ending = story.deploy("v2").await;
            assert_eq!(ending.code(), 130, "{stage}");
            assert_eq!(ending.serving(&["c1", "h1"]), [expect, "v1"], "{stage}");
            assert!(!ending.has(|kind| matches!(kind, EventKind::QuestionStarted { .. })));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_20_kill_in_each_stage_ends_what_hangs_and_asks_what_is_served() {
    let deeds = [Deed::Fetch, Deed::Promote, Deed::Restart, Deed::Check, Deed::Finalize];
    for (stage, deed) in STAGES.into_iter().zip(deeds) {
        for fault in [Fault::Hang, Fault::Deaf] {
            let story = Story::new(&GROUPS)
                .answers(Some(Answer::Yes), None)
                .fault("c1", deed, Turn::Nth(1), fault.clone())
                .stop_at("c1", stage, |stop| stop.request(StopCause::Kill));
            let ending = story.deploy("v2").await;
            let expect = match stage {
                Stage::Fetch => (130, "failed(fetch)", "v1"),
                Stage::Promote => (130, "failed(promote)", "v1"),
                Stage::Restart => (130, "failed(restart)", "v2"),
                Stage::Check => (130, "failed(check)", "v2"),
                _ => (6, "deployed", "v2"),
            };
            let word = ending.word("c1");
            let serving = ending.serving(&["c1"]);
            assert_eq!((ending.code(), word.as_str(), serving[0].as_str()), expect, "{fault:?}");
            if stage != Stage::Finalize {
                let failure = ending.end("c1").failure().unwrap();
                assert_eq!(failure.kind, ErrorKind::Cancelled, "killed, not waited for");
            }
        }
    }
}

/// Never says what lies between two versions.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl VersionSource for Silent {
    async fn resolve(&self, _: &VersionRef) -> Result<Version, BackendError> {
        std::future::pending().await
    }

    async fn list(&self, _: usize) -> Result<Vec<Listed>, BackendError> {
        std::future::pending().await
    }

    async fn changes(&self, _: &Version, _: &Version) -> Result<Changes, BackendError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_stop_is_heard_while_the_source_is_asked() {
    let story = Story::new(&[("all", &["h1"])])
        .pipeline(|backend| Pipeline::new(backend).with_source(Arc::new(Silent)));
    let stop = story.stop.clone();
    let later = async {
        tokio::time::sleep(MINUTE).await;
        stop.interrupt();
    };
    let (ending, ()) = tokio::join!(story.deploy("v2"), later);
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.serving(&["h1"]), ["v1"]);
}

#[tokio::test(start_paused = true)]
async fn rule_20_kill_while_connecting_refuses_at_once() {
    let story = Story::new(&GROUPS).fault("h1", Deed::Live, Turn::Always, Fault::Hang).stop_at(
        "h1",
        Stage::Connect,
        |stop| stop.interrupt(),
    );
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert!(ending.began(Stage::Fetch).is_empty());
}

#[tokio::test(start_paused = true)]
async fn rule_20_ctrl_c_does_not_stop_a_rollback_and_the_second_does() {
    let at_rollback = |presses: u32| {
        move |event: &deploy_core::record::Event,
              stop: &deploy_core::run::Stop,
              _: &deploy_core::testing::Fleet| {
            if matches!(event.kind, EventKind::StageStarted { rolling_back: true, .. }) {
                (0..presses).for_each(|_| stop.interrupt());
            }
            Ok::<_, ObserveError>(())
        }
    };
    let one_by_one = |story: Story| {
        story.strategy(|strategy| strategy.rollback_batch = "1".parse().unwrap()).broken("v2")
    };
    let names = ["h1", "h2", "h3"];
    let mut pressed = false;
    let story = one_by_one(Story::new(&[("all", &names)])).on(move |event, stop, _| {
        if matches!(event.kind, EventKind::StageStarted { rolling_back: true, .. }) && !pressed {
            pressed = true;
            stop.interrupt();
        }
        Ok(())
    });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3, "one Ctrl-C does not stop it");
    assert_eq!(ending.serving(&names), ["v1"; 3]);

    let story = one_by_one(Story::new(&[("all", &names)])).on(at_rollback(2));
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 4, "a rollback that was stopped has failed");
    assert_eq!(ending.serving(&["h1", "h2"]), ["v2", "v2"]);
    assert_eq!(ending.words(&["h1", "h2"]), ["failed(rollback)", "failed(rollback)"]);
}

#[tokio::test(start_paused = true)]
async fn rule_20_after_an_interrupt_the_count_starts_anew_for_the_rollback() {
    let mut pressed = false;
    let story = Story::new(&GROUPS).on(move |event, stop, _| {
        match &event.kind {
            EventKind::StageStarted { stage: Stage::Check, rolling_back: false, .. } => {
                stop.interrupt();
            }
            EventKind::StageStarted { stage: Stage::Promote, rolling_back: true, .. }
                if !pressed =>
            {
                pressed = true;
                stop.interrupt();
            }
            _ => {}
        }
        Ok(())
    });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.word("c1"), "reverted");
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_stop_is_heard_while_a_gate_is_asked() {
    let story = Story::new(&GROUPS)
        .group(0, |group| group.gate.ask = true)
        .answers(None, Some(Answer::No))
        .on(|event, stop, _| {
            if matches!(
                event.kind,
                EventKind::QuestionStarted { question: Question::Continue { .. } }
            ) {
                stop.interrupt();
            }
            Ok(())
        });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert!(ending.has(|kind| matches!(
        kind,
        EventKind::QuestionFinished { question: Question::Continue { .. }, answer: None }
    )));
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_stop_is_heard_in_a_soak() {
    let mut ill = 0;
    let story = Story::new(&GROUPS)
        .group(0, |group| group.gate.soak = Some(60 * MINUTE))
        .answers(Some(Answer::Yes), Some(Answer::No))
        .on(move |event, stop, _| {
            if matches!(event.kind, EventKind::StageFinished { stage: Stage::Check, .. }) {
                ill += 1;
                if ill == 3 {
                    stop.interrupt();
                }
            }
            Ok(())
        });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.words(&["c1", "h1"]), ["deployed", "not attempted"]);
    assert_eq!(ending.fleet.count(&target("c1"), Deed::Check), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_weaker_cause_never_overrides_a_stronger() {
    // Breach, then Ctrl-C while the batch ends: the deployer is asked as after Ctrl-C.
    let story = Story::new(&[("all", &["h1", "h2"])])
        .fault("h1", Deed::Restart, Turn::Nth(1), Fault::Fail(ErrorKind::Rejected))
        .fault("h2", Deed::Restart, Turn::Nth(1), Fault::Hang)
        .answers(None, Some(Answer::No))
        .on(|event, stop, _| {
            if matches!(event.kind, EventKind::Breached { .. }) {
                stop.interrupt();
            }
            Ok(())
        });
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert!(ending.has(|kind| matches!(
        kind,
        EventKind::QuestionStarted { question: Question::RollBackAfterStop { .. } }
    )));
    assert!(!ending.has(|kind| matches!(
        kind,
        EventKind::QuestionStarted { question: Question::RollBackAfterBreach { .. } }
    )));
}

#[tokio::test(start_paused = true)]
async fn rule_20_after_a_stop_a_budget_does_not_matter_any_more() {
    let story = Story::new(&GROUPS)
        .fault("h2", Deed::Promote, Turn::Always, Fault::Fail(ErrorKind::Rejected))
        .stop_at("h2", Stage::Promote, |stop| stop.interrupt());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.word("h2"), "failed(promote)");
    assert!(!ending.has(|kind| matches!(kind, EventKind::Breached { .. })));
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_rollback_after_ctrl_c_repeats_what_was_lost() {
    let story = Story::new(&GROUPS)
        .fault("c1", Deed::Promote, Turn::Nth(2), Fault::LoseBefore)
        .stop_at("h1", Stage::Promote, |stop| stop.interrupt());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.words(&["c1"]), ["reverted"]);
}

fn lose_journal(at: Stage) -> impl FnMut(&EventKind) -> Result<(), ObserveError> {
    let mut lost = false;
    move |kind| {
        lost |= matches!(kind, EventKind::StageFinished { stage, .. } if *stage == at);
        if lost { Err(ObserveError("disk full".into())) } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn rule_20_a_lost_journal_stops_the_run_in_order() {
    for (at, code, serves) in [
        (Stage::Connect, 1, "v1"),
        (Stage::Fetch, 1, "v1"),
        (Stage::Promote, 4, "v2"),
        (Stage::Check, 4, "v2"),
    ] {
        let mut lose = lose_journal(at);
        let story = Story::new(&GROUPS).on(move |event, _, _| lose(&event.kind));
        let ending = story.deploy("v2").await;
        assert_eq!(ending.code(), code, "{at}");
        assert_eq!(ending.serving(&["c1", "h1", "h2"]), [serves, "v1", "v1"], "{at}");
        assert!(!ending.has(|kind| matches!(kind, EventKind::QuestionStarted { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn rule_21_the_same_command_is_the_resume() {
    let names = ["h1", "h2", "h3"];
    let story = Story::new(&[("all", &names)]).allow(0, "1").fault(
        "h2",
        Deed::Fetch,
        Turn::Always,
        Fault::Fail(ErrorKind::Rejected),
    );
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.summary.unfinished(), [&target("h2")]);
    ending.fleet.mend(&target("h2"));
    let ending = Story::again(&ending, &[("all", &names)], "run-2").deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.words(&names), ["unchanged", "deployed", "unchanged"]);
}

#[tokio::test(start_paused = true)]
async fn rule_21_a_claim_of_a_dead_run_is_taken_over_and_another_is_not() {
    let claim = |run: &str| Some((deploy_core::record::RunId::new(run).unwrap(), "bob".into()));
    let story = Story::new(&[("all", &["h1"])]).set("h1", |host| host.claim = claim("run-0"));
    story.fleet.bury(&deploy_core::record::RunId::new("run-0").unwrap());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);

    let story = Story::new(&[("all", &["h1", "h2"])]).set("h1", |host| host.claim = claim("run-0"));
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 5);
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"]);
    assert_eq!(ending.host("h1").claim, claim("run-0"), "the claim of another run stays");
    assert!(ending.host("h2").claim.is_none());
    let End::Failed { served, .. } = ending.end("h1") else { panic!() };
    assert!(matches!(served, Served::Release { .. }), "it answered before it was found claimed");
}
