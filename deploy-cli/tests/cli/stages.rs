//! Each way in which a deployer is stopped, in each stage, at a fault point within that stage.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::place::Place;

/// What happens to the deployer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Interrupt,
    InterruptTwice,
    Terminate,
    Hangup,
    Close,
    Kill,
}

const WAYS: [Way; 6] =
    [Way::Interrupt, Way::InterruptTwice, Way::Terminate, Way::Hangup, Way::Close, Way::Kill];

/// A program that stands before the real one of its name: where `case` finds a fault point, and a
/// file `hold-POINT` is there, it says so and waits.
fn stand_before(place: &Place, name: &str, case: &str) {
    let at = place.path("");
    let at = at.display();
    let text = format!(
        "#!/bin/sh\nPATH=${{PATH#*:}}\npoint=none\ncase \"$*\" in\n{case}\nesac\n\
         if [ -e {at}hold-$point ]; then\n\
         : >{at}held; while [ -e {at}hold-$point ]; do sleep 0.05; done\nfi\n\
         exec {name} \"$@\"\n"
    );
    let path = place.path("points").join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A place with fault points, that serves version "one"; "two" (or "broken") is to be deployed.
fn prepared(next: &str) -> Place {
    let place = Place::bare();
    fs::create_dir(place.path("points")).unwrap();
    stand_before(
        &place,
        "mv",
        "*/.new/live*) cache=${2%/.new/live}\n\
         point=promote-$(cat \"$cache/$(readlink \"$2\")/version\") ;;\n\
         *.deploy-building*) point=fetch ;;",
    );
    stand_before(&place, "cp", "*/running) point=restart-$(cat \"$1\") ;;");
    stand_before(&place, "rm", "*claim.json*) point=finalize ;;");
    let at = place.path("");
    let at = at.display();
    place.configure(&format!(
        "[[check]]\nname = \"waits\"\ntimeout = \"60s\"\ncommand = \"test ! -e {at}hold-check || \
         {{ : >{at}held; while test -e {at}hold-check; do sleep 0.05; done; }}\"\n"
    ));
    place.version(1, "one");
    place.cli(&["deploy"]).ends(0);
    place.version(2, next);
    place
}

fn start(place: &Place, way: Way) -> Child {
    let mut command = place.command(&["deploy"]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", place.path("points").display()));
    if way == Way::Close {
        return command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    }
    let said = fs::File::create(place.path("said")).unwrap();
    command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap()
}

fn act(place: &Place, child: &mut Child, way: Way) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let send = |signal| kill(pid, signal).unwrap();
    let told = |words: &str| place.until(words, || place.said().contains(words));
    match way {
        Way::Interrupt | Way::InterruptTwice => {
            send(Signal::SIGINT);
            told("Ctrl-C again");
            if way == Way::InterruptTwice {
                send(Signal::SIGINT);
            }
        }
        Way::Terminate => {
            send(Signal::SIGTERM);
            told("terminated");
        }
        Way::Hangup => send(Signal::SIGHUP),
        Way::Close => drop((child.stdout.take(), child.stderr.take())),
        Way::Kill => send(Signal::SIGKILL),
    }
}

/// Lets the deployer meet `way` at `point`; returns how it ended. What is in flight there ends
/// before it does, unless it is to be killed.
fn meet(place: &Place, point: &str, way: Way) -> Option<i32> {
    let hold = place.path(&format!("hold-{point}"));
    fs::write(&hold, "").unwrap();
    let mut child = start(place, way);
    place.until_there(&place.path("held"));
    act(place, &mut child, way);
    let in_flight_is_killed = [Way::InterruptTwice, Way::Kill].contains(&way);
    if !in_flight_is_killed {
        fs::remove_file(&hold).unwrap();
    }
    let code = child.wait().unwrap().code();
    if in_flight_is_killed {
        fs::remove_file(&hold).unwrap();
    }
    println!("=== {way:?} at {point}: {code:?}\n{}", place.said());
    code
}

/// What holds after each end: the lock is free (or that of a dead process), the journal whole, `status` right, and the next
/// deploy finishes.
#[track_caller]
fn aftermath(place: &Place, way: Way, what: &str) {
    if way != Way::Kill {
        place.cli(&["unlock", "--lock-only"]).ends(0).says("was not locked");
    }
    let history = place.cli(&["history"]).ends(0);
    assert_eq!(history.all().contains("DIED"), way == Way::Kill, "{what}: {}", history.all());
    if ![Way::Kill, Way::Close].contains(&way) {
        assert!(place.said().contains("local"), "{what}: {}", place.said());
    }
    // A killed run's last step may still be ending.
    place.until("status tells what is live", || {
        let live = place.live();
        let day = if live == "one" { 1 } else { 2 };
        place.cli(&["status"]).all().contains(&format!("release/2026-01-0{day}/1"))
    });
    place.version(3, "three");
    place.cli(&["deploy"]).ends(0);
    assert_eq!((place.live(), place.running()), ("three".into(), "three".into()), "{what}");
}

/// Meets all ways at `point`. `before`: what is live when nothing of the stage in flight counts;
/// `after`: when it has ended.
fn each_way(point: &str, before: &str, after: &str) {
    for way in WAYS {
        let place = prepared("two");
        let what = format!("{way:?} at {point}");
        let code = meet(&place, point, way);
        match way {
            Way::Hangup | Way::Close => {
                assert_eq!((code, place.running().as_str()), (Some(0), "two"), "{what}");
            }
            Way::Interrupt | Way::Terminate => {
                // Nothing comes after finalize that could be stopped.
                let wanted = if point == "finalize" { 0 } else { 130 };
                assert_eq!((code, place.live().as_str()), (Some(wanted), after), "{what}");
            }
            Way::InterruptTwice => {
                assert!([Some(130), Some(4), Some(6)].contains(&code), "{what}: {code:?}");
                assert!([before, after].contains(&place.live().as_str()), "{what}");
            }
            Way::Kill => assert_eq!(code, None, "{what}"),
        }
        aftermath(&place, way, &what);
    }
}

#[test]
fn every_way_to_stop_while_a_version_is_fetched() {
    each_way("fetch", "one", "one");
}

#[test]
fn every_way_to_stop_while_the_link_is_switched() {
    each_way("promote-two", "one", "two");
}

#[test]
fn every_way_to_stop_while_the_service_restarts() {
    each_way("restart-two", "two", "two");
}

#[test]
fn every_way_to_stop_while_a_check_is_asked() {
    each_way("check", "two", "two");
}

#[test]
fn every_way_to_stop_while_a_run_is_finalized() {
    each_way("finalize", "two", "two");
}

#[test]
fn every_way_to_stop_while_it_goes_back() {
    for (way, point) in
        WAYS.into_iter().flat_map(|way| ["promote-one", "restart-one"].map(|point| (way, point)))
    {
        let place = prepared("broken");
        let what = format!("{way:?} at {point} of a rollback");
        let code = meet(&place, point, way);
        match way {
            // One order to stop does not stop a rollback.
            Way::Hangup | Way::Close | Way::Interrupt | Way::Terminate => {
                assert_eq!(code, Some(3), "{what}");
            }
            Way::InterruptTwice => assert_eq!(code, Some(4), "{what}"),
            Way::Kill => assert_eq!(code, None, "{what}"),
        }
        if ![Way::InterruptTwice, Way::Kill].contains(&way) {
            assert_eq!((place.live(), place.running()), ("one".into(), "one".into()), "{what}");
        } else {
            // What never became good is not what one goes back to.
            place.version(3, "three");
            place.until("the way back is the good one", || {
                let plan = place.cli(&["plan", "--json"]);
                let plan: serde_json::Value =
                    serde_json::from_str(&plan.stdout).unwrap_or_default();
                let back = &plan["groups"][0]["batches"][0][0]["back"]["version"]["name"];
                back == "release/2026-01-01/1"
            });
            place.cli(&["deploy"]).ends(0);
            assert_eq!(place.running(), "three", "{what}");
            continue;
        }
        aftermath(&place, way, &what);
    }
}
