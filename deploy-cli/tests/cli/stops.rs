//! Signals and closed streams while a check is asked.

use std::{
    fs,
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::place::Place;

/// A place whose version 2 has a check that waits until the test lets it go.
fn waiting(more: &str) -> Place {
    let place = Place::bare();
    let at = place.path("");
    let at = at.display();
    let check = format!(
        "[[check]]\nname = \"waits\"\ntimeout = \"60s\"\n\
         command = \"test ! -e {at}wait || {{ touch {at}waiting; while test -e {at}wait; do sleep 0.05; done; }}\"\n"
    );
    place.configure(&format!("{check}{more}"));
    place.version(1, "one");
    place.cli(&["deploy"]).ends(0);
    place.version(2, "two");
    fs::write(place.path("wait"), "").unwrap();
    place
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[track_caller]
fn end(place: &Place, mut child: Child) -> i32 {
    let status = child.wait().unwrap();
    status.code().unwrap_or_else(|| panic!("killed: {status}\n{}", place.said()))
}

#[test]
fn a_second_run_meets_the_lock_and_can_watch_the_first() {
    let place = waiting("");
    let child = place.start(&["deploy", "-m", "the first"]);
    place.until_there(&place.path("waiting"));
    place.cli(&["deploy"]).ends(5).says("(run $RUN, process").says("the first");
    place.cli(&["unlock", "--lock-only"]).ends(5).says("it is at work");
    place.cli(&["history"]).ends(0).says("running");
    let watching = place.command(&["show", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    fs::remove_file(place.path("wait")).unwrap();
    let watched = watching.wait_with_output().unwrap();
    place.ran(&watched).ends(0).says("deployed release/2026-01-02/1");
    assert_eq!(end(&place, child), 0, "{}", place.said());
}

#[test]
fn wait_waits_for_the_lock() {
    let place = waiting("");
    let first = place.start(&["deploy"]);
    place.until_there(&place.path("waiting"));
    let mut second = place.command(&["deploy", "--wait"]);
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    fs::remove_file(place.path("wait")).unwrap();
    let second = place.ran(&second.wait_with_output().unwrap());
    second.ends(0).says("1 unchanged");
    assert_eq!(end(&place, first), 0);
}

#[test]
fn terminate_ends_the_attempt_in_flight_and_leaves_the_host() {
    let place = waiting("");
    let child = place.start(&["deploy"]);
    place.until_there(&place.path("waiting"));
    signal(&child, Signal::SIGTERM);
    place.until("the signal is told", || place.said().contains("terminated"));
    fs::remove_file(place.path("wait")).unwrap();
    assert_eq!(end(&place, child), 130, "{}", place.said());
    let said = place.said();
    for told in [
        "local  deployed, not marked good",
        "finish the rest:     deploy-cli deploy release/2026-01-02/1\n",
        "go back:             deploy-cli rollback --hosts local\n",
    ] {
        assert!(said.contains(told), "{told:?} is not in:\n{said}");
    }
    place
        .cli(&["status"])
        .ends(0)
        .says("never finished")
        .says("hint: finish it: deploy-cli deploy release/2026-01-02/1 --hosts local\n");
    place.cli(&["unlock", "--lock-only"]).ends(0).says("was not locked");
    place.cli(&["deploy", "--hosts", "@last/unfinished"]).ends(0);
    place.cli(&["status"]).ends(0).never_says("never finished");
    assert_eq!(place.running(), "two");
}

#[test]
fn interrupt_with_on_abort_roll_back_goes_back() {
    let place = waiting("[run]\non_abort = \"roll-back\"\n");
    let child = place.start(&["deploy"]);
    place.until_there(&place.path("waiting"));
    signal(&child, Signal::SIGINT);
    place.until("the signal is told", || place.said().contains("Ctrl-C again"));
    fs::remove_file(place.path("wait")).unwrap();
    let code = end(&place, child);
    assert_eq!(code, 130, "{}", place.said());
}

#[test]
fn the_second_interrupt_kills_what_is_in_flight() {
    let place = waiting("");
    let child = place.start(&["deploy"]);
    place.until_there(&place.path("waiting"));
    signal(&child, Signal::SIGINT);
    place.until("the signal is told", || place.said().contains("Ctrl-C again"));
    signal(&child, Signal::SIGINT);
    let code = end(&place, child);
    assert!([130, 4].contains(&code), "{code}\n{}", place.said());
    fs::remove_file(place.path("wait")).unwrap();
    place.cli(&["deploy"]).ends(0);
}

#[test]
fn a_hangup_stops_nothing() {
    let place = waiting("");
    let child = place.start(&["deploy"]);
    place.until_there(&place.path("waiting"));
    signal(&child, Signal::SIGHUP);
    fs::remove_file(place.path("wait")).unwrap();
    assert_eq!(end(&place, child), 0, "{}", place.said());
}

#[test]
fn a_closed_output_stops_nothing() {
    let place = waiting("");
    let mut command = place.command(&["deploy", "-v"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    place.until_there(&place.path("waiting"));
    drop((child.stdout.take(), child.stderr.take()));
    fs::remove_file(place.path("wait")).unwrap();
    assert_eq!(end(&place, child), 0);
    assert_eq!(place.running(), "two");
    place.cli(&["history"]).ends(0).says("complete");
}

#[test]
fn a_killed_deployer_leaves_no_stale_lock() {
    let place = waiting("");
    let mut child = place.start(&["deploy"]);
    place.until_there(&place.path("waiting"));
    child.kill().unwrap();
    child.wait().unwrap();
    place.cli(&["history"]).ends(0).says("DIED");
    fs::remove_file(place.path("wait")).unwrap();
    place.cli(&["status"]).ends(0).says("never finished");
    place.cli(&["deploy"]).ends(0);
    assert_eq!(place.running(), "two");
}

#[test]
fn claims_of_a_dead_run_are_removed_and_those_of_others_only_when_told() {
    let place = waiting("");
    let mut child = place.start(&["deploy"]);
    place.until_there(&place.path("waiting"));
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(place.path("wait")).unwrap();
    let file = place.path("srv/deploy-cache/claim.json");
    let claim = fs::read_to_string(&file).unwrap();
    place.cli(&["unlock"]).ends(0).says("local: removed the claim of run $RUN of ann");
    assert!(!file.exists());

    let mut elsewhere: serde_json::Value = serde_json::from_str(&claim).unwrap();
    elsewhere["process"]["boot_id"] = "another machine".into();
    elsewhere["who"] = "bob\u{1b}[31m".into();
    fs::write(&file, elsewhere.to_string()).unwrap();
    place.cli(&["deploy"]).ends(5).says("claimed by run $RUN of bob");
    place.cli(&["status"]).ends(0).says("claimed by run $RUN of bob");
    place.cli(&["unlock"]).ends(5).says("local: left the claim").says("--yes removes them");
    place.cli(&["unlock", "--yes"]).ends(0).never_says("\u{1b}");
    place.cli(&["deploy"]).ends(0);
    assert_eq!(place.running(), "two");
}
