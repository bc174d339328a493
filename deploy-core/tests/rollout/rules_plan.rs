//! Rules 1 to 7: the plan.

use deploy_core::{
    backend::ErrorKind,
    plan::{OnFailure, Stage},
    record::{End, EventKind, Served},
    testing::{Fault, Fleet, Turn},
};

use super::rig::*;

#[tokio::test(start_paused = true)]
async fn rule_01_back_is_the_last_good_and_not_the_half_done() {
    let story = Story::new(&[("all", &["h1", "h2"])]).broken("v3");
    story.fleet.leave_half_done(&target("h1"), &version("v2"));
    let ending = story.deploy("v3").await;
    assert_eq!(ending.code(), 3);
    // h1 served v2, which never became good: it goes back to v1.
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"]);
    assert_eq!(ending.host("h1").runs(), Some("v1"));
}

#[tokio::test(start_paused = true)]
async fn rule_01_the_rollback_command_goes_to_the_last_good_that_is_not_live() {
    let story = Story::new(&[("all", &["h1", "h2"])]);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    let ending = Story::again(&ending, &[("all", &["h1", "h2"])], "run-2").roll_back().await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.serving(&["h1", "h2"]), ["v1", "v1"]);
    assert_eq!(ending.host("h1").good_versions(), ["v1", "v2"]);
}

#[tokio::test(start_paused = true)]
async fn rule_02_good_is_what_finished_in_a_run_that_ended_0_or_6() {
    let names = ["h1", "h2"];
    let ending = Story::new(&[("all", &names)]).deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.host("h1").good_versions(), ["v2", "v1"]);

    let ending = Story::new(&[("all", &names)]).allow(0, "1").cut("h2").deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.host("h1").good_versions(), ["v2", "v1"]);

    let story = Story::new(&[("canary", &["h1"]), ("all", &["h2"])]).broken("v2");
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.host("h1").good_versions(), ["v1"]);

    // Interrupted after all was deployed and left so: it serves v2, but that is not good.
    let story = Story::new(&[("canary", &["h1"]), ("all", &["h2"])])
        .answers(None, Some(deploy_core::backend::Answer::No))
        .stop_at("h2", Stage::Promote, |stop| stop.interrupt());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 130);
    assert_eq!(ending.word("h1"), "deployed");
    assert_eq!(ending.host("h1").good_versions(), ["v1"]);
}

#[tokio::test(start_paused = true)]
async fn rule_02_a_finalize_failure_reverts_nothing_and_the_next_run_confirms() {
    let names = ["h1", "h2"];
    let fail = Fault::Fail(ErrorKind::Rejected);
    let story =
        Story::new(&[("all", &names)]).fault("h1", Deed::Finalize, Turn::Always, fail.clone());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.words(&names), ["deployed", "deployed"]);
    assert_eq!(ending.serving(&names), ["v2", "v2"]);
    assert_eq!(ending.host("h1").good_versions(), ["v1"]);
    assert!(ending.summary.warnings.iter().any(|(of, _)| of.as_ref() == Some(&target("h1"))));

    ending.fleet.mend(&target("h1"));
    let claimed_by = ending.host("h1").claim.unwrap().0;
    ending.fleet.bury(&claimed_by);
    let ending = Story::again(&ending, &[("all", &names)], "run-2").deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.words(&names), ["deployed", "unchanged"]);
    assert_eq!(ending.host("h1").good_versions(), ["v2", "v1"]);
    assert!(!ending.began(Stage::Promote).contains(&"h1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn rule_03_unchanged_targets_are_only_checked() {
    let ending = Story::new(&[("all", &["h1", "h2"])]).deploy("v1").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.words(&["h1", "h2"]), ["unchanged", "unchanged"]);
    for stage in [Stage::Fetch, Stage::Promote, Stage::Restart, Stage::Finalize] {
        assert!(ending.began(stage).is_empty(), "{stage}");
    }
    assert_eq!(ending.began(Stage::Check).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rule_03_an_unhealthy_unchanged_target_fails_and_is_never_reverted() {
    let story = Story::new(&[("all", &["h1", "h2", "h3"])]).allow(0, "1");
    let ill = Fault::Unhealthy("it answers 500".into());
    let ending = story.fault("h1", Deed::Check, Turn::Always, ill).deploy("v1").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.words(&["h1", "h2", "h3"]), ["failed(check)", "unchanged", "unchanged"]);
    assert_eq!(ending.host("h1").starts, 1);
}

#[tokio::test(start_paused = true)]
async fn rule_03_live_but_not_good_is_restarted_checked_and_finalized() {
    let story = Story::new(&[("all", &["h1", "h2"])]);
    story.fleet.leave_half_done(&target("h1"), &version("v2"));
    let before = story.fleet.host(&target("h1")).starts;
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.began(Stage::Promote), ["h2"]);
    assert_eq!(ending.host("h1").starts, before + 1);
    assert_eq!(ending.host("h1").good_versions(), ["v2", "v1"]);
}

#[tokio::test(start_paused = true)]
async fn rule_03_redeploy_treats_none_as_unchanged() {
    let mut story = Story::new(&[("all", &["h1"])]);
    story.redeploy = true;
    let ending = story.deploy("v1").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.word("h1"), "deployed");
    assert_eq!(ending.host("h1").starts, 2);
}

#[tokio::test(start_paused = true)]
async fn rule_04_an_empty_group_is_refused_before_anything_is_asked() {
    let story = Story::new(&[("canary", &[]), ("all", &["h1"])]);
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 1);
    assert_eq!(ending.serving(&["h1"]), ["v1"]);
    assert!(!ending.has(|kind| matches!(kind, EventKind::Planned { .. })));
    assert!(ending.summary.reason.as_ref().unwrap().contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn rule_04_a_host_in_several_groups_is_handled_in_the_first() {
    let ending = Story::new(&[("canary", &["h1"]), ("all", &["h1", "h2"])]).deploy("v2").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.began(Stage::Promote), ["h1", "h2"]);
    assert_eq!(ending.summary.targets[&target("h1")].group.as_str(), "canary");
}

