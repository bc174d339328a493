//! Values that a reviewer takes into their branch.

use std::{fs, os::unix::fs::PermissionsExt};

use xtask::PodLook;

use super::{helm, stage::Stage};

const CHART: &str = r#"
[values]
branch = "main"
file = "values-{{ target }}.yaml"
review = "refs/for/main"
[run.timeouts]
promote = "30s"
[helm]
chart = "chart"
tag = "main_app.version"
values = ["values-{{ cluster }}.yaml"]
[[group]]
name = "production"
clusters = ["eqiad"]
"#;

/// The reviewer: takes what is pushed for review after a moment.
const REVIEWER: &str = "#!/bin/sh\nwhile read -r _ new ref; do case $ref in refs/for/*)\n\
     (sleep 1; git update-ref refs/heads/main \"$new\") >/dev/null 2>&1 & ;;\nesac; done\n";

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_deploy_waits_for_the_reviewer_and_a_way_back_does_not() {
    let stage = Stage::new("cli-review", &["eqiad"]);
    helm::write_chart(&stage);
    stage.configure(CHART);
    let git = |words: &[&str]| stage.run("git", words, &stage.repository());
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "values"]);
    git(&["push", "-q", "origin", "HEAD:main"]);
    let origin = stage.root().join("origin.git");
    let hook = origin.join("hooks/post-receive");
    fs::write(&hook, REVIEWER).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let named = || stage.run("git", &["show", "main:values-eqiad.yaml"], &origin);
    for tag in ["v1.0.0", "v1.1.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);
    assert!(named().ends_with("version: v1.0.0"), "{}", named());
    stage.all_run("v1.0.0");

    // Nobody reviews: nothing is deployed.
    fs::remove_file(&hook).unwrap();
    stage.reconfigure("promote = \"30s\"", "promote = \"15s\"");
    stage.deploy_cli(&["deploy", "v1.1.0", "--yes", "--allow-dirty"]).says("nobody has submitted");
    stage.all_run("v1.0.0");

    // It is submitted later, and deployed again: the version is broken, and goes back though nobody reviews
    // the return.
    stage.run("git", &["update-ref", "refs/heads/main", "refs/for/main"], &origin);
    assert!(named().ends_with("version: v1.1.0"), "{}", named());
    stage.kubelet.show(":v1.1.0", PodLook::NoImage);
    stage.deploy_cli(&["deploy", "v1.1.0", "--yes", "--allow-dirty"]).says("ImagePullBackOff");
    stage.all_run("v1.0.0");
    let plan = stage.deploy_cli(&["plan", "v1.1.0", "--allow-dirty"]).exits(0);
    plan.says("git names v1.1.0, and v1.0.0 runs");
    stage.run("git", &["update-ref", "refs/heads/main", "refs/for/main"], &origin);
    assert!(named().ends_with("version: v1.0.0"), "the return was pushed: {}", named());
}
