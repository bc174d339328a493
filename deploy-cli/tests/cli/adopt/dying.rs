//! Adoptions that die half way, at one point after the other.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    layout::{capistrano, export, place, scap},
    programs::{which, with_programs},
    read,
    reader::Reader,
};
use crate::place::{Place, Ran};

/// Programs that end the shell that calls them, before or after the Nth time that one of them runs.
fn deadly(place: &Place) {
    let directory = place.path("deadly");
    fs::create_dir(&directory).unwrap();
    for program in ["mv", "ln", "perl", "mkdir", "chmod", "rm"] {
        let real = which(program);
        let text = format!(
            "#!/bin/sh\nc={0}/count\nread -r n <$c; n=$((n - 1)); echo $n >$c\n\
             if [ $n = 0 ] && [ -e {0}/before ]; then kill -KILL $PPID; exit 1; fi\n\
             {real} \"$@\"; e=$?\n\
             if [ $n = 0 ]; then kill -KILL $PPID; fi\nexit $e\n",
            directory.display()
        );
        fs::write(directory.join(program), text).unwrap();
        fs::set_permissions(directory.join(program), PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// Runs the command with the deadly programs, the `number`th of which ends it.
fn dying(place: &Place, words: &[&str], number: usize, before: bool) -> Ran {
    let directory = place.path("deadly");
    fs::write(directory.join("count"), format!("{number}\n")).unwrap();
    let _ = fs::remove_file(directory.join("before"));
    if before {
        fs::write(directory.join("before"), "").unwrap();
    }
    with_programs(place, "deadly", words)
}

/// Whatever is the last thing that a host did: the live path leads to whole files all the time, and
/// the same command again ends what was begun. Every `step`th point is tried: in turn right before
/// what is done there, and right after it.
fn dies_everywhere(make: fn() -> Place, live: &str, step: usize) {
    let (next, ended) = (AtomicUsize::new(1), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while ended.load(Ordering::Relaxed) == 0 {
                    let number = next.fetch_add(step, Ordering::Relaxed);
                    assert!(number < 100, "it never ends");
                    let before = (number / step).is_multiple_of(2);
                    if !dies_at((number, before), &make(), live) {
                        ended.fetch_max(number, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let numbers = ended.load(Ordering::Relaxed);
    assert!(numbers > 20, "only {numbers} points");
}

/// Whether one of both was still at work at that point.
fn dies_at((number, before): (usize, bool), place: &Place, live: &str) -> bool {
    deadly(place);
    let reader = Reader::of(place.path("srv").join(live).join("version"));
    let is_spared = || read(&place.path("deadly/count")).trim().parse::<i64>().unwrap() > 0;
    let died = dying(place, &["adopt", "--yes"], number, before);
    let mut spared = is_spared();
    assert!(!spared || died.code == 0, "{}", died.all());
    place.cli(&["adopt", "--yes"]).ends(0);
    place.cli(&["status"]).ends(0).never_says("claimed").never_says("broken off");
    let died = dying(place, &["adopt", "--undo", "--yes"], number, before);
    assert!(!is_spared() || died.code == 0, "{}", died.all());
    spared &= is_spared();
    place.cli(&["adopt", "--undo", "--yes"]).ends(0);
    reader.never_failed();
    assert!(!place.path("srv").join(live).join(".deploy-release").exists(), "{number}");
    !spared
}

#[test]
fn an_adoption_that_dies_at_any_point_is_finished_for_a_directory() {
    dies_everywhere(
        || {
            let place = place("deploy");
            export(&place, "release/2026-01-01/1", "srv/deploy");
            place
        },
        "deploy",
        5,
    );
}

#[test]
fn an_adoption_that_dies_at_any_point_is_finished_for_capistrano() {
    dies_everywhere(capistrano, "app/current", 2);
}

#[test]
fn an_adoption_that_dies_at_any_point_is_finished_for_scap() {
    dies_everywhere(scap, "app", 5);
}
