//! Tags that are missing, and tags that move.

use xtask::PodLook;

use super::{
    helm,
    running::Running,
    stage::{APP, Stage},
};

/// Staging proves it for the other.
const GROUPS: &str = r#"
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
const WORKLOAD: &str = "[workload]\nname = \"deployment/mathoid\"\n";
const CHART: &str = "[helm]\nchart = \"chart\"\ntag = \"main_app.version\"\nvalues = [\"values-{{ cluster }}.yaml\"]\n";

/// Moves `tag` to another image; returns its digest.
fn moved(stage: &Stage, tag: &str) -> String {
    stage.registry.push(APP, tag, &[("moved", "by somebody")]).unwrap()
}

/// A digest as people read it.
fn short(digest: &str) -> &str {
    &digest["sha256:".len()..][..12]
}

/// A deploy that has promoted in staging, whose pods are not ready before they are shown so.
fn held_in_staging(stage: &Stage, tag: &str) -> Running {
    stage.kubelet.show(&format!(":{tag}"), PodLook::Starting);
    let mut running = Running::start(stage, &["deploy", tag, "--yes"]);
    let promoted = format!("{}:{tag}", stage.image());
    running.until("the promote in staging", || stage.runs("staging").starts_with(&promoted));
    running
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_workload_gets_the_digest_that_was_planned_wherever_its_tag_goes() {
    let stage = Stage::new("cli-tag", &["staging", "eqiad"]);
    stage.deployments(1);
    stage.configure(&format!("{WORKLOAD}{GROUPS}"));
    for tag in ["v1.0.0", "v1.1.0"] {
        stage.push(tag);
    }
    let ran = stage.deploy("v1.0.9").exits(1).says("has no tag \"v1.0.9\"");
    ran.says("there is v1.0.0, v1.1.0");
    stage.deploy("v1.0.0").exits(0);

    // Between the plan and the deploy of it.
    let planned = stage.push("v1.2.0");
    let plan = stage.root().join("next.plan").display().to_string();
    stage.deploy_cli(&["plan", "v1.2.0", "-o", &plan]).exits(0);
    let now = moved(&stage, "v1.2.0");
    assert_ne!(planned, now);
    let ran = stage.deploy_cli(&["deploy", "--plan", &plan, "--yes"]).exits(1);
    ran.says(&format!("version v1.2.0: was {}, is {}", short(&planned), short(&now)));
    stage.all_run("v1.0.0");

    // Within one run.
    let planned = stage.push("v1.3.0");
    let running = held_in_staging(&stage, "v1.3.0");
    moved(&stage, "v1.3.0");
    stage.kubelet.show(":v1.3.0", PodLook::Ready);
    running.wait().exits(0);
    for cluster in ["staging", "eqiad"] {
        assert_eq!(stage.runs(cluster), format!("{}:v1.3.0@{planned}", stage.image()));
    }
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_chart_is_not_given_a_tag_that_has_moved() {
    let stage = Stage::new("cli-moved", &["staging", "eqiad"]);
    helm::write_chart(&stage);
    stage.configure(&format!("{CHART}{GROUPS}"));
    stage.push("v1.0.0");
    stage.deploy("v1.0.0").exits(0);

    let planned = stage.push("v1.1.0");
    let plan = stage.root().join("next.plan").display().to_string();
    stage.deploy_cli(&["plan", "v1.1.0", "-o", &plan]).exits(0);
    let now = moved(&stage, "v1.1.0");
    let ran = stage.deploy_cli(&["deploy", "--plan", &plan, "--yes"]).exits(1);
    ran.says(&format!("version v1.1.0: was {}, is {}", short(&planned), short(&now)));
    stage.all_run("v1.0.0");

    // Staging has it, and production would get another one: all go back, though the tag that they go
    // back to has moved too.
    let planned = stage.push("v1.2.0");
    let running = held_in_staging(&stage, "v1.2.0");
    let now = moved(&stage, "v1.2.0");
    moved(&stage, "v1.0.0");
    stage.kubelet.show(":v1.2.0", PodLook::Ready);
    let ran = running.wait().exits(3);
    ran.says(&format!("was {planned} when it was planned, and is {now}"));
    stage.all_run("v1.0.0");
    // A revision that was good is gone back to, whatever its tag means by now.
    stage.deploy("v1.2.0").exits(0);
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_run("v1.0.0");
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_rollback_to_a_version_goes_to_what_was_good_wherever_its_tag_goes() {
    let mut stage = Stage::new("cli-back", &["staging", "eqiad"]);
    stage.deployments(1);
    stage.configure(&format!("{WORKLOAD}{GROUPS}"));
    let first = stage.push("v1.0.0");
    stage.push("v1.1.0");
    stage.deploy("v1.0.0").exits(0);
    stage.deploy("v1.1.0").exits(0);
    let now = moved(&stage, "v1.0.0");
    let back = |stage: &Stage, name: &str| stage.deploy_cli(&["rollback", name, "--yes"]);
    let all_run = |stage: &Stage, digest: &str| {
        for cluster in ["staging", "eqiad"] {
            assert_eq!(stage.runs(cluster), format!("{}:v1.0.0@{digest}", stage.image()));
        }
    };
    back(&stage, "v1.0.0").exits(0);
    all_run(&stage, &first);
    stage.deploy("v1.1.0").exits(0);

    // Both were good: nobody guesses.
    stage.deploy_cli(&["deploy", "v1.0.0", "--yes", "--allow-downgrade"]).exits(0);
    all_run(&stage, &now);
    stage.deploy("v1.1.0").exits(0);
    back(&stage, "v1.0.0").exits(1).says(&first).says(&now);
    stage.all_run("v1.1.0");
    back(&stage, &format!("v1.0.0@{now}")).exits(0);
    all_run(&stage, &now);

    // The registry is not needed for what the clusters remember.
    stage.registry = xtask::Registry::up(false).unwrap();
    back(&stage, "v9.9.9").exits(1);
    back(&stage, "v1.1.0").exits(0);
    assert!(["staging", "eqiad"].iter().all(|it| stage.runs(it).contains(":v1.1.0@")));
}
