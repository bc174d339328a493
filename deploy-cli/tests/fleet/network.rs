//! Hosts that cannot be reached, and hosts that are not who they seem.

use std::fs;

use crate::stage::{Pause, Stage};

/// All hosts in one group, of which any number may fail.
fn lenient(stage: &Stage, hosts: &str) {
    stage.configure(&format!(
        "[[group]]\nname = \"default\"\nhosts = [{hosts}]\nmax_failures = \"100%\"\n"
    ));
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn hosts_that_are_down_closed_silent_or_unknown_are_unreachable_and_the_rest_goes_on() {
    let mut stage = Stage::new("cli-down", 4);
    lenient(&stage, "\"h[1-4]\", \"nosuchhost\"");
    let v1 = stage.good(1);
    stage.fleet.kill("h2").unwrap();
    stage.on("h3", "systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh");
    stage.fleet.cut("h4").unwrap();
    let ran = stage.deploy(&v1).exits(6);
    let ran = ran.says("h2").says("h3").says("h4").says("nosuchhost").says("unreachable");
    ran.says("refused").says("resolve");
    stage.all_serve(&["h1"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn unknown_changed_and_revoked_host_keys_are_refused_with_fingerprints() {
    let stage = Stage::new("cli-keys", 3);
    lenient(&stage, "\"h[1-3]\"");
    let v1 = stage.good(1);
    let path = stage.fleet.dir().join("known_hosts");
    let known = fs::read_to_string(&path).unwrap();
    let names = |host: &str| {
        let line = known.lines().find(|line| line.split([',', ' ']).any(|name| name == host));
        line.unwrap().split(' ').next().unwrap().to_owned()
    };
    let key = known.lines().next().unwrap().split(' ').skip(1).collect::<Vec<_>>().join(" ");
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVmDsd4CF6LSdJJVTzPW5lGiaHPzHiG6Hd9yYk2Xl0a";
    let (h2, h3) = (names("h2"), names("h3"));
    // h1 is unknown, h2 known by another key, h3 revoked although it is known.
    fs::write(&path, format!("{h2} {other}\n{h3} {key}\n@revoked {h3} {key}\n")).unwrap();
    let ran = stage.deploy(&v1).exits(1);
    let ran = ran.says("SHA256:").says("not known").says("changed").says("revoked");
    ran.says("ssh-keygen -R");
    assert_eq!(stage.live("h1"), None);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_refused_login_and_a_refused_sudo_are_said_per_host() {
    let stage = Stage::new("cli-refused", 4);
    lenient(&stage, "\"h[1-4]\"");
    let v1 = stage.good(1);
    stage.on("h2", "rm /home/deploy/.ssh/authorized_keys");
    stage.on("h3", "rm /etc/sudoers.d/*");
    stage.on("h4", "rm /etc/sudoers.d/*");
    let ran = stage.deploy(&v1).exits(6).says("h2").says("h3").says("sudo");
    let ran = ran.says("2 hosts").says("NOPASSWD");
    ran.says("login");
    stage.all_serve(&["h1"], 1);
    assert_eq!(stage.live("h3"), None, "a first deploy that failed went back to nothing");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_connection_cut_while_a_version_arrives_leaves_the_old_one() {
    let stage = Stage::new("cli-cut-fetch", 2);
    lenient(&stage, "\"h[1-2]\"");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    // A step of the fetch holds it long enough to be cut.
    let path = stage.repository().join("deploy.toml");
    let text = fs::read_to_string(&path).unwrap();
    let step = "[[step]]\nname = \"slow\"\nstage = \"fetch\"\ncommand = \"sleep 3\"\n";
    fs::write(&path, format!("{text}{step}")).unwrap();
    let v2 = stage.good(2);
    let mut running = stage.start(&["deploy", &v2, "--yes"]);
    running.until_stage(&stage, "h2", "fetch");
    stage.fleet.cut("h2").unwrap();
    running.wait().exits(6).says("h2");
    stage.all_serve(&["h1"], 2);
    stage.all_serve(&["h2"], 1);
    stage.fleet.join("h2").unwrap();
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2"], 2);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_connection_cut_while_the_service_restarts_is_never_a_guess() {
    let stage = Stage::new("cli-cut-restart", 2);
    lenient(&stage, "\"h[1-2]\"");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.good(2);
    // A slow start, so that the cable is pulled in the middle of it.
    stage.on(
        "h2",
        "mkdir -p /etc/systemd/system/mockbase.service.d; \
         printf '[Service]\\nExecStartPre=/bin/sleep 4\\n' \
         > /etc/systemd/system/mockbase.service.d/slow.conf; systemctl daemon-reload",
    );
    let mut running = stage.start(&["deploy", &v2, "--yes"]);
    running.until_stage(&stage, "h2", "restart");
    std::thread::sleep(std::time::Duration::from_millis(500));
    stage.fleet.cut("h2").unwrap();
    let ran = running.wait().exits(4).says("h2  unreachable  last known: release/2015-06-10/2");
    ran.says("finish the rest").never_says("h2: deployed");
    stage.fleet.join("h2").unwrap();
    // Whatever it serves now, the next deploy knows and finishes it.
    stage.deploy_cli(&["status"]).exits(0);
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2"], 2);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_connection_cut_while_the_link_is_switched_is_unknown_and_never_a_guess() {
    let stage = Stage::new("cli-cut-promote", 2);
    lenient(&stage, "\"h[1-2]\"");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    // Before the rename of the link, and after it, while the state is written.
    for (number, pause) in [(2, Pause::BeforeRename), (3, Pause::AfterRename)] {
        stage.make_switch_slow("h2", pause);
        let version = stage.good(number);
        stage.hold("h2");
        let mut running = stage.start(&["deploy", &version, "--yes"]);
        running.until_stage(&stage, "h2", "promote");
        stage.until_held("h2", &running);
        stage.fleet.cut("h2").unwrap();
        let ran = running.wait().exits(4).says("h2").says("unknown");
        ran.says("deploy-cli status").never_says("h2: deployed");
        stage.all_serve(&["h1"], number);
        // The host comes back, and what had begun there ends.
        stage.fleet.join("h2").unwrap();
        stage.let_go("h2");
        let live = stage.live("h2").unwrap();
        assert!([number, number - 1].contains(&live.parse().unwrap()), "{live}");
        stage.deploy_cli(&["status"]).exits(0).says("h2");
        stage.deploy(&version).exits(0);
        stage.all_serve(&["h1", "h2"], number);
    }
}
