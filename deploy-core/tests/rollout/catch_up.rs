//! Those that are behind come to serve what the others do, and nobody else is touched.

use deploy_core::{
    plan::{Goal, Stage},
    record::{Current, EventKind, Exit, NoCurrentError, RunId, Summary},
};

use super::rig::*;

const GROUPS: &[(&str, &[&str])] = &[("canary", &["h1"]), ("all", &["h2", "h3", "h4", "h5"])];
const ALL: [&str; 5] = ["h1", "h2", "h3", "h4", "h5"];

fn up_to(id: &str) -> Goal {
    Goal::CatchUp(version(id))
}

/// All serve v2, but for those that `behind` names.
fn story(behind: &[&str]) -> Story {
    let story = Story::new(GROUPS).group(0, |group| group.canary = true);
    for name in ALL.iter().filter(|name| !behind.contains(name)) {
        story.fleet.install(&target(name), &version("v2"));
    }
    story
}

/// No call but the first question reached these.
fn untouched(ending: &Ending, names: &[&str]) {
    let calls = ending.fleet.calls();
    for name in names {
        let deeds = calls.iter().filter(|call| call.target == target(name));
        let deeds: Vec<Deed> = deeds.map(|call| call.deed).collect();
        assert!(deeds.iter().all(|deed| *deed == Deed::Live), "{name}: {deeds:?}");
        assert!(!ending.summary.targets.contains_key(&target(name)), "{name} is planned");
    }
}

