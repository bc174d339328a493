//! Workloads without a chart.

use xtask::PodLook;

use super::stage::Stage;

const GROUPS: &str = r#"
[workload]
name = "deployment/mathoid"
[[group]]
name = "staging"
clusters = ["staging"]
[[group]]
name = "production"
clusters = ["eqiad"]
[[check]]
name = "rollout"
rollout = true
timeout = "60s"
interval = "500ms"
"#;

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_tag_comes_to_every_cluster_and_a_broken_one_goes_back_from_all() {
    let stage = Stage::new("cli-workload", &["staging", "eqiad"]);
    stage.deployments(2);
    stage.configure(GROUPS);
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        stage.push(tag);
    }
    stage.deploy_cli(&["versions"]).exits(0).says("v1.2.0").says("v1.0.0");
    stage.deploy_cli(&["plan", "v1.0.0"]).exits(0).says("staging").says("v1.0.0");
    for tag in ["v1.0.0", "v1.1.0"] {
        stage.deploy(tag).exits(0);
        stage.all_run(tag);
    }
    let status = stage.deploy_cli(&["status"]).exits(0);
    assert_eq!(status.stdout.matches("v1.1.0").count(), 2, "{status}");

    let plan = stage.deploy_cli(&["plan", "v1.2.0"]).exits(0).never_says("warning");
    let image = stage.image();
    plan.says(&format!("image: {image}:v1.1.0")).says(&format!("image: {image}:v1.2.0"));

    // Production's pods cannot pull the third: both go back.
    stage.kubelet.show(":v1.2.0", PodLook::NoImage);
    stage.reconfigure("clusters = [\"staging\"]", "clusters = [\"staging\"]\ncanary = false");
    stage.deploy("v1.2.0").exits(3).says("ImagePullBackOff");
    stage.all_run("v1.1.0");
    stage.deploy_cli(&["history"]).exits(0).says("rolled back");
    stage.deploy_cli(&["show"]).exits(0).says("ImagePullBackOff");

    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_run("v1.0.0");
    stage.deploy_cli(&["service", "restart", "--yes"]).exits(0);
    let template = &stage.deployment("eqiad")["spec"]["template"]["metadata"]["annotations"];
    assert!(template["kubectl.kubernetes.io/restartedAt"].is_string(), "{template}");
    stage.deploy_cli(&["service", "status"]).exits(0).says("active");
    let doctor = stage.deploy_cli(&["doctor", "-v"]).exits(0).never_says("no tag");
    doctor.says("the registry answers; the newest version is v1.2.0");
    stage.deploy_cli(&["run", "--", "true"]).exits(1).says("clusters");
    stage.deploy_cli(&["deploy", "v9.9.9", "--yes"]).exits(1).says("no tag");
}
