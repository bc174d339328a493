//! Rules 18, 22 and 23: what is said at the end is so; and what a panic does.

use std::{collections::BTreeMap, time::Duration};

use deploy_core::{
    backend::ErrorKind,
    plan::Stage,
    record::{End, EventKind, Failure, Served},
    run::Pipeline,
    testing::{Fault, Fleet, Turn},
};

use super::rig::*;

#[tokio::test(start_paused = true)]
async fn rule_18_every_planned_target_is_named_with_its_end() {
    let names = ["h1", "h2", "h3", "h4", "h5", "h6"];
    let story = Story::new(&[("all", &names)])
        .allow(0, "4")
        .cut("h1")
        .fault("h2", Deed::Fetch, Turn::Always, Fault::Fail(ErrorKind::Rejected))
        .fault("h3", Deed::Check, Turn::Nth(1), Fault::Unhealthy("sick".into()))
        .fault("h4", Deed::Promote, Turn::Nth(1), Fault::DieBefore);
    story.fleet.install(&target("h5"), &version("v2"));
    let ending = story.deploy("v2").await;
    assert_eq!(
        ending.words(&names),
        [
            "unreachable(connect)",
            "failed(fetch)",
            "reverted(check)",
            "unknown",
            "unchanged",
            "deployed"
        ]
    );
    assert_eq!(ending.code(), 4);
    let counts = ending.summary.counts();
    assert_eq!((counts.planned, counts.open), (6, 0));
    let End::Unreachable { served, .. } = ending.end("h1") else { panic!() };
    assert_eq!(*served, Served::NeverAsked);
}

#[tokio::test(start_paused = true)]
async fn rule_18_who_cannot_be_reached_is_last_known_to_serve_what_an_earlier_run_saw() {
    let names = ["h1", "h2", "h3", "h4"];
    let groups: [(&str, &[&str]); 1] = [("all", &names)];
    let first = Story::new(&groups)
        .allow(0, "3")
        .fault("h2", Deed::Check, Turn::Nth(1), Fault::Unhealthy("sick".into()))
        .fault("h3", Deed::Promote, Turn::Nth(1), Fault::DieBefore)
        .cut("h4")
        .deploy("v2")
        .await;
    let known = first.summary.served();
    let serves = |id: &str| Served::Release { release: Fleet::release_of(&version(id)) };
    assert_eq!(known[&target("h1")], Some(serves("v2")));
    assert_eq!(known[&target("h2")], Some(serves("v1")));
    assert_eq!(known[&target("h3")], None, "one of two");
    assert!(!known.contains_key(&target("h4")), "never asked");

    let known: BTreeMap<_, _> =
        known.into_iter().filter_map(|(target, served)| Some((target, served?))).collect();
    let pipeline = move |backend| Pipeline::new(backend).with_last_known(known.clone());
    let next = Story::again(&first, &groups, "run-2").allow(0, "3").cut("h1").pipeline(pipeline);
    let next = next.fault("h2", Deed::Live, Turn::Always, Fault::Fail(ErrorKind::Denied));
    let ending = next.deploy("v3").await;
    let served = |name: &str| match ending.end(name) {
        End::Failed { served, .. } | End::Unreachable { served, .. } => served.clone(),
        end => panic!("{name}: {end:?}"),
    };
    assert_eq!(served("h1"), serves("v2"), "last known");
    assert_eq!(served("h2"), Served::NeverAsked, "it answered, and did not say");
    assert_eq!(served("h3"), Served::NeverAsked);
}

#[tokio::test(start_paused = true)]
async fn rule_18_equal_failures_are_grouped() {
    let names = ["h1", "h2", "h3", "h4", "h5"];
    let full = || Fault::Fail(ErrorKind::Rejected);
    let story = Story::new(&[("all", &names)])
        .allow(0, "3")
        .fault("h2", Deed::Fetch, Turn::Always, full())
        .fault("h3", Deed::Fetch, Turn::Always, full())
        .cut("h5");
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    let clusters = ending.summary.clusters();
    assert_eq!(clusters.len(), 2);
    assert_eq!(clusters[0].targets, [target("h2"), target("h3")]);
    assert_eq!(clusters[1].targets, [target("h5")]);
    // Names that differ in more than a number, and one that begins another.
    let names = ["web", "web.b", "db"];
    let ending = Story::new(&[("all", &names)]).deploy("v1").await;
    let mut summary = ending.summary.clone();
    for (name, summary) in &mut summary.targets {
        let failure = Failure {
            stage: Stage::Fetch,
            kind: ErrorKind::Rejected,
            attempted: format!("fetch v2 to {name}"),
            cause: format!("{name}: no room on \"{name}\""),
            hint: None,
            evidence: None,
        };
        summary.end = Some(End::Failed { failure, served: Served::Nothing });
    }
    let clusters = summary.clusters();
    assert_eq!(clusters.len(), 1, "{clusters:?}");
    assert_eq!(clusters[0].failure.cause, "the target: no room on \"the target\"");
}

