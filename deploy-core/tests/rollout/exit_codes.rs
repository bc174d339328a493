//! The table of exit codes: for each, a run that ends with it.

use deploy_core::{
    backend::{Answer, ErrorKind, Holder},
    plan::{OnBreach, Stage},
    record::{Exit, RunId, StopCause},
    run::Refusal,
    testing::{Fault, Turn},
};
use jiff::Timestamp;

use super::rig::*;

const GROUPS: [(&str, &[&str]); 2] = [("canary", &["c1"]), ("all", &["h1", "h2"])];

type Case = (&'static str, u8, fn(Story) -> Story);

const CASES: [Case; 13] = [
    ("all deployed", 0, |story| story),
    ("one down, nothing touched yet", 1, |story| story.cut("h1")),
    ("within the budget, one down", 6, |story| story.allow(1, "1").cut("h1")),
    ("within the budget, one reverted", 6, |story| {
        story.allow(1, "1").fault("h1", Deed::Check, Turn::Nth(1), Fault::Unhealthy("ill".into()))
    }),
    ("breach, all back", 3, |story| story.broken("v2")),
    ("breach, left", 4, |story| {
        story.broken("v2").strategy(|strategy| strategy.on_breach = OnBreach::Leave)
    }),
    ("breach, one not back", 4, |story| {
        story.broken("v2").fault("c1", Deed::Promote, Turn::Nth(2), Fault::Fail(ErrorKind::Denied))
    }),
    ("one unknown", 4, |story| {
        story.allow(1, "1").fault("h1", Deed::Promote, Turn::Nth(1), Fault::DieAfter)
    }),
    ("claimed by another run", 5, |story| {
        let claim = Some((RunId::new("other").unwrap(), "bob".to_owned()));
        story.set("h2", |host| host.claim = claim)
    }),
    ("interrupted and left", 130, |story| {
        story
            .answers(Some(Answer::Yes), Some(Answer::No))
            .stop_at("h1", Stage::Promote, |stop| stop.interrupt())
    }),
    ("terminated", 130, |story| {
        story.stop_at("h1", Stage::Restart, |stop| stop.request(StopCause::Terminate))
    }),
    ("no at the gate", 130, |story| {
        story.group(0, |group| group.gate.ask = true).answers(Some(Answer::No), Some(Answer::Yes))
    }),
    ("interrupted, and the rollback failed", 4, |story| {
        story.fault("c1", Deed::Promote, Turn::Nth(2), Fault::Fail(ErrorKind::Rejected)).stop_at(
            "h1",
            Stage::Promote,
            |stop| stop.interrupt(),
        )
    }),
];

#[tokio::test(start_paused = true)]
async fn each_exit_code_has_its_run() {
    for (name, code, prepare) in CASES {
        let ending = prepare(Story::new(&GROUPS)).deploy("v2").await;
        assert_eq!(ending.code(), code, "{name}: {:?}", ending.summary.counts());
    }
}

#[test]
fn a_held_lock_is_exit_5_with_who_and_why() {
    let holder = Holder {
        who: "bob".into(),
        host: "desk".into(),
        pid: 7,
        why: Some("big migration".into()),
        since: Timestamp::UNIX_EPOCH,
        run: None,
        until: None,
    };
    let refusal = Refusal::locked(&holder);
    assert_eq!(refusal.exit, Exit::Locked);
    assert!(refusal.reason.contains("bob on desk") && refusal.reason.contains("big migration"));
}
