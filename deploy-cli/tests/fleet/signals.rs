//! Deployers that are interrupted, killed, or left alone.

use nix::sys::signal::Signal;

use crate::stage::Stage;

/// A start that takes a few seconds, so that a signal meets it.
const SLOW_START: &str = "mkdir -p /etc/systemd/system/mockbase.service.d; \
    printf '[Service]\\nExecStartPre=/bin/sleep 3\\n' \
    > /etc/systemd/system/mockbase.service.d/slow.conf; systemctl daemon-reload";

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_deployer_killed_in_each_stage_leaves_what_the_next_one_understands() {
    let stage = Stage::new("cli-killed", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    for host in ["h1", "h2"] {
        stage.on(host, SLOW_START);
    }
    for (number, at) in (2..).zip(["fetch", "promote", "restart", "check", "finalize"]) {
        let version = stage.good(number);
        let mut running = stage.start(&["deploy", &version, "--yes"]);
        running.until_stage(&stage, "h1", at);
        running.signal(Signal::SIGKILL);
        running.wait();
        let status = stage.deploy_cli(&["status"]).exits(0);
        let live = stage.live("h1").unwrap();
        let tag = format!("release/2015-06-10/{live}");
        let status = status.says(&tag);
        // What never finished is not what a rollback goes to.
        let plan = stage.deploy_cli(&["plan", &version, "--json"]).exits(0);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        let back = &plan["groups"][0]["batches"][0][0]["back"]["version"]["name"];
        let before = format!("release/2015-06-10/{}", number - 1);
        // Only a finalize that came through before the kill has made the new version good.
        let finished = at == "finalize" && back == version.as_str();
        assert!(finished || back == before.as_str(), "killed at {at}: back to {back}\n{status}");
        stage.deploy(&version).exits(0);
        stage.all_serve(&["h1", "h2"], number);
    }
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn one_interrupt_ends_the_stage_in_flight_and_frees_the_lock() {
    let stage = Stage::new("cli-interrupt", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on("h1", SLOW_START);
    for (signal, number) in [(Signal::SIGINT, 2), (Signal::SIGTERM, 3)] {
        let version = stage.good(number);
        let mut running = stage.start(&["deploy", &version, "--yes"]);
        running.until_stage(&stage, "h1", "restart");
        running.signal(signal);
        running.wait().exits(130).says("h1").says("h2");
        assert_eq!(stage.live("h1"), Some(number.to_string()), "left, without a terminal");
        assert_eq!(stage.answers("h2"), Some((number - 1).to_string()), "never started");
        stage.deploy(&version).exits(0);
        stage.all_serve(&["h1", "h2"], number);
    }
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn two_interrupts_end_at_once_and_say_what_is_served() {
    let stage = Stage::new("cli-kill", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on("h1", SLOW_START);
    let v2 = stage.good(2);
    let mut running = stage.start(&["deploy", &v2, "--yes"]);
    running.until_stage(&stage, "h1", "restart");
    running.signal(Signal::SIGINT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal(Signal::SIGINT);
    running.wait().exits(130).says("h1");
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2"], 2);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_hangup_does_not_stop_a_run() {
    let stage = Stage::new("cli-hup", 2);
    let v1 = stage.good(1);
    stage.on("h1", SLOW_START);
    let mut running = stage.start(&["deploy", &v1, "--yes"]);
    running.until_stage(&stage, "h1", "restart");
    running.signal(Signal::SIGHUP);
    running.wait().exits(0);
    stage.all_serve(&["h1", "h2"], 1);
}