#[tokio::test(start_paused = true)]
async fn rule_22_pruning_is_left_to_finalize_and_spares_the_way_back() {
    let mut ending = Story::new(&[("all", &["h1"])]).deploy("v2").await;
    ending.fleet.set_keep(1);
    for (number, id) in ["v3", "v4", "v5"].iter().enumerate() {
        let run = format!("next-{number}");
        ending = Story::again(&ending, &[("all", &["h1"])], &run).deploy(id).await;
        assert_eq!(ending.code(), 0);
    }
    assert_eq!(ending.host("h1").good_versions(), ["v5", "v4"]);
    let ending = Story::again(&ending, &[("all", &["h1"])], "back").roll_back().await;
    assert_eq!((ending.code(), ending.host("h1").serves()), (0, Some("v4")));
}

#[tokio::test(start_paused = true)]
async fn rule_22_a_run_that_goes_back_prunes_nothing() {
    let story = Story::new(&[("all", &["h1"])]).broken("v2");
    story.fleet.install(&target("h1"), &version("v0"));
    story.fleet.install(&target("h1"), &version("v1"));
    story.fleet.set_keep(1);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.host("h1").good_versions().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn rule_23_every_started_has_its_finished_even_when_backends_panic() {
    let deeds = [
        (Deed::Live, "failed(connect)"),
        (Deed::Fetch, "failed(fetch)"),
        (Deed::Running, "failed(promote)"),
        (Deed::Promote, "failed(promote)"),
        (Deed::Restart, "reverted(restart)"),
        (Deed::Check, "reverted(check)"),
    ];
    for (deed, word) in deeds {
        let story = Story::new(&[("all", &["h1", "h2"])]).allow(0, "1").fault(
            "h1",
            deed,
            Turn::Nth(1),
            Fault::Panic,
        );
        // The rig asserts the pairs, the lock, and that each target ends exactly once.
        let ending = story.deploy("v2").await;
        assert_eq!(ending.words(&["h1", "h2"]), [word, "deployed"], "{deed:?}");
        assert_eq!(ending.code(), 6, "{deed:?}");
        let failure = ending.end("h1").failure().unwrap();
        assert!(failure.cause.contains("panicked"), "{deed:?}: {}", failure.cause);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_answers_is_given_up() {
    let deeds = [Deed::Live, Deed::Fetch, Deed::Promote, Deed::Restart, Deed::Check];
    for deed in deeds {
        let story = Story::new(&[("all", &["h1", "h2"])]).allow(0, "1").fault(
            "h1",
            deed,
            Turn::Nth(1),
            Fault::Deaf,
        );
        let ending = story.deploy("v2").await;
        assert_eq!(ending.code(), 6, "{deed:?}");
        assert_eq!(ending.word("h2"), "deployed");
        assert!(ending.end("h1").failure().unwrap().cause.contains("no answer"), "{deed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_lies_is_found_out_by_the_checks() {
    for deed in [Deed::Promote, Deed::Restart] {
        let story = Story::new(&[("all", &["h1", "h2"])]).allow(0, "1").fault(
            "h1",
            Deed::Restart,
            Turn::Nth(1),
            Fault::Lie,
        );
        let ending = story.deploy("v2").await;
        assert_eq!(ending.word("h1"), "reverted(check)", "{deed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_is_repeated_as_its_policy_says() {
    let starting = Fault::NotYet("port 1134 is not open".into());
    // Each second, for 30 seconds.
    let story =
        Story::new(&[("all", &["h1"])]).fault("h1", Deed::Check, Turn::Nth(1), starting.clone());
    assert_eq!(story.deploy("v2").await.code(), 0);
    let story = Story::new(&[("all", &["h1", "h2"])]).allow(0, "1").fault(
        "h1",
        Deed::Check,
        Turn::Always,
        starting,
    );
    let ending = story.deploy("v2").await;
    let failed = ending.events.iter().find_map(|event| match &event.kind {
        EventKind::StageFinished { stage: Stage::Check, outcome, .. } => match outcome {
            deploy_core::record::StageOutcome::Failed { failure } => Some(failure.clone()),
            deploy_core::record::StageOutcome::Done => None,
        },
        _ => None,
    });
    let failure = failed.unwrap();
    assert_eq!(failure.cause, "port 1134 is not open");
    assert_eq!(failure.kind, ErrorKind::TimedOut);
    assert!(ending.fleet.count(&target("h1"), Deed::Check) >= 30);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_targets_are_fine() {
    let names: Vec<String> = (0..10_000).map(|number| format!("h{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let story = Story::new(&[("canary", &names[..10]), ("all", &names[10..])])
        .allow(1, "1%")
        .batch(1, "10%")
        .fault("h77", Deed::Check, Turn::Nth(1), Fault::Unhealthy("sick".into()));
    story.fleet.without_record();
    story.fleet.set_latency(Duration::from_millis(20));
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.summary.counts().deployed, 9_999);
}
