//! The main job, and days on which only a part of the fleet can follow.

use crate::stage::Stage;

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn two_versions_go_out_canary_first_and_come_back() {
    let stage = Stage::new("cli-main", 3);
    let v1 = stage.good(1);
    let v2 = stage.good(2);
    stage.deploy_cli(&["versions"]).exits(0).says(&v2).says("version 1");
    stage.deploy_cli(&["plan", &v1]).exits(0).says("no way back");
    stage.deploy(&v1).exits(0);
    stage.all_serve(&["h1", "h2", "h3"], 1);
    stage.deploy_cli(&["plan"]).exits(0).says("version 2").says("canary");
    stage.deploy("latest").exits(0);
    stage.all_serve(&["h1", "h2", "h3"], 2);

    let order: Vec<_> = stage
        .journal()
        .into_iter()
        .filter(|event| event["event"] == "stage-started" && event["stage"] == "promote")
        .map(|event| event["target"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(order.first().map(String::as_str), Some("h1"), "the canary is first: {order:?}");

    stage.deploy_cli(&["status"]).exits(0).says(&v2);
    stage.deploy(&v2).exits(0).says("unchanged");
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_serve(&["h1", "h2", "h3"], 1);
    stage.deploy_cli(&["history"]).exits(0).says(&v1).says(&v2).says("rollback");
    stage.deploy_cli(&["show"]).exits(0);
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn one_cut_off_and_one_full_disk_stay_within_the_budget_and_are_finished_later() {
    let stage = Stage::new("cli-budget", 10);
    stage.configure(
        "[[group]]\nname = \"default\"\nhosts = [\"h[1-10]\"]\nmax_failures = \"25%\"\n",
    );
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.version(2, |repository| {
        // Large enough not to fit, and not compressible.
        let noise: Vec<u8> = (0u32..3_000_000)
            .scan(1u32, |state, _| {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Some((*state >> 24) as u8)
            })
            .collect();
        std::fs::write(repository.join("data.bin"), noise).unwrap();
    });
    stage.fleet.cut("h4").unwrap();
    // The disk is filled, as it happens: by a log.
    stage.on(
        "h7",
        "cp -a /srv/deployment /root/kept; mount -t tmpfs -o size=1m tmpfs /srv/deployment; \
         cp -a /root/kept/. /srv/deployment/",
    );
    let ran = stage.deploy("latest").exits(6).says("h4").says("h7").says("deploy-cli deploy");
    assert!(ran.stdout.contains(&v2) || ran.stderr.contains(&v2), "{ran}");
    stage.all_serve(&["h1", "h2", "h3", "h5", "h6", "h8", "h9", "h10"], 2);
    assert_eq!(stage.answers("h7"), Some("1".into()), "the full host still serves the old version");

    stage.fleet.join("h4").unwrap();
    stage.on("h7", "mount -o remount,size=64m /srv/deployment");
    stage.deploy(&v2).exits(0);
    stage.all_serve(&["h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9", "h10"], 2);
}