#[tokio::test(start_paused = true)]
async fn rule_05_the_budget_counts_all_planned_targets_and_rounds_down() {
    let names = ["h1", "h2", "h3", "h4"];
    let ill = || Fault::Fail(ErrorKind::Rejected);
    // 25 % of 4 is 1: one failure is borne, two are not. Unchanged ones are counted in the 4.
    let story = Story::new(&[("all", &names)]).allow(0, "25%");
    story.fleet.install(&target("h4"), &version("v2"));
    let ending = story.fault("h1", Deed::Restart, Turn::Nth(1), ill()).deploy("v2").await;
    assert_eq!(ending.code(), 6);
    assert_eq!(ending.word("h1"), "reverted(restart)");

    let ending = Story::new(&[("all", &names)])
        .allow(0, "25%")
        .fault("h1", Deed::Restart, Turn::Nth(1), ill())
        .fault("h2", Deed::Restart, Turn::Nth(1), ill())
        .deploy("v2")
        .await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.serving(&names), ["v1"; 4]);
    assert!(ending.summary.breach.as_ref().unwrap().contains("2 of 4 failed, 1 allowed"));
}

#[tokio::test(start_paused = true)]
async fn rule_05_the_budget_of_the_run_counts_over_groups() {
    let groups: [(&str, &[&str]); 3] =
        [("canary", &["c1"]), ("one", &["h1", "h2"]), ("two", &["h3", "h4"])];
    let ill = || Fault::Fail(ErrorKind::Rejected);
    let story = Story::new(&groups)
        .allow(1, "1")
        .allow(2, "1")
        .strategy(|strategy| strategy.max_failures = Some(budget("1")))
        .fault("h1", Deed::Restart, Turn::Nth(1), ill())
        .fault("h3", Deed::Restart, Turn::Nth(1), ill());
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert!(ending.has(|kind| matches!(kind, EventKind::Breached { group: None, .. })));
}

#[tokio::test(start_paused = true)]
async fn rule_06_a_canary_group_allows_no_failure_whatever_its_budget() {
    let story = Story::new(&[("first", &["c1", "c2"]), ("rest", &["h1"])]).allow(0, "100%").fault(
        "c1",
        Deed::Check,
        Turn::Nth(1),
        Fault::Unhealthy("sick".into()),
    );
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.word("h1"), "not attempted");
    assert_eq!(ending.serving(&["c1", "c2", "h1"]), ["v1"; 3]);
}

#[tokio::test(start_paused = true)]
async fn rule_06_a_group_in_which_nobody_is_well_has_failed_whatever_its_budget() {
    let story = Story::new(&[("canary", &["c1"]), ("one", &["h1"]), ("two", &["h2"])])
        .allow(1, "100%")
        .fault("h1", Deed::Check, Turn::Nth(1), Fault::Unhealthy("sick".into()));
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.words(&["c1", "h1", "h2"]), ["reverted", "reverted(check)", "not attempted"]);
}

fn fresh(names: &[&str]) -> Fleet {
    let fleet = Fleet::new();
    names.iter().for_each(|name| fleet.set(&target(name), |_| {}));
    fleet
}

#[tokio::test(start_paused = true)]
async fn rule_07_first_deploy_goes_back_to_nothing() {
    let mut story = Story::new(&[("all", &["h1", "h2"])]).broken("v1");
    story.fleet = fresh(&["h1", "h2"]);
    story.fleet.break_version(&version("v1"));
    let ending = story.deploy("v1").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.serving(&["h1", "h2"]), ["-", "-"]);
    assert_eq!(ending.host("h1").runs(), None, "the unit was not active before");
    let warnings = &ending.summary.plan.as_ref().unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("no way back: first deploy")));
}

#[tokio::test(start_paused = true)]
async fn rule_07_a_unit_that_was_active_before_is_not_stopped() {
    let mut story = Story::new(&[("all", &["h1"])]);
    story.fleet = fresh(&["h1"]);
    story.fleet.break_version(&version("v1"));
    story.fleet.set(&target("h1"), |host| {
        host.running = Some(Fleet::release_of(&version("by-hand")));
    });
    let ending = story.deploy("v1").await;
    assert_eq!(ending.code(), 3);
    assert_eq!(ending.serving(&["h1"]), ["-"]);
    assert_eq!(ending.fleet.count(&target("h1"), Deed::Stop), 0);
}

#[tokio::test(start_paused = true)]
async fn rule_07_a_first_deploy_that_works_is_deployed() {
    let mut story = Story::new(&[("all", &["h1"])]);
    story.fleet = fresh(&["h1"]);
    let ending = story.deploy("v1").await;
    assert_eq!(ending.code(), 0);
    assert_eq!(ending.host("h1").runs(), Some("v1"));
}

#[tokio::test(start_paused = true)]
async fn rule_15_leave_can_be_chosen() {
    let story = Story::new(&[("all", &["h1", "h2"])])
        .allow(0, "1")
        .strategy(|strategy| strategy.on_failure = OnFailure::Leave)
        .fault("h1", Deed::Check, Turn::Always, Fault::Unhealthy("sick".into()));
    let ending = story.deploy("v2").await;
    assert_eq!(ending.code(), 6);
    let release = Fleet::release_of(&version("v2"));
    let served = Served::Release { release };
    assert!(matches!(ending.end("h1"), End::Failed { served: s, .. } if *s == served));
}
