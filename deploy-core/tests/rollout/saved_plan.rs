//! A saved plan is run exactly, or not at all.

use deploy_core::{
    model::Gate,
    plan::{Difference, Goal, OnBreach, SavedPlan},
    record::RunId,
};

use super::rig::*;

const GROUPS: &[(&str, &[&str])] = &[("canary", &["h1"]), ("all", &["h2", "h3"])];

fn to_v2() -> Goal {
    Goal::Deploy(version("v2"))
}

/// The plan of `before` is applied to `after`: refused with nothing touched, and why.
async fn refused(before: &Story, mut after: Story) -> String {
    let saved = before.plan_to_save(to_v2()).await;
    // It is kept as text meanwhile.
    let text = serde_json::to_string(&saved).unwrap();
    after.saved = Some(serde_json::from_str(&text).unwrap());
    let (ending, refusal) = after.go(to_v2()).await;
    assert_eq!(ending.code(), 1);
    for deed in [Deed::Fetch, Deed::Promote, Deed::Restart, Deed::Finalize] {
        assert!(ending.fleet.calls().iter().all(|call| call.deed != deed), "{deed:?}");
    }
    assert!(ending.summary.plan.is_none(), "nobody wanted that plan");
    refusal.unwrap().reason
}

/// What a change of the fleet since makes of a saved plan.
async fn moved(change: impl FnOnce(Story) -> Story) -> String {
    let (before, after) = (Story::new(GROUPS), Story::new(GROUPS));
    refused(&before, change(after)).await
}

#[tokio::test(start_paused = true)]
async fn what_has_not_moved_is_applied() {
    let mut story = Story::new(GROUPS);
    story.saved = Some(story.plan_to_save(to_v2()).await);
    let planned = story.saved.clone().unwrap().plan;
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(*ending.summary.plan.unwrap(), planned);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_can_be_saved_too() {
    let ending = Story::new(GROUPS).deploy("v2").await;
    let mut story = Story::again(&ending, GROUPS, "run-2");
    story.saved = Some(story.plan_to_save(Goal::RollBack).await);
    let ending = story.roll_back().await;
    assert_eq!((ending.code(), ending.serving(&["h1", "h3"])), (0, vec!["v1".into(), "v1".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_moved_is_named_with_what_it_was_and_is() {
    let told = moved(|story| {
        story.fleet.install(&target("h2"), &version("v3"));
        story
    });
    let told = told.await;
    assert!(told.contains("\n  h2: live: was v1, is v3"), "{told}");
    assert!(
        told.contains("\n  h2: good: was v1-0 of before, is v1-0 of before, v3-0 of before"),
        "{told}"
    );
    assert!(!told.contains("h1") && !told.contains("h3"), "{told}");
    assert!(
        moved(|story| story.cut("h3"))
            .await
            .contains("h3: asked: was answers, is cannot be reached")
    );
    let run = RunId::new("other").unwrap();
    let told = moved(|story| story.set("h1", |host| host.claim = Some((run, "bob".into())))).await;
    assert!(told.contains("h1: claim: was nothing, is run other of bob"), "{told}");
    let told = moved(|story| story.set("h1", |host| host.lacks = vec!["no git".into()])).await;
    assert!(told.contains("h1: lacks: was nothing, is no git"), "{told}");
    let told = moved(|story| story.set("h2", |host| host.good.clear())).await;
    assert!(told.contains("h2: good: was v1-0 of before, is nothing"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_went_there_and_back_has_moved() {
    let saved = Story::new(GROUPS).plan_to_save(to_v2()).await;
    let ending = Story::new(GROUPS).deploy("v3").await;
    let ending = Story::again(&ending, GROUPS, "run-2").roll_back().await;
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"], "as before, it seems");
    let mut story = Story::again(&ending, GROUPS, "run-3");
    story.saved = Some(saved);
    let (ending, refusal) = story.go(to_v2()).await;
    assert_eq!(ending.code(), 1);
    let told = refusal.unwrap().reason;
    assert!(told.contains("h1, h2, h3: live: was v1, is v1 (run run-2 by ann@desk)"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_again_has_moved() {
    let allow = |story: Story| story.allow(1, "1");
    let told = refused(&allow(Story::new(GROUPS)).cut("h3"), allow(Story::new(GROUPS))).await;
    assert!(told.contains("h3: asked: was cannot be reached, is answers"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn another_configuration_is_another_plan() {
    for (change, expected) in [
        (
            Box::new(|story: Story| story.batch(1, "1")) as Box<dyn Fn(Story) -> Story>,
            "h3: batch: was 1, is 2",
        ),
        (
            Box::new(|story| story.allow(1, "1")),
            "group all: budget: was stops at the 1st failure of 2, is stops at the 2nd failure of 2",
        ),
        (
            Box::new(|story| story.group(1, |group| group.canary = true)),
            "group canary: canary: was true, is false",
        ),
        (
            Box::new(|story| {
                story.group(0, |group| group.gate = Gate { ask: true, ..Gate::default() })
            }),
            "group canary: gate: ask: was false, is true",
        ),
        (
            Box::new(|story| story.strategy(|strategy| strategy.on_breach = OnBreach::Leave)),
            "run: on_breach: was ask, is leave",
        ),
        (
            Box::new(|story| story.strategy(|strategy| strategy.timeouts.restart *= 2)),
            "run: timeouts.restart: was 120s, is 240s",
        ),
        (
            Box::new(|story| {
                story.pipeline(|mut backend| {
                    backend.checks[0].policy.retries = 3;
                    deploy_core::run::Pipeline::new(backend)
                })
            }),
            "check healthy: retries: was 0, is 3",
        ),
        (
            Box::new(|story| {
                story.pipeline(|mut backend| {
                    backend.restarters.clear();
                    backend.checks.clear();
                    deploy_core::run::Pipeline::new(backend)
                })
            }),
            "checks: was healthy, is none",
        ),
        (
            Box::new(|story| story.group(1, |group| group.targets.push(target("h4")))),
            "h4: host: was not among the hosts, is in group all",
        ),
        (
            Box::new(|story| story.group(1, |group| group.targets.truncate(1))),
            "h3: host: was in group all, is not among the hosts",
        ),
    ] {
        let told = moved(change).await;
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
}

#[test]
fn many_that_moved_alike_are_one_difference() {
    let names: Vec<String> = (1..=12).map(|number| format!("h{number:02}")).collect();
    let difference = Difference {
        targets: names.iter().map(|name| target(name)).collect(),
        ..Difference::new("live", "v1", "v2")
    };
    let told = difference.to_string();
    assert!(told.starts_with("h01, h02") && told.ends_with("h10 and 2 more: live: was v1, is v2"));
}

#[tokio::test(start_paused = true)]
async fn another_version_is_another_plan() {
    let saved = Story::new(GROUPS).plan_to_save(to_v2()).await;
    let now: SavedPlan = Story::new(GROUPS).plan_to_save(Goal::Deploy(version("v3"))).await;
    let told: Vec<String> = saved.differences(&now).iter().map(ToString::to_string).collect();
    assert!(told.contains(&"version: was v2, is v3".to_owned()), "{told:?}");
    assert!(
        told.contains(&"h1, h2, h3: release: was v2 (v2-0), is v3 (v3-0)".to_owned()),
        "{told:?}"
    );
    assert!(saved.differences(&saved).is_empty());
}
