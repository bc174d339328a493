//! API servers that are down, slow, or gone in the middle.

use xtask::PodLook;

use super::{running::Running, stage::Stage};

/// Of three clusters one may fail, and none is waited for long.
const GROUPS: &str = r#"
[workload]
name = "deployment/mathoid"
[[group]]
name = "production"
clusters = ["eqiad", "codfw", "esams"]
canary = false
max_failures = 1
batch = 1
[[check]]
name = "rollout"
rollout = true
timeout = "20s"
interval = "500ms"
[run]
attempts = 1
[run.timeouts]
connect = "4s"
promote = "8s"
"#;

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn one_cluster_of_three_that_is_down_or_slow_keeps_none_of_the_others_waiting() {
    let stage = Stage::new("cli-down", &["eqiad", "codfw", "esams"]);
    stage.deployments(1);
    stage.configure(GROUPS);
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);

    stage.cluster("codfw").kill_api();
    stage.deploy_cli(&["status"]).exits(6).says("codfw: unreachable: ");
    stage.deploy_cli(&["plan", "v1.1.0"]).exits(6).says("Connection refused");
    let ran = stage.deploy("v1.1.0").exits(6);
    ran.says("codfw  unreachable").says("Connection refused").says("deploy-cli deploy v1.1.0");
    assert!(stage.runs("eqiad").contains(":v1.1.0") && stage.runs("esams").contains(":v1.1.0"));
    stage.cluster("codfw").start_api().unwrap();
    stage.deploy("v1.1.0").exits(0).says("2 unchanged");
    stage.all_run("v1.1.0");

    // It takes connections, and answers none of them.
    stage.cluster("codfw").freeze_api(true).unwrap();
    stage.deploy_cli(&["status"]).exits(6).says("codfw");
    let ran = stage.deploy("v1.2.0").exits(6);
    ran.says("codfw  unreachable").says("gave no answer in time");
    // Without a budget nothing is begun anywhere.
    stage.reconfigure("max_failures = 1", "max_failures = 0");
    stage.deploy("v1.3.0").exits(1).says("gave no answer in time");
    assert!(stage.runs("eqiad").contains(":v1.2.0") && stage.runs("esams").contains(":v1.2.0"));
    stage.cluster("codfw").freeze_api(false).unwrap();
    assert!(stage.runs("codfw").contains(":v1.1.0"));
    stage.deploy("v1.2.0").exits(0);
    stage.all_run("v1.2.0");
}

/// One cluster, which is lost for good after a short while.
const ONE: &str = r#"
[workload]
name = "deployment/mathoid"
[[group]]
name = "production"
clusters = ["eqiad"]
[[check]]
name = "rollout"
rollout = true
timeout = "TIMEOUT"
interval = "500ms"
[run.timeouts]
connect = "4s"
promote = "8s"
"#;

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn an_api_server_that_goes_during_a_rollout_is_waited_for_and_never_guessed_about() {
    let stage = Stage::new("cli-gone", &["eqiad"]);
    stage.deployments(1);
    stage.configure(&ONE.replace("TIMEOUT", "60s"));
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        stage.push(tag);
        stage.kubelet.show(&format!(":{tag}"), PodLook::Starting);
    }
    stage.kubelet.show(":v1.0.0", PodLook::Ready);
    stage.deploy("v1.0.0").exits(0);
    let begin = |tag: &str| {
        let mut running = Running::start(&stage, &["deploy", tag, "--yes"]);
        let promoted = format!("{}:{tag}", stage.image());
        running.until("the promote", || stage.runs("eqiad").starts_with(&promoted));
        running.until("the check", || stage.pods("eqiad").contains(&promoted));
        running
    };

    // It is back before the check has to give up, though one question was repeated in vain by then.
    let running = begin("v1.1.0");
    stage.cluster("eqiad").kill_api();
    std::thread::sleep(std::time::Duration::from_secs(8));
    stage.cluster("eqiad").start_api().unwrap();
    stage.kubelet.show(":v1.1.0", PodLook::Ready);
    running.wait().exits(0);
    stage.all_run("v1.1.0");

    // It stays away: nobody says that it went back.
    stage.configure(&ONE.replace("TIMEOUT", "4s"));
    let running = begin("v1.2.0");
    stage.cluster("eqiad").kill_api();
    running.wait().exits(4).says("eqiad").says("v1.2.0").says("Connection refused");
    stage.cluster("eqiad").start_api().unwrap();
    stage.deploy_cli(&["status"]).exits(0).says("v1.2.0");
    stage.kubelet.show(":v1.2.0", PodLook::Ready);
    stage.configure(&ONE.replace("TIMEOUT", "60s"));
    stage.deploy("v1.2.0").exits(0);
    stage.all_run("v1.2.0");
}
