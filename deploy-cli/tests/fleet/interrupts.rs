//! Deployers that are told to stop, or lose their terminal, while a host switches or restarts.

use nix::sys::signal::Signal;

use crate::{
    running::Running,
    stage::{Pause, Stage},
};

/// What happens to the deployer, the exit codes it may then end with, and whether the switch or
/// restart in flight comes to its end.
type Way = (&'static str, fn(&Stage, &mut Running), &'static [i32], bool);

const WAYS: [Way; 5] = [
    ("one interrupt", one_interrupt, &[130], true),
    ("terminated", terminate, &[130], true),
    ("two interrupts", two_interrupts, &[130, 4], false),
    ("a hangup", hangup, &[0], true),
    ("closed output", close, &[0], true),
];

fn one_interrupt(_: &Stage, running: &mut Running) {
    running.signal(Signal::SIGINT);
    running.until_said("Ctrl-C again");
}

fn terminate(_: &Stage, running: &mut Running) {
    running.signal(Signal::SIGTERM);
    running.until_said("terminated");
}

fn two_interrupts(stage: &Stage, running: &mut Running) {
    one_interrupt(stage, running);
    running.signal(Signal::SIGINT);
}

fn hangup(_: &Stage, running: &mut Running) {
    running.signal(Signal::SIGHUP);
}

fn close(_: &Stage, running: &mut Running) {
    drop((running.child.stdout.take(), running.child.stderr.take()));
}

/// Deploys versions 2 to 6 onto two hosts; each time the canary is held in `at`, and the deployer
/// meets one of the ways.
fn each_way(stage: &Stage, at: &str) {
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    for ((way, act, codes, is_ended), number) in WAYS.into_iter().zip(2..) {
        println!("=== {way} in {at}");
        let version = stage.good(number);
        stage.hold("h1");
        let words = ["deploy", &version, "--yes"];
        let mut running =
            if way == "closed output" { stage.start_piped(&words) } else { stage.start(&words) };
        running.until_stage(stage, "h1", at);
        stage.until_held("h1", &running);
        act(stage, &mut running);
        if is_ended {
            stage.let_go("h1");
        }
        let ran = running.wait();
        println!("{ran}");
        stage.let_go("h1");
        assert!(codes.contains(&ran.code), "{way} in {at}: {ran}");
        stage.deploy_cli(&["unlock", "--lock-only"]).exits(0).says("was not locked");
        stage.deploy_cli(&["history"]).exits(0).never_says("DIED");
        if ran.code == 0 {
            stage.all_serve(&["h1", "h2"], number);
        } else {
            let ran = ran.says("h1").says("h2");
            assert_eq!(stage.answers("h2"), Some((number - 1).to_string()), "{way}: {ran}");
            if is_ended {
                assert_eq!(stage.live("h1"), Some(number.to_string()), "{way}: {ran}");
            }
        }
        stage.deploy_cli(&["status"]).exits(0);
        stage.deploy(&version).exits(0);
        stage.all_serve(&["h1", "h2"], number);
    }
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn signals_and_closed_output_while_a_host_switches() {
    let stage = Stage::new("cli-stop-promote", 2);
    stage.make_switch_slow("h1", Pause::BeforeRename);
    each_way(&stage, "promote");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn signals_and_closed_output_while_a_service_restarts() {
    let stage = Stage::new("cli-stop-restart", 2);
    stage.make_start_slow("h1");
    each_way(&stage, "restart");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_deployer_killed_while_it_rolls_back_leaves_what_the_next_one_understands() {
    let stage = Stage::new("cli-killed-back", 2);
    stage.reconfigure("status = 200\ntimeout = \"15s\"", "status = 200\ntimeout = \"5s\"");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.with_server(2, "import time\nwhile True: time.sleep(1)\n");
    for at in ["promote", "restart"] {
        if at == "promote" {
            stage.make_switch_slow("h1", Pause::BeforeRename);
        } else {
            stage.make_switch_slow("h1", Pause::Never);
            stage.make_start_slow("h1");
        }
        let mut running = stage.start(&["deploy", &v2, "--yes", "--redeploy"]);
        running.until_stage(&stage, "h1", "check");
        stage.hold("h1");
        stage.until_held("h1", &running);
        running.signal(Signal::SIGKILL);
        running.wait();
        stage.let_go("h1");
        let status = stage.deploy_cli(&["status"]).exits(0);
        let live = stage.live("h1").unwrap();
        let status = status.says(&format!("release/2015-06-10/{live}")).says("died");
        let plan = stage.deploy_cli(&["plan", &v2, "--json"]).exits(0);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        let back = &plan["groups"][0]["batches"][0][0]["back"]["version"]["name"];
        assert_eq!(back, v1.as_str(), "killed at {at}\n{status}");
        stage.deploy_cli(&["deploy", &v1, "--yes", "--allow-downgrade"]).exits(0);
        stage.all_serve(&["h1", "h2"], 1);
    }
}
