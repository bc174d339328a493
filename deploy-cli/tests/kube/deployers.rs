//! Deployers that die, two at once, and pods that crash late.

use std::fs;

use nix::sys::signal::Signal;
use xtask::PodLook;

use super::{
    running::Running,
    stage::{APP, Stage},
};

/// A dead run's claims are for long: nobody waits for their end.
const GROUPS: &str = r#"
[workload]
name = "deployment/mathoid"
[lock]
lease = "30m"
[[group]]
name = "production"
clusters = ["eqiad"]
[[check]]
name = "rollout"
rollout = true
timeout = "60s"
interval = "500ms"
"#;

fn promoted(stage: &Stage, tag: &str) -> Running {
    stage.kubelet.show(&format!(":{tag}"), PodLook::Starting);
    let mut running = Running::start(stage, &["deploy", tag, "--yes"]);
    let image = format!("{}:{tag}", stage.image());
    running.until("the promote", || stage.runs("eqiad").starts_with(&image));
    running.until("the check", || stage.pods("eqiad").contains(&image));
    running
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_deployer_that_is_killed_or_meets_another_leaves_no_stale_claim() {
    let stage = Stage::new("cli-killed", &["eqiad"]);
    stage.deployments(1);
    stage.configure(GROUPS);
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);

    // Another checkout, without anything that the first one knows.
    let there = |words: &[&str]| stage.deploy_cli_in("other", words);
    let running = promoted(&stage, "v1.1.0");
    let ran = there(&["deploy", "v1.3.0", "--yes"]).exits(5);
    ran.says("claimed by run").says("eqiad");
    there(&["status"]).exits(0).says("claimed by run");
    assert!(stage.runs("eqiad").contains(":v1.1.0"), "nothing was touched");

    // Killed while the pods come up.
    running.signal(Signal::SIGKILL);
    running.wait().exits(-1);
    stage.deploy_cli(&["status"]).exits(0).says("which died").says("v1.1.0");
    stage.deploy_cli(&["history"]).exits(0).says("DIED");
    stage.kubelet.show(":v1.1.0", PodLook::Ready);
    stage.deploy("v1.1.0").exits(0);
    stage.deploy_cli(&["status"]).exits(0).says("v1.1.0").never_says("claimed");

    // From the other checkout it is as dead, and what was good is known there.
    let running = promoted(&stage, "v1.2.0");
    running.signal(Signal::SIGKILL);
    running.wait().exits(-1);
    stage.kubelet.show(":v1.3.0", PodLook::Crashing);
    there(&["deploy", "v1.3.0", "--yes"]).exits(3).says("v1.1.0");
    stage.all_run("v1.1.0");

    let running = promoted(&stage, "v1.2.0");
    running.signal(Signal::SIGKILL);
    running.wait().exits(-1);
    stage.deploy_cli(&["unlock"]).exits(0).says("eqiad");
    stage.deploy_cli(&["status"]).exits(0).says("v1.2.0").never_says("claimed");
    stage.kubelet.show(":v1.2.0", PodLook::Ready);
    stage.deploy("v1.2.0").exits(0);
    assert!(stage.runs("eqiad").contains(":v1.2.0@"), "{APP}");
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_pod_that_is_ready_and_crashes_later_is_caught_by_the_soak() {
    let stage = Stage::new("cli-soak", &["staging", "eqiad"]);
    stage.deployments(2);
    let groups = GROUPS.replace(
        "[[group]]\n",
        "[[group]]\nname = \"staging\"\nclusters = [\"staging\"]\nsoak = \"SOAK\"\ninterval = \"1s\"\n\
         [[group]]\n",
    );
    stage.configure(&groups.replace("SOAK", "2s"));
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);
    stage.reconfigure("\"2s\"", "\"40s\"");
    for (tag, look, told) in [
        ("v1.1.0", PodLook::Revived, "main was ready and has crashed 1 time since: exit code 2"),
        ("v1.2.0", PodLook::Crashing, "has crashed 3 times: exit code 2"),
    ] {
        let mut running = Running::start(&stage, &["deploy", tag, "--yes"]);
        let told = told.replace("main", APP);
        let healthy = "staging: 1 of 1 healthy";
        let said = running.said_by();
        running.until("the soak", || fs::read_to_string(&said).unwrap().contains(healthy));
        stage.kubelet.show(&format!(":{tag}"), look);
        running.wait().exits(3).says(&told);
        stage.all_run("v1.0.0");
    }
}
