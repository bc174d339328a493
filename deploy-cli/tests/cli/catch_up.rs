//! Hosts that are behind, as far as one machine can be several hosts: the fleet has the rest.

use crate::place::Place;

#[test]
fn nothing_behind_is_said_and_leaves_no_run() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    let ran = place.cli(&["catch-up"]).ends(0);
    insta::assert_snapshot!(ran.all(), @"
    the current version is release/2026-01-01/1: run $RUN deployed it, and 1 of 1 healthy hosts serve it
    nothing is behind: 1 host serves it
    [0]
    ");
    // A version that was made and never deployed is not the current one.
    place.version(2, "two");
    let ran = place.cli(&["catch-up", "--json"]).ends(0);
    let line: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(line["version"]["name"], "release/2026-01-01/1");
    assert_eq!((line["behind"].as_array().unwrap().len(), place.live().as_str()), (0, "one"));
    let lines = place.cli(&["history"]).ends(0).stdout;
    assert_eq!(lines.lines().count(), 2, "{lines}");
    place.cli(&["lock", "-m", "hands off"]).ends(0);
    place.cli(&["catch-up"]).ends(5).says("hands off");
}

#[test]
fn a_host_that_cannot_be_asked_is_named() {
    let place = Place::bare();
    let group = "hosts = [\"local\", \"nowhere.invalid\"]\nmax_failures = 1";
    place.configure_hosts(group, "[ssh]\nconnect_timeout = \"2s\"\n[run]\nattempts = 1\n");
    place.version(1, "one");
    place.cli(&["deploy"]).ends(6);
    let ran = place.cli(&["catch-up"]).ends(6);
    ran.says("nothing is behind: 1 host serves it").says("nowhere.invalid: could not be asked:");
    place.cli(&["catch-up", "--hosts", "@last/deployed"]).ends(0).never_says("nowhere");
    let ran = place.cli(&["catch-up", "--json"]).ends(6);
    let line: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(line["silent"]["nowhere.invalid"]["kind"], "unreachable");
}

#[test]
fn where_record_and_hosts_disagree_one_has_to_choose() {
    let place = Place::new();
    place
        .cli(&["catch-up"])
        .ends(1)
        .says("by the record: no run here brought a version to its end")
        .says("by the hosts: none that answers serves a good version")
        .says("hint: `deploy-cli deploy VERSION` brings a version to all hosts");
    place.cli(&["deploy"]).ends(0);
    place.version(2, "two");
    // From another state directory, which this one does not know of.
    let elsewhere = |words: &[&str]| {
        let mut command = place.command(words);
        let output = command.env("DEPLOY_CFG__STATE_DIR", place.path("state")).output().unwrap();
        place.ran(&output)
    };
    elsewhere(&["catch-up"])
        .ends(1)
        .says("hint: choose: deploy-cli catch-up --to release/2026-01-01/1");
    elsewhere(&["catch-up", "--to", "release/2026-01-01/1"]).ends(0).says("asked for; 1 of 1");
    elsewhere(&["deploy"]).ends(0);
    let ran = place.cli(&["catch-up"]).ends(1);
    insta::assert_snapshot!(ran.all(), @"
    error: it is not clear which version is the current one
      by the record: release/2026-01-01/1: run $RUN deployed it
      by the hosts: release/2026-01-02/1: 1 of 1 healthy hosts serve it
    hint: choose: deploy-cli catch-up --to release/2026-01-02/1
    [1]
    ");
    place.cli(&["catch-up", "--to", "release/2026-01-02/1"]).ends(0).says("nothing is behind");
    let ran = place.cli(&["catch-up", "--to", "release/2026-01-01/1"]).ends(1);
    ran.says("no host that answers serves release/2026-01-01/1 in good order")
        .says("deploy-cli deploy release/2026-01-01/1 brings it to all hosts");
}

#[test]
fn what_was_gone_back_from_is_not_current() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0);
    place
        .cli(&["catch-up"])
        .ends(0)
        .says("the current version is release/2026-01-02/1: run $RUN deployed it");
    place.cli(&["rollback"]).ends(0);
    // A run that was for no version says nothing of it.
    place.cli(&["run", "--", "true"]).ends(0);
    place
        .cli(&["catch-up"])
        .ends(0)
        .says("the current version is release/2026-01-01/1: run $RUN went back to it")
        .says("nothing is behind");
}

#[test]
fn where_nobody_serves_anything_a_deploy_is_the_way_out() {
    let place = Place::new();
    place
        .cli(&["catch-up"])
        .ends(1)
        .says("by the hosts: none that answers serves a good version")
        .says("hint: `deploy-cli deploy VERSION` brings a version to all hosts");
}
