//! Hosts that cannot be asked: they count before anything is touched.

use std::fs;

use super::layout::{export, place};
use crate::place::Place;

/// A plain directory on this machine, and a host that is nowhere; `more` is for their group.
fn with_silent_host(more: &str) -> Place {
    let place = place("app");
    place.reconfigure(
        "hosts = [\"local\"]",
        &format!("hosts = [\"local\", \"nowhere.invalid\"]\n{more}"),
    );
    place.configure_more("[ssh]\nconnect_timeout = \"2s\"\n[run]\nattempts = 1\n");
    export(&place, "release/2026-01-01/1", "srv/app");
    place
}

fn is_adopted(place: &Place) -> bool {
    fs::symlink_metadata(place.path("srv/app")).unwrap().is_symlink()
}

#[test]
fn more_silent_hosts_than_the_budget_allows_and_nothing_is_touched() {
    let place = with_silent_host("");
    for words in [&["adopt", "--yes"][..], &["adopt", "--dry-run"]] {
        place
            .cli(words)
            .ends(1)
            .says("nowhere.invalid: could not be asked")
            .says("group default: 1 of 2 could not be asked, 0 allowed")
            .says("`--hosts '*,!nowhere.invalid'` leaves them out");
        assert!(!is_adopted(&place));
    }
    assert!(!place.path("srv/app-cache").exists());
    place.cli(&["adopt", "--yes", "--hosts", "*,!nowhere.invalid"]).ends(0);
    assert!(is_adopted(&place));
}

#[test]
fn silent_hosts_within_the_budget_are_left_for_later() {
    let place = with_silent_host("max_failures = 1\n");
    place.cli(&["adopt", "--yes"]).ends(6).says("nowhere.invalid");
    assert!(is_adopted(&place));
}

#[test]
fn a_group_of_which_nobody_can_be_asked_and_the_budget_of_the_run_stop_it_too() {
    let place = with_silent_host("max_failures = 1\n");
    place.reconfigure("attempts = 1\n", "attempts = 1\nmax_failures = 0\n");
    let ran = place.cli(&["adopt", "--yes"]).ends(1);
    ran.says("1 of all 2 could not be asked, 0 allowed").says("nothing was touched");
    place.reconfigure("attempts = 1\nmax_failures = 0\n", "attempts = 1\n");
    place.reconfigure(
        "hosts = [\"local\", \"nowhere.invalid\"]\nmax_failures = 1\n",
        "hosts = [\"local\"]\n[[group]]\nname = \"rest\"\nhosts = [\"nowhere.invalid\"]\n\
         max_failures = 1\n",
    );
    let ran = place.cli(&["adopt", "--yes"]).ends(1);
    ran.says("group rest: 1 of 1 could not be asked");
    assert!(!is_adopted(&place));
}
