//! What comes after a deploy: hosts that could not follow, new hosts, and plans that were saved.

use std::collections::BTreeSet;

use crate::stage::Stage;

/// Canary h1, the others in one group of which one may fail.
fn configure(stage: &Stage, others: &str, more: &str) {
    stage.configure(&format!(
        "[run]\nattempts = 1\n\
         {more}[[group]]\nname = \"canary\"\nhosts = [\"h1\"]\n\
         [[group]]\nname = \"default\"\nhosts = [{others}]\nmax_failures = 1\n"
    ));
}

/// A version takes a while to arrive.
const SLOW: &str = "[[step]]\nname = \"slow\"\nstage = \"fetch\"\ncommand = \"sleep 2\"\n";

/// The start of the service on `host`, which no two have in common.
fn start(stage: &Stage, host: &str) -> String {
    stage.on(host, "systemctl show -P InvocationID mockbase")
}

/// The hosts on which the newest run did more than to ask what they serve.
fn worked_on(stage: &Stage) -> BTreeSet<String> {
    let events = stage.journal().into_iter();
    let began = events.filter(|e| e["event"] == "stage-started" && e["stage"] != "connect");
    began.filter_map(|event| event["target"].as_str().map(str::to_owned)).collect()
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_host_cut_off_in_a_deploy_catches_up_and_so_does_a_new_one() {
    let stage = Stage::new("plan-late", 4);
    configure(&stage, "\"h[2-3]\"", SLOW);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.good(2);
    let mut running = stage.start(&["deploy", &v2, "--yes"]);
    running.until_stage(&stage, "h3", "fetch");
    stage.fleet.cut("h3").unwrap();
    running.wait().exits(6).says("1 unreachable");
    stage.all_serve(&["h1", "h2"], 2);
    let before = ["h1", "h2"].map(|host| start(&stage, host));

    stage.deploy_cli(&["status", "--hosts", "@last/unreachable"]).exits(6).says("h3");
    let ran = stage.deploy_cli(&["catch-up", "--yes"]).exits(6);
    ran.says("nothing is behind: 2 hosts serve it").says("h3: could not be asked");

    stage.fleet.join("h3").unwrap();
    let ran = stage.deploy_cli(&["catch-up", "--yes"]).exits(0);
    ran.says(&format!("the current version is {v2}")).says("healthy hosts serve it");
    stage.all_serve(&["h1", "h2", "h3"], 2);
    assert_eq!(["h1", "h2"].map(|host| start(&stage, host)), before, "nobody else was restarted");
    assert_eq!(worked_on(&stage), ["h3".to_owned()].into());

    // A new host, and one that is away: that one is named, and holds up nothing.
    configure(&stage, "\"h[2-4]\"", SLOW);
    stage.fleet.cut("h2").unwrap();
    stage.deploy_cli(&["catch-up", "--yes"]).exits(6).says("h2").says("1 deployed, 1 unreachable");
    stage.all_serve(&["h4"], 2);
    stage.fleet.join("h2").unwrap();
    stage.deploy_cli(&["catch-up", "--yes"]).exits(0).says("nothing is behind: 4 hosts serve it");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn what_failed_is_deployed_to_by_the_name_of_its_run() {
    let stage = Stage::new("plan-left", 3);
    configure(&stage, "\"h[2-3]\"", "");
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.good(2);
    stage.on("h3", "chmod a-w /srv/deployment/mockbase/deploy-cache");
    stage.deploy(&v2).exits(6).says("1 failed");
    stage.all_serve(&["h1", "h2"], 2);
    stage.all_serve(&["h3"], 1);
    stage.on("h3", "chmod u+w /srv/deployment/mockbase/deploy-cache");
    stage.deploy_cli(&["deploy", &v2, "--yes", "--hosts", "@last/not-attempted"]).exits(1);
    stage.deploy_cli(&["deploy", &v2, "--yes", "--hosts", "@last/failed"]).exits(0);
    stage.all_serve(&["h3"], 2);
    assert_eq!(worked_on(&stage), ["h3".to_owned()].into());
    let ran = stage.deploy_cli(&["deploy", &v2, "--yes", "--hosts", "@last/failed"]).exits(1);
    ran.says("nothing is left of run");

    // Tried on one host alone: which of the two is meant, nobody knows.
    let v3 = stage.good(3);
    stage.deploy_cli(&["deploy", &v3, "--yes", "--hosts", "h2"]).exits(0);
    let ran = stage.deploy_cli(&["catch-up", "--yes"]).exits(1);
    let ran = ran.says(&format!("by the record: {v3}: run "));
    ran.says(&format!("by the hosts: {v2}: 2 of 3 healthy hosts serve it"));
    let ran = stage.deploy_cli(&["catch-up", "--yes", "--to", &v2]).exits(0);
    let ran = ran.says("nothing is behind: 2 hosts serve it");
    ran.says(&format!("left alone: h2 serves {v3}, which has what {v2} lacks"));
    let before = start(&stage, "h2");
    stage.deploy_cli(&["catch-up", "--yes", "--to", &v3]).exits(0).says("2 deployed");
    stage.all_serve(&["h1", "h2", "h3"], 3);
    assert_eq!(start(&stage, "h2"), before);
    assert_eq!(worked_on(&stage), ["h1".to_owned(), "h3".to_owned()].into());
    let tags = stage.git(&["ls-remote", "origin", "refs/tags/deploy/*"]);
    let newest = stage.journals().pop().unwrap();
    let run = newest.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(tags.contains(&run), "the whole fleet serves it: {tags}");
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_saved_plan_is_refused_once_anything_has_moved_and_applied_when_nothing_has() {
    let stage = Stage::new("plan-saved", 2);
    let v1 = stage.good(1);
    stage.deploy(&v1).exits(0);
    let v2 = stage.good(2);
    stage.deploy_cli(&["plan", "-o", "../next.plan"]).exits(0).says("saved as ../next.plan");
    // Somebody else deploys it, from another checkout with a state directory of its own.
    let other = stage.clone_to("other");
    std::fs::copy(stage.repository().join("deploy.toml"), other.join("deploy.toml")).unwrap();
    stage.deploy_cli_in(&other, &["deploy", &v2, "--yes"]).exits(0);
    let apply = ["deploy", "--plan", "../next.plan", "--yes"];
    let ran = stage.deploy_cli(&apply).exits(1).says("the saved plan does not hold any more:");
    ran.says(&format!("h1, h2: live: was {v1} (run ")).says(&format!("is {v2} (run "));

    let v3 = stage.good(3);
    stage.deploy_cli(&["plan", "-o", "../next.plan"]).exits(0);
    stage.fleet.cut("h2").unwrap();
    let ran = stage.deploy_cli(&apply).exits(1);
    ran.says("h2: asked: was answers, is cannot be reached");
    stage.all_serve(&["h1"], 2);
    stage.fleet.join("h2").unwrap();
    stage.deploy_cli(&apply).exits(0).says(&format!("deployed {v3}"));
    stage.all_serve(&["h1", "h2"], 3);
    stage.deploy_cli(&["show"]).exits(0).says("applied the saved plan with sha256");
    stage.deploy_cli(&["plan", "previous", "-o", "../back.plan"]).exits(0);
    stage.deploy_cli(&["rollback", "--plan", "../back.plan", "--yes"]).exits(0);
    stage.all_serve(&["h1", "h2"], 2);
}
