//! The lock that a cluster keeps.

use super::stage::Stage;

const GROUPS: &str = r#"
[lock]
cluster = "staging"
[workload]
name = "deployment/mathoid"
[[group]]
name = "staging"
clusters = ["staging"]
"#;

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_lock_by_hand_reaches_those_who_sit_elsewhere() {
    let stage = Stage::new("cli-lock", &["staging"]);
    stage.deployments(1);
    stage.configure(GROUPS);
    stage.push("v1.0.0");
    stage.deploy_cli(&["lock", "-m", "the database moves", "--until", "1h"]).exits(0);
    let elsewhere = |words: &[&str]| stage.deploy_cli_in("elsewhere", words);
    elsewhere(&["deploy", "v1.0.0", "--yes"]).exits(5).says("the database moves");
    elsewhere(&["lock", "-m", "mine"]).exits(5).says("the database moves");
    elsewhere(&["status"]).exits(0).says("the database moves");
    elsewhere(&["doctor"]).exits(1).says("the database moves");
    elsewhere(&["unlock"]).exits(0).says("removed the lock");
    elsewhere(&["deploy", "v1.0.0", "--yes"]).exits(0);
    stage.all_run("v1.0.0");
    // What lies in the first checkout is its own, and is removed there.
    stage.deploy_cli(&["deploy", "v1.0.0", "--yes"]).exits(5);
    stage.deploy_cli(&["unlock"]).exits(0);
    stage.deploy_cli(&["deploy", "v1.0.0", "--yes"]).exits(0).says("unchanged");
    elsewhere(&["status"]).exits(0).never_says("locked");
}
