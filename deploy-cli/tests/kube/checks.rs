//! What clusters are checked for beside their rollout, and those that are behind.

use xtask::Prometheus;

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
"#;

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn urls_and_prometheus_are_asked_and_clusters_that_are_behind_catch_up() {
    let stage = Stage::new("cli-checks", &["staging", "eqiad"]);
    let prometheus = Prometheus::up().unwrap();
    stage.deployments(1);
    stage.configure(&format!(
        "{GROUPS}
[[check]]
name = \"answers\"
http = \"http://{}/v2/\"
timeout = \"20s\"
[[check]]
name = \"errors\"
prometheus = \"{}\"
query = 'vector(0.2) and on() vector(1)'
threshold = \"< 0.5\"
timeout = \"20s\"
",
        stage.registry.host(),
        prometheus.url()
    ));
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        stage.push(tag);
    }
    let plan = stage.deploy_cli(&["plan", "v1.0.0"]).exits(0);
    plan.says("/v2/ answers 2xx from here").says("vector(0.2)").says("check rollout");
    stage.deploy("v1.0.0").exits(0);
    stage.all_run("v1.0.0");

    // Only one has it; the other catches up.
    stage.deploy_cli(&["deploy", "v1.1.0", "--yes", "--hosts", "eqiad"]).exits(0);
    assert!(stage.runs("staging").contains(":v1.0.0"));
    stage.deploy_cli(&["catch-up", "--yes"]).exits(0).says("the current version is v1.1.0");
    stage.all_run("v1.1.0");
    stage
        .deploy_cli(&["catch-up", "--yes"])
        .exits(0)
        .says("nothing is behind: 2 clusters serve it");

    // A value that is too high is told with the query, and taken back.
    stage.reconfigure("\"< 0.5\"", "\"< 0.1\"");
    let ran = stage.deploy("v1.2.0").says("check \"errors\"").says("0.2");
    assert!(ran.code == 4 || ran.code == 3, "{ran}");
    stage.all_run("v1.1.0");
    stage.reconfigure("\"< 0.1\"", "\"< 0.5\"");
    stage.reconfigure("/v2/\"", "/v2/nothing\"");
    stage.deploy("v1.2.0").says("check \"answers\"").says("404");
    stage.all_run("v1.1.0");
}
