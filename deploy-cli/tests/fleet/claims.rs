//! Deployers who cannot see each other's lock, and what is refused before a host is touched.

use crate::stage::Stage;

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn of_two_deployers_with_their_own_checkouts_one_is_kept_out() {
    let stage = Stage::new("cli-two", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.make_start_slow("h1");
    let v2 = stage.good(2);
    let v3 = stage.good(3);
    let other = stage.clone_to("other");
    stage.hold("h1");
    let mut running = stage.start(&["deploy", &v2, "--yes"]);
    running.until_stage(&stage, "h1", "restart");
    stage.until_held("h1", &running);
    let words = ["deploy", &v3, "--yes"];
    stage.deploy_cli_in(&other, &words).exits(5).says("claimed by run").says("h1").says("h2");
    stage.let_go("h1");
    running.wait().exits(0);
    stage.all_serve(&["h1", "h2"], 2);
    stage.deploy_cli_in(&other, &words).exits(0);
    stage.all_serve(&["h1", "h2"], 3);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_committed_link_at_a_shared_directory_is_refused_before_anything_is_touched() {
    let stage = Stage::new("cli-symlink", 1);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.version(2, |repository| {
        std::os::unix::fs::symlink("/etc", repository.join("log")).unwrap();
    });
    let releases = "ls /srv/deployment/mockbase/deploy-cache/releases";
    let before = stage.on("h1", releases);
    stage.deploy(&v2).exits(1).says("log").says("link");
    assert_eq!(stage.on("h1", releases), before);
    stage.all_serve(&["h1"], 1);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_pid_file_that_holds_minus_one_reaches_nobody() {
    let stage = Stage::new("cli-pid", 1);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    stage.reconfigure(
        "service = \"mockbase\"\nsudo = true",
        "method = \"hup\"\npid_file = \"/tmp/mockbase.pid\"",
    );
    // Would die of the signal, if it were sent to everybody.
    let sleeper = stage.on(
        "h1",
        "echo -1 >/tmp/mockbase.pid; setsid su deploy -c 'exec sleep 4712' >/dev/null 2>&1 & \
         sleep 0.5; pgrep -u deploy -f 'sleep 471[2]'",
    );
    let v2 = stage.good(2);
    stage.deploy(&v2).exits(4).says("h1").says("pid file").says("-1");
    assert!(stage.on("h1", "pgrep -u deploy -f 'sleep 471[2]'").contains(&sleeper), "still there");
}