#[tokio::test(start_paused = true)]
async fn only_those_behind_are_brought_and_the_others_not_even_checked() {
    let ending = story(&["h3", "h5"]).go(up_to("v2")).await.0;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.words(&["h3", "h5"]), ["deployed", "deployed"]);
    assert_eq!(ending.serving(&ALL), ["v2"; 5]);
    untouched(&ending, &["h1", "h2", "h4"]);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_host_and_one_whose_run_died_are_behind() {
    let mut story = story(&["h4"]);
    story.fleet.set(&target("h4"), |host| *host = Default::default());
    let dead = RunId::new("dead").unwrap();
    story = story.set("h5", |host| host.claim = Some((dead.clone(), "bob".into())));
    story.fleet.bury(&dead);
    let ending = story.go(up_to("v2")).await.0;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.words(&["h4", "h5"]), ["deployed", "deployed"]);
    assert_eq!(ending.began(Stage::Promote), ["h4"], "h5 serves it, and is only confirmed");
    untouched(&ending, &["h1", "h2", "h3"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_named_and_stops_nothing() {
    let story = story(&["h3", "h4"]).cut("h4").cut("h1");
    let ending = story.go(up_to("v2")).await.0;
    // No budget counts them, not even the canary's, and a run that left any is not complete.
    assert_eq!(ending.exit(), Exit::Incomplete);
    let words = ["unreachable(connect)", "deployed", "unreachable(connect)"];
    assert_eq!(ending.words(&["h1", "h3", "h4"]), words);
    assert_eq!(ending.host("h3").good_versions(), ["v2", "v1"]);
    assert!(!ending.has(|kind| matches!(kind, EventKind::Breached { .. })));
    untouched(&ending, &["h2", "h5"]);
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_one_by_its_mark_and_not_by_its_place() {
    // Only the second group has hosts behind: it is none, and its own budget holds.
    let story = story(&["h2", "h3", "h4", "h5"]).allow(1, "1").batch(1, "1");
    let ill = deploy_core::testing::Fault::Unhealthy("it answers 500".into());
    let story = story.fault("h2", Deed::Check, deploy_core::testing::Turn::Nth(1), ill);
    let ending = story.go(up_to("v2")).await.0;
    assert_eq!(ending.exit(), Exit::Incomplete);
    assert_eq!(ending.word("h2"), "reverted(check)");
    assert_eq!(ending.words(&["h3", "h4", "h5"]), ["deployed"; 3]);
    assert!(ending.summary.plan.as_ref().unwrap().groups.iter().all(|group| !group.canary));
    untouched(&ending, &["h1"]);
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_is_behind_goes_first_and_allows_no_failure() {
    let story = story(&["h1", "h2"]).broken("v2");
    let ending = story.go(up_to("v2")).await.0;
    assert_eq!(ending.exit(), Exit::RolledBack);
    assert_eq!(ending.words(&["h1", "h2"]), ["reverted(check)", "not attempted"]);
    assert_eq!(ending.serving(&["h1", "h2", "h3"]), ["v1", "v1", "v2"]);
    untouched(&ending, &["h3", "h4", "h5"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_behind_is_nothing_to_do() {
    let ending = story(&[]).go(up_to("v2")).await.0;
    assert_eq!(ending.exit(), Exit::Complete);
    untouched(&ending, &ALL);
    let ending = story(&[]).cut("h4").go(up_to("v2")).await.0;
    assert_eq!(
        (ending.exit(), ending.word("h4")),
        (Exit::Incomplete, "unreachable(connect)".into())
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_held_by_another_run_is_behind_and_counts() {
    let run = RunId::new("other").unwrap();
    let claimed = |story: Story| story.set("h3", |host| host.claim = Some((run, "bob".into())));
    let ending = claimed(story(&["h2", "h3"]).allow(1, "1")).go(up_to("v2")).await.0;
    assert_eq!(ending.exit(), Exit::Incomplete);
    assert_eq!(ending.words(&["h2", "h3"]), ["deployed", "failed(preflight)"]);
}

/// What the record says after these runs, oldest first, each on the fleet that the last one left.
fn said(runs: &[&Ending]) -> Result<(String, bool), NoCurrentError> {
    let newest_first: Vec<Summary> = runs.iter().rev().map(|run| run.summary.clone()).collect();
    Current::of(newest_first).map(|current| (current.version.to_string(), current.went_back))
}

#[tokio::test(start_paused = true)]
async fn the_current_version_is_what_the_last_run_left_and_was_not_gone_back_from() {
    let groups: &[(&str, &[&str])] = &[("all", &["h1", "h2"])];
    assert_eq!(said(&[]), Err(NoCurrentError::None));
    let first = Story::new(groups).deploy("v2").await;
    assert_eq!(said(&[&first]), Ok(("v2".into(), false)));
    let part = Story::again(&first, groups, "run-2").allow(0, "1").cut("h2").deploy("v3").await;
    assert_eq!(said(&[&first, &part]), Ok(("v3".into(), false)), "within the budget");
    part.fleet.mend(&target("h2"));
    // Those that went back by themselves, were refused, or were stopped leave what was.
    let broken = Story::again(&part, groups, "run-3").broken("v4").deploy("v4").await;
    assert_eq!(broken.exit(), Exit::RolledBack);
    let story = Story::again(&broken, groups, "run-4");
    story.stop.interrupt();
    let refused = story.deploy("v5").await;
    assert_eq!(refused.exit(), Exit::Interrupted);
    assert_eq!(said(&[&first, &part, &broken, &refused]), Ok(("v3".into(), false)));
    // Each host to its own last good one: h1 from v3, h2 from v2.
    let several = Story::again(&refused, groups, "run-5").roll_back().await;
    assert_eq!(several.serving(&["h1", "h2"]), ["v2", "v1"]);
    assert_eq!(
        said(&[&part, &several]),
        Err(NoCurrentError::Several(RunId::new("run-5").unwrap()))
    );
    let story = Story::again(&several, groups, "run-6");
    let to_one = story.go(Goal::RollBackTo(version("v1"))).await.0;
    assert_eq!(said(&[&part, &several, &to_one]), Ok(("v1".into(), true)));
}

#[tokio::test(start_paused = true)]
async fn what_is_served_well_is_good_and_in_use() {
    let story = story(&["h1", "h2"]).cut("h5");
    story.fleet.leave_half_done(&target("h2"), &version("v3"));
    let request = story.request(up_to("v2"));
    let pipeline = deploy_core::run::Pipeline::new(story.fleet.backend());
    let (run, cancel) = (RunId::new("asks").unwrap(), deploy_core::backend::Cancel::new());
    let strategy = &request.strategy;
    let survey = pipeline
        .survey(&request.groups, &strategy.timeouts, &strategy.retry, &run, "ann", &cancel)
        .await;
    let served: Vec<(String, usize)> = survey
        .served_well()
        .iter()
        .map(|served| (served.version.to_string(), served.targets.len()))
        .collect();
    assert_eq!(served, [("v2".to_owned(), 2), ("v1".to_owned(), 1)]);
    let behind: Vec<&str> =
        survey.behind(&version("v2")).iter().map(|target| target.as_str()).collect();
    assert_eq!(behind, ["h1", "h2"]);
}
