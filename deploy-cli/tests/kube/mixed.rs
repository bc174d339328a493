//! One run over hosts and clusters.

use std::fs;

use xtask::PodLook;

use super::stage::{APP, Stage};

/// Without a restart: files on the machine itself, then the image in a cluster.
fn groups(stage: &Stage) -> String {
    let path = stage.root().join("srv/mathoid");
    format!(
        r#"
[layout]
path = "{}"
[workload]
name = "deployment/mathoid"
[[group]]
name = "hosts"
hosts = ["local"]
canary = false
[[group]]
name = "clusters"
clusters = ["eqiad"]
[[check]]
name = "rollout"
rollout = true
timeout = "60s"
interval = "500ms"
"#,
        path.display()
    )
}

/// Commits and tags a version, and builds its image.
fn version(stage: &Stage, tag: &str) -> String {
    fs::write(stage.repository().join("VERSION"), tag).unwrap();
    let git = |words: &[&str]| stage.run("git", words, &stage.repository());
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", &format!("the change of {tag}")]);
    git(&["tag", "-a", "-m", tag, tag]);
    git(&["push", "-q", "origin", "HEAD:main", tag]);
    let commit = git(&["rev-parse", "HEAD"]);
    stage.registry.push(APP, tag, &[("org.opencontainers.image.revision", &commit)]).unwrap();
    commit
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_breach_in_the_clusters_takes_the_hosts_back_too() {
    let stage = Stage::new("cli-mixed", &["eqiad"]);
    stage.deployments(1);
    stage.configure(&groups(&stage));
    stage.reconfigure("[image]\n", "[image]\ntag = \"{{ version }}\"\n");
    let served = || fs::read_to_string(stage.root().join("srv/mathoid/VERSION")).unwrap();
    version(&stage, "v1.0.0");
    stage.deploy("v1.0.0").exits(0);
    let second = version(&stage, "v1.1.0");
    stage.deploy_cli(&["plan", "v1.1.0"]).exits(0).says("the change of v1.1.0");
    stage.deploy("v1.1.0").exits(0);
    stage.all_run("v1.1.0");
    assert_eq!(served(), "v1.1.0");
    let status = stage.deploy_cli(&["status", "--json"]).exits(0);
    let live = format!("\"id\":\"{second}\"");
    for line in status.stdout.lines() {
        assert!(line.contains(&live), "one version for both: {line}");
    }
    stage.deploy("v1.1.0").exits(0).says("group hosts: 1 of 1 healthy").says("2 unchanged");

    version(&stage, "v1.2.0");
    stage.kubelet.show(":v1.2.0", PodLook::NoImage);
    stage.deploy("v1.2.0").exits(3).says("ImagePullBackOff");
    stage.all_run("v1.1.0");
    assert_eq!(served(), "v1.1.0", "the hosts went back");

    // An image that was built of something else is no image of this version.
    let git = |words: &[&str]| stage.run("git", words, &stage.repository());
    git(&["commit", "-q", "--allow-empty", "-m", "more"]);
    git(&["tag", "-a", "-m", "more", "v1.3.0"]);
    git(&["push", "-q", "origin", "HEAD:main", "v1.3.0"]);
    stage.deploy("v1.3.0").exits(1).says("no tag");
    let labels = [("org.opencontainers.image.revision", second.as_str())];
    stage.registry.push(APP, "v1.3.0", &labels).unwrap();
    stage.deploy("v1.3.0").exits(1).says("was built of");
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_run("v1.0.0");
    assert_eq!(served(), "v1.0.0");
}
