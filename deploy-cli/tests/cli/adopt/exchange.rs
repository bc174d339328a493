//! What exchanges two names at once, and hosts that lack it.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{
    layout::{capistrano, scap},
    programs::{failing, which, with_programs},
    read,
    reader::Reader,
};

#[test]
fn what_exchanges_at_once_is_tried_and_a_gap_has_to_be_allowed() {
    let place = capistrano();
    failing(&place, "perl", "true");
    let adopt =
        |words: &[&str]| with_programs(&place, "failing", &[&["adopt", "--yes"], words].concat());
    let reader = Reader::of(place.path("srv/app/current/version"));
    adopt(&[]).ends(0).says("at once, by python3");
    adopt(&["--undo"]).ends(0);
    reader.never_failed();

    failing(&place, "python3", "true");
    adopt(&[]).ends(1).says("install perl, python3 or coreutils 9.5").says("nothing was touched");
    assert!(!place.path("srv/app/current-cache").exists());
    adopt(&["--allow-gap"]).ends(0).says("for a moment the live path leads NOWHERE");
    assert_eq!(read(&place.path("srv/app/current/version")), "one\n");
    place.cli(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    adopt(&["--undo"]).ends(1).says("--allow-gap");
    adopt(&["--undo", "--allow-gap"]).ends(0);
    assert_eq!(read(&place.path("srv/app/current/version")), "one\n");
}

#[test]
fn an_exchange_that_fails_in_earnest_leaves_what_was_there() {
    for (place, live) in [(capistrano(), "srv/app/current"), (scap(), "srv/app")] {
        let link = fs::read_link(place.path(live)).unwrap();
        failing(&place, "perl", "case \"$*\" in *releases*) true ;; *) false ;; esac");
        let ran = with_programs(&place, "failing", &["adopt", "--yes"]).ends(6);
        ran.says("could not be exchanged with").says("1 failed");
        assert_eq!(fs::read_link(place.path(live)).unwrap(), link);
        assert_eq!(read(&place.path(live).join("version")), "one\n");
        place.cli(&["status"]).ends(0).says("its adoption was broken off");
        // It can be given up, as well as done again.
        place.cli(&["adopt", "--undo", "--yes"]).ends(0);
        place.cli(&["status"]).ends(0).never_says("broken off");
        assert!(!place.path(live).join(".deploy-release").exists());
        place.cli(&["adopt", "--yes"]).ends(0);
    }
}

#[test]
fn a_host_with_busybox_will_do() {
    let place = capistrano();
    let programs = place.path("busybox");
    fs::create_dir(&programs).unwrap();
    for program in ["/bin/dash", "/usr/bin/python3"] {
        let is_there = Path::new(program).exists();
        assert!(is_there, "needs {program}: `cargo xtask test` installs it");
    }
    let list = std::process::Command::new("busybox").arg("--list").output();
    let list = list.expect("needs busybox: `cargo xtask test` installs it");
    let busybox = which("busybox");
    for name in String::from_utf8(list.stdout).unwrap().lines() {
        symlink(if name == "sh" { "/bin/dash" } else { busybox.as_str() }, programs.join(name))
            .unwrap();
    }
    symlink(which("git"), programs.join("git")).unwrap();
    symlink("/usr/bin/python3", programs.join("python3")).unwrap();
    let only = |words: &[&str]| {
        let mut command = place.command(words);
        command.env("PATH", &programs);
        place.ran(&command.output().unwrap())
    };
    let reader = Reader::of(place.path("srv/app/current/version"));
    let ran = only(&["adopt", "--yes"]).ends(0);
    ran.says("at once, by python3").says("becomes release/2026-01-01/1 (").says("public/uploads");
    let ran =
        only(&["plan", "release/2026-01-02/1"]).ends(0).says("not have any more: config/db.yml");
    ran.says("not have any more: log, public/uploads");
    only(&["deploy", "release/2026-01-02/1", "--yes"]).ends(0);
    only(&["rollback", "--yes"]).ends(0);
    only(&["adopt", "--undo", "--yes"]).ends(0);
    reader.never_failed();
    only(&["status"]).ends(0).says("releases/$COMMIT00\", which is not ours");
}
