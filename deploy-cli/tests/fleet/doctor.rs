//! What would stop a deploy, as it is found on real hosts.

use std::fs;

use crate::stage::Stage;

/// Every file that a deploy, or a look that changes something, would leave other than before.
const EVERYTHING: &str = "find /srv /etc/sudoers.d /home/deploy -printf '%p %T@ %C@\\n' | sort";

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_healthy_fleet_has_nothing_to_say_and_is_left_as_it_was() {
    let stage = Stage::new("doctor-well", 2);
    let v1 = stage.good(1);
    let before = stage.on("h1", EVERYTHING);
    let ran = stage.deploy_cli(&["doctor"]).exits(0).says("nothing would stop a deploy");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran}");
    assert_eq!(stage.on("h1", EVERYTHING), before);
    assert!(!stage.repository().join(".git/deploy").exists());
    let ran = stage.deploy_cli(&["doctor", "-v"]).exits(0);
    ran.says("h1, h2: deploy may run `/usr/bin/systemctl restart mockbase.service` by sudo")
        .says("h1, h2: http://localhost:1134/_info can be asked from there")
        .says("h1, h2: the user mockbase is there");
    stage.deploy(&v1).exits(0);
    let before = stage.on("h1", EVERYTHING);
    stage.deploy_cli(&["doctor"]).exits(0).says("nothing would stop a deploy");
    assert_eq!(stage.on("h1", EVERYTHING), before);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn each_thing_that_is_missing_is_told_with_its_cure_and_equal_ones_once() {
    let stage = Stage::new("doctor-ill", 3);
    let v1 = stage.good(1);
    stage.on("h1", "rm /etc/sudoers.d/*");
    stage.on(
        "h2",
        "rm /etc/sudoers.d/*; userdel mockbase; \
         for t in $(which -a git); do rm -f $t; done",
    );
    stage.on("h3", "mount -t tmpfs -o size=2m,mode=777 tmpfs /srv/deployment");
    stage.on("h3", "head -c 1990000 /dev/zero > /srv/deployment/full; ln -sf /dev/null /etc/systemd/system/mockbase.service; systemctl daemon-reload");
    let ran = stage.deploy_cli(&["doctor"]).exits(1);
    let sudo = "h1, h2: deploy may not run `/usr/bin/systemctl restart mockbase.service` by sudo";
    let line = "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart mockbase.service";
    let ran = ran.says(sudo).says(line).says("h2: no git").says("h2: there is no user mockbase");
    let ran = ran.says("h3: disk full on /srv/deployment");
    ran.says("h3: the service mockbase is masked").says("systemctl unmask mockbase.service");
    // The same, as a deploy would have met it.
    stage.deploy(&v1).exits(1);

    // The cures that were told are cures.
    let cure = format!("echo '{line}' > /etc/sudoers.d/deploy");
    stage.on("h1", &cure);
    let ran = stage.deploy_cli(&["doctor", "--hosts", "h1"]).exits(0);
    ran.says("warning").says("`/usr/bin/systemctl stop mockbase.service`");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn hosts_that_are_unknown_cut_off_or_held_by_another_run_are_told_apart() {
    let stage = Stage::new("doctor-cut", 3);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.fleet.cut("h3").unwrap();
    stage.deploy_cli(&["doctor"]).exits(6).says("not asked  h3: ").says("1 not asked");

    let path = stage.fleet.dir().join("known_hosts");
    let known = fs::read_to_string(&path).unwrap();
    let of_h2 = |line: &&str| line.split([',', ' ']).any(|name| name == "h2");
    let rest: Vec<&str> = known.lines().filter(|line| !of_h2(line)).collect();
    fs::write(&path, rest.join("\n") + "\n").unwrap();
    let claim = "{\"run\":\"20260101-000000-0000\",\"who\":\"bob\",\
        \"since\":\"2026-01-01T00:00:00Z\",\"process\":{\"host\":\"far\",\"boot_id\":\"b\",\
        \"pid_namespace\":\"p\",\"pid\":1,\"start_time\":1}}";
    stage.on("h1", &format!("echo '{claim}' > /srv/deployment/mockbase/deploy-cache/claim.json"));
    let ran = stage.deploy_cli(&["doctor"]).exits(1).says("h2: its host key is not known");
    let ran =
        ran.says("ssh-keyscan -H 10.77.0.13").says("h1: run 20260101-000000-0000 of bob holds it");
    ran.says("deploy-cli unlock").says("2 problems, 1 not asked");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn forwarding_clock_and_what_a_crash_left_are_looked_at() {
    let stage = Stage::new("doctor-odd", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.on("h1", "sed -i '1i AllowTcpForwarding no' /etc/ssh/sshd_config; systemctl restart ssh");
    stage.on("h1", "for t in curl wget; do mv \"$(command -v $t)\" /root/ || true; done");
    stage.on("h2", "mkdir /srv/deployment/mockbase/deploy-cache/releases/left");
    // The kernel's clock is this machine's too: only what tells it is changed.
    stage.on("h2", "printf '#!/bin/sh\\necho 1000000000\\n' > /usr/local/bin/date; chmod 755 /usr/local/bin/date");
    // The room that is left would do for the example, and for little more.
    stage.on("h2", "mv /srv/deployment /srv/kept; mkdir /srv/deployment");
    stage.on(
        "h2",
        "mount -t tmpfs -o size=40m tmpfs /srv/deployment; cp -a /srv/kept/. /srv/deployment/",
    );
    stage.on(
        "h2",
        "chown deploy /srv/deployment; head -c 39000000 /dev/zero > /srv/deployment/full",
    );
    let ran = stage.deploy_cli(&["doctor"]).exits(1);
    let ran = ran.says("h2: /srv/deployment is nearly full");
    let ran = ran.says("h1: http://localhost:1134/_info cannot be asked: sshd there forbids");
    let ran = ran.says("h2: its clock is behind this machine's");
    ran.says("h2: an earlier run left a release unfinished there");
}
