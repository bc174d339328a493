//! What other tools deployed, taken over and given back, on this machine.

mod dying;
mod exchange;
mod layout;
mod programs;
mod reader;
mod silent;
mod there_and_back;

use std::{fs, os::unix::fs::symlink, path::Path};

use self::{
    layout::{capistrano, commit, export, place, place_of},
    reader::Reader,
};
use crate::place::{Place, Ran};

fn adopted(place: &Place, live: &str, words: &[&str]) -> Ran {
    let reader = Reader::of(place.path("srv").join(live).join("version"));
    let ran = place.cli(&[&["adopt", "--yes"], words].concat());
    reader.never_failed();
    ran
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_the_repository_does_not_know_can_be_gone_back_to_and_is_never_pruned() {
    let place = place("deploy");
    fs::create_dir(place.path("srv/deploy")).unwrap();
    fs::write(place.path("srv/deploy/version"), "by hand\n").unwrap();
    adopted(&place, "deploy", &[]).ends(0);
    let status = place.cli(&["status"]).ends(0).all();
    let at = status.find("adopted-").unwrap();
    let name = status[at..].split_whitespace().next().unwrap();
    for number in 3..8 {
        place.version(number, &format!("number {number}"));
    }
    for number in 1..8 {
        let tag = format!("release/2026-01-0{number}/1");
        place.cli(&["deploy", &tag, "--yes"]).ends(0);
    }
    let ran = place.cli(&["rollback", name, "--yes"]).ends(0);
    ran.says(&format!("rolled back to {name}"));
    catch_up_finds_it_and_brings_it_nowhere(&place, name);
    assert_eq!((place.live().as_str(), place.running().as_str()), ("by hand", "by hand"));
    place.cli(&["rollback", "adopted-2001-01-01-0000000", "--yes"]).ends(1).says("no host has it");
    // What somebody writes there does not bring it out of order.
    place.cli(&["rollback", "--yes"]).ends(0);
    fs::write(
        place.path("srv/deploy-cache/releases").join(id_of(&place)).join("version"),
        "again\n",
    )
    .unwrap();
    place.cli(&["rollback", "--yes"]).ends(0);
    assert_eq!(place.live(), "again");
}

/// What is adopted is the current version, and `catch-up --to` is no way to choose it elsewhere.
#[track_caller]
fn catch_up_finds_it_and_brings_it_nowhere(place: &Place, name: &str) {
    place.cli(&["catch-up"]).ends(0).says(&format!("the current version is {name}"));
    place.cli(&["catch-up", "--to", name]).ends(0).says("nothing is behind: 1 host serves it");
    // From another state directory, which does not know what was gone back to.
    let mut command = place.command(&["catch-up"]);
    let output = command.env("DEPLOY_CFG__STATE_DIR", place.path("state")).output().unwrap();
    place
        .ran(&output)
        .ends(1)
        .says(&format!("by the hosts: {name}"))
        .says("hint: an adopted version cannot be brought to other hosts; `deploy-cli deploy VERSION`")
        .never_says("choose");
}

/// The release that was adopted.
fn id_of(place: &Place) -> String {
    let record = read(&place.path("srv/deploy-cache/adopted.json"));
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["release"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_known_is_refused_and_left_as_it_is() {
    let place = place("app");
    let path = place.path("srv/app");
    place.cli(&["adopt", "--yes"]).ends(0).says("nothing is there: `deploy` makes it");
    fs::create_dir(place.path("srv/other")).unwrap();
    for target in ["other", "gone"] {
        symlink(target, &path).unwrap();
        let ran = place.cli(&["adopt", "--yes"]).ends(1);
        ran.says("srv/app is a link t").says("nothing was touched").says("left as it is");
        assert_eq!(fs::read_link(&path).unwrap(), Path::new(target));
        fs::remove_file(&path).unwrap();
    }
    fs::write(&path, "a file\n").unwrap();
    place.cli(&["adopt", "--yes"]).ends(1).says("is a file");
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(place.path("srv/app/releases/1")).unwrap();
    symlink("releases/1", path.join("current")).unwrap();
    place.cli(&["adopt", "--yes"]).ends(1).says("what is live is $PLACE/srv/app/current");
    assert!(!place.path("srv/app-cache").exists());
    // Ours from the first deploy: there is nothing that could be brought back.
    fs::remove_dir_all(&path).unwrap();
    place.cli(&["deploy", "release/2026-01-01/1", "--yes"]).ends(0);
    place.cli(&["adopt", "--yes"]).ends(0).says("ours already");
    place.cli(&["adopt", "--undo", "--yes"]).ends(1).says("no adoption is recorded");
}

#[test]
fn what_was_found_is_told_to_programs_too() {
    let place = capistrano();
    let ran = place.cli(&["adopt", "--dry-run", "--json"]).ends(0);
    let told: serde_json::Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!((&told["target"], &told["found"]), (&"local".into(), &"capistrano".into()));
    assert_eq!(told["shared"], serde_json::json!(["log", "public/uploads"]));
    assert_eq!(told["release"]["version"]["name"], "release/2026-01-01/1");
}

#[test]
fn an_adoption_is_no_run_of_a_command() {
    let place = capistrano();
    let path = "$PLACE/srv/app/current";
    let ran = place.cli(&["adopt", "--yes"]).ends(0).never_says("run on mockbase");
    ran.says(&format!("mockbase: adopt {path} — 1 host")).says(&format!("adopt {path}: done"));
    place.cli(&["history"]).ends(0).says(&format!("adopt {path}"));
    let events = place.cli(&["show", "--json"]).ends(0).stdout;
    let events: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let started = events.iter().find(|event| event["event"] == "run-started").unwrap();
    assert_eq!(started["info"]["command"], "adopt");
    let planned = events.iter().find(|event| event["event"] == "planned").unwrap();
    assert_eq!(planned["plan"]["purpose"], "adopt");
    let ran = place.cli(&["adopt", "--undo", "--yes"]).ends(0);
    ran.says(&format!("undo the adoption of {path}: done"));
}

#[test]
fn a_clean_deploy_of_the_adopted_commit_is_another_release() {
    let place = place_of("deploy", &[("settings", "as committed\n")]);
    let live = place.path("srv/deploy");
    export(&place, "release/2026-01-02/1", "srv/deploy");
    fs::write(live.join("REVISION"), commit(&place, "release/2026-01-02/1")).unwrap();
    fs::write(live.join("settings"), "by hand\n").unwrap();
    adopted(&place, "deploy", &[]).ends(0).says("not as in the commit: settings");
    place.cli(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    assert_eq!(read(&live.join("settings")), "as committed\n");
    place.cli(&["rollback", "--yes"]).ends(0);
    assert_eq!(read(&live.join("settings")), "by hand\n");
}
