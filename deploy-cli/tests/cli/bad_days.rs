//! What is refused before anything is touched, and hosts that are not there.

use crate::place::Place;

#[test]
fn a_bad_configuration_names_file_line_and_key() {
    let place = Place::new();
    place.configure("[run]\nmax_failure = 1");
    let ran = place.cli(&["deploy"]).ends(1);
    insta::assert_snapshot!(ran.all(), @"
    error: $PLACE/repo/deploy.toml:21: run.max_failure: unknown key
    hint: did you mean `max_failures`?
    [1]
    ");
}

#[test]
fn an_unknown_version_gets_the_nearest_names() {
    let place = Place::new();
    place.cli(&["deploy", "release/2026-01-1/1"]).ends(1).says("did you mean release/2026-01-01/1");
    place.cli(&["deploy", "--", "-x"]).ends(1);
}

#[test]
fn hosts_that_are_not_there_or_named_twice() {
    let place = Place::bare();
    place.configure_hosts("hosts = []", "");
    place.cli(&["plan"]).ends(1).says("group default has no hosts");
    place.configure_hosts("hosts = [\"local\", \"local\"]", "");
    place.cli(&["plan"]).ends(1).says("local is named twice in group default");
    place.configure_hosts("hosts_file = \"targets\"", "");
    place.cli(&["plan"]).ends(1).says("repo/targets");
    std::fs::write(place.path("repo/targets"), "# nobody yet\n\n").unwrap();
    place.cli(&["plan"]).ends(1).says("group default has no hosts");
    std::fs::write(place.path("repo/targets"), "local # this machine\n").unwrap();
    place.version(1, "one");
    place.cli(&["plan"]).ends(0);
    place.cli(&["deploy", "--hosts", "web*"]).ends(1).says("matches no host");
    place.cli(&["deploy", "--hosts", "!local"]).ends(1).says("matches no host");
    place.cli(&["deploy", "--hosts", "locl"]).ends(1).says("did you mean local?");
    place.cli(&["history"]).ends(0).says("no run yet");
}

#[test]
fn a_host_in_two_groups_belongs_to_the_first_and_that_is_said() {
    let place = Place::bare();
    place.configure_hosts(
        "hosts = [\"local\"]\n[[group]]\nname = \"rest\"\nhosts = [\"local\"]",
        "",
    );
    place.version(1, "one");
    place.cli(&["deploy"]).ends(0).says("local is in the groups default and rest");
}

#[test]
fn what_is_not_committed_or_not_pushed_is_refused() {
    let place = Place::new();
    std::fs::write(place.path("repo/version"), "dirty\n").unwrap();
    place.cli(&["deploy"]).ends(1).says("version").says("--allow-dirty");
    place.cli(&["deploy", "--allow-dirty"]).ends(0);
    assert_eq!(place.live(), "one", "what is modified is not deployed");
    place.commit(2, "two");
    place.cli(&["deploy", "main"]).ends(1);
    place.git(&["checkout", "-q", "-b", "side"]);
    place.commit(3, "three");
    place.git(&["push", "-q", "origin", "side"]);
    place.cli(&["deploy", "side"]).ends(1).says("main");
    assert_eq!(place.live(), "one");
}

#[test]
fn older_than_what_is_live_is_refused() {
    let place = Place::new();
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0);
    place.cli(&["deploy", "release/2026-01-01/1"]).ends(1).says("--allow-downgrade").says("local");
    assert_eq!(place.live(), "two");
    place.cli(&["plan", "release/2026-01-01/1"]).ends(0).says("BACKWARDS");
    place.cli(&["deploy", "release/2026-01-01/1", "--allow-downgrade"]).ends(0);
    assert_eq!(place.live(), "one");
}

#[test]
fn a_host_that_cannot_be_reached_counts_and_the_rest_goes_on() {
    let place = Place::bare();
    let group = "hosts = [\"local\", \"nowhere.invalid\"]\nmax_failures = 1";
    place.configure_hosts(group, "[ssh]\nconnect_timeout = \"2s\"\n");
    place.version(1, "one");
    let ran = place.cli(&["deploy"]).ends(6).says("1 unreachable").says("1 deployed");
    assert!(ran.all().contains("finish the rest:"), "{}", ran.all());
    assert!(ran.all().contains("release/2026-01-01/1 --hosts nowhere.invalid"), "{}", ran.all());
    assert_eq!(place.live(), "one");
    place.cli(&["status"]).ends(6).says("nowhere.invalid  default  ?");
    place.configure_hosts("hosts = [\"local\", \"nowhere.invalid\"]", "");
    place.version(2, "two");
    place.cli(&["deploy"]).ends(1);
    assert_eq!(place.live(), "one", "over the budget before anything was touched");
}

#[test]
fn a_run_in_ci_without_a_state_directory_is_warned() {
    let place = Place::new();
    let output = place.command(&["deploy"]).env("CI", "true").output().unwrap();
    place.ran(&output).ends(0).says("set `state_dir`");
    let state = place.path("state");
    let mut command = place.command(&["deploy"]);
    let output = command.env("CI", "true").env("DEPLOY_CFG__STATE_DIR", &state).output().unwrap();
    place.ran(&output).ends(0).never_says("set `state_dir`");
    assert!(state.join("mockbase/default/runs").is_dir());
}

#[test]
fn a_host_that_cannot_be_reached_is_last_known_to_serve_what_a_run_saw() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    // As if that run had been with a host that is gone now.
    let runs = place.path("repo/.git/deploy/mockbase/default/runs");
    let run = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    let journal = std::fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let gone = journal.replace("\"local\"", "\"gone.invalid\"");
    std::fs::write(run.join("journal.jsonl"), gone).unwrap();
    place.configure_hosts("hosts = [\"gone.invalid\"]", "");
    place.version(2, "two");
    place.cli(&["deploy"]).ends(1).says("last known: release/2026-01-01/1");
}
