//! The other ways in which a version comes onto a host.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::place::Place;

/// A place whose versions are built by `command`.
fn building(command: &str) -> Place {
    let place = Place::bare();
    place.configure(&archive(command));
    place.version(1, "one");
    place
}

fn archive(command: &str) -> String {
    format!("[fetch]\nmethod = \"archive\"\ncommand = '''{command}'''\n")
}

const BUILD: &str = "tar -cf \"$DEPLOY_ARCHIVE\" version";

#[test]
fn the_way_back_is_not_kept_from_by_a_build_that_is_broken() {
    let place = building(BUILD);
    place.cli(&["deploy"]).ends(0).says("building release/2026-01-01/1: tar");
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0);
    place.reconfigure(BUILD, "exit 1");
    place.cli(&["rollback", "release/2026-01-01/1", "--yes"]).ends(0);
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"));
    place.cli(&["rollback", "--yes"]).ends(0);
    assert_eq!(place.live(), "two");
    place.version(3, "three");
    place.cli(&["deploy"]).ends(1).says("exit status 1").says("hint: mend `command` in [fetch]");
    // What is neither there nor kept is told as such, for each host.
    place.cli(&["rollback", "release/2026-01-03/1", "--yes"]).ends(1).says("is not built");
    assert_eq!(place.live(), "two");
}

#[test]
fn ctrl_c_ends_a_build_with_all_that_it_has_started() {
    let place = building(BUILD);
    let at = place.path("");
    let at = at.display();
    place.reconfigure(BUILD, &format!("(echo $$ > {at}pid; sleep 600) & wait; {BUILD}"));
    place.version(2, "two");
    for command in ["plan", "deploy"] {
        let mut child = place.start(&[command]);
        let pid = place.path("pid");
        place.until("the build is at work", || {
            fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
        });
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{}", place.said());
        let group: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let is_gone = || nix::sys::signal::killpg(Pid::from_raw(group), None).is_err();
        place.until("the build is gone", is_gone);
        fs::remove_file(pid).unwrap();
    }
    assert!(!place.path("srv/deploy-cache").exists());
}

#[test]
fn a_host_pulls_from_the_remote_where_nothing_else_is_said() {
    let place = Place::bare();
    let origin = format!("file://{}", place.path("origin.git").display());
    place.git(&["remote", "set-url", "origin", &origin]);
    place.configure("[fetch]\nmethod = \"pull\"\n");
    let v1 = place.version(1, "one");
    place.cli(&["deploy"]).ends(0);
    assert_eq!(place.live(), "one");
    // To change the method is to change what is deployed: the same version comes as another release.
    place.reconfigure("method = \"pull\"", "method = \"push\"");
    place.cli(&["plan", &v1, "--allow-dirty"]).ends(0).says("1 of 1 host to change");
    place.cli(&["deploy", &v1, "--allow-dirty"]).ends(0);

    place.reconfigure("method = \"push\"", "method = \"pull\"\nurl = \"https://ann:s3cret@x/y\"");
    place.cli(&["plan"]).ends(1).says("fetch.url: holds credentials").never_says("s3cret");
    place.reconfigure("https://ann:s3cret@x/y", "https://x/y?private_token=s3cret");
    place.cli(&["plan"]).ends(1).says("fetch.url: has a query").never_says("s3cret");
    place.reconfigure("\nurl = \"https://x/y?private_token=s3cret\"", "");
    place.git(&["remote", "set-url", "origin", "https://token@git.example.org/x"]);
    place.cli(&["plan"]).ends(1).says("that of the remote origin holds credentials");
    place.git(&["remote", "rename", "origin", "other"]);
    place.cli(&["plan", "other/main"]).ends(1).says("needs `url`");
}
