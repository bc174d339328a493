//! Releases of helm.

use std::fs;

use xtask::PodLook;

use super::stage::Stage;

const TEMPLATE: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      containers:
      - name: main
        image: "{{ .Values.main_app.image }}:{{ required "a version" .Values.main_app.version }}"
---
apiVersion: v1
kind: Secret
metadata: {name: "{{ .Release.Name }}"}
stringData: {token: "{{ .Values.token }}"}
"#;

/// A chart beside deploy.toml, with values for each cluster.
pub fn write_chart(stage: &Stage) {
    let chart = stage.repository().join("chart");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: mathoid\nversion: 0.1.0\n").unwrap();
    fs::write(chart.join("values.yaml"), "replicas: 1\ntoken: one\n").unwrap();
    fs::write(chart.join("templates/all.yaml"), TEMPLATE).unwrap();
    for (name, _) in &stage.clusters {
        let values = format!("main_app:\n  image: {}\n  version: v0\n", stage.image());
        fs::write(stage.repository().join(format!("values-{name}.yaml")), values).unwrap();
    }
}

const GROUPS: &str = r#"
[helm]
chart = "chart"
tag = "main_app.version"
values = ["values-{{ cluster }}.yaml"]
[[group]]
name = "staging"
clusters = ["staging"]
canary = false
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
fn a_chart_is_given_the_tag_in_every_cluster_and_goes_back_in_all() {
    let stage = Stage::new("cli-helm", &["staging", "eqiad"]);
    write_chart(&stage);
    stage.configure(GROUPS);
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);
    stage.all_run("v1.0.0");
    fs::write(stage.repository().join("chart/values.yaml"), "replicas: 1\ntoken: two\n").unwrap();
    let plan = stage.deploy_cli(&["plan", "v1.1.0"]).exits(0);
    plan.says("will change").says("Secret/mathoid").says("token").never_says("two");
    stage.deploy("v1.1.0").exits(0);
    stage.all_run("v1.1.0");
    stage.deploy("v1.1.0").exits(0).says("2 unchanged");
    // The way back is the revision, and not what today's chart would make of it.
    let back = stage.deploy_cli(&["plan", "previous"]).exits(0);
    back.says("Secret/mathoid, will change").says(":v1.0.0");

    stage.kubelet.show(":v1.2.0", PodLook::Crashing);
    stage.deploy("v1.2.0").exits(3).says("main has crashed 3 times: exit code 2");
    stage.all_run("v1.1.0");
    stage.deploy_cli(&["status"]).exits(0).says("v1.1.0").says("staging");
    stage.deploy_cli(&["service", "restart", "--yes"]).exits(0);
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_run("v1.0.0");
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn git_names_what_runs_and_names_it_again_after_a_way_back() {
    let stage = Stage::new("cli-values", &["staging", "eqiad"]);
    write_chart(&stage);
    stage.configure(&format!(
        "[values]\nbranch = \"main\"\nfile = \"values-{{{{ target }}}}.yaml\"\n{GROUPS}"
    ));
    stage.run("git", &["add", "-A"], &stage.repository());
    stage.run("git", &["commit", "-q", "-m", "values"], &stage.repository());
    stage.run("git", &["push", "-q", "origin", "HEAD:main"], &stage.repository());
    let named = |cluster: &str| {
        let file = format!("main:values-{cluster}.yaml");
        stage.run("git", &["show", &file], &stage.root().join("origin.git"))
    };
    for tag in ["v1.0.0", "v1.1.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);
    for cluster in ["staging", "eqiad"] {
        assert!(named(cluster).ends_with("version: v1.0.0"), "{}", named(cluster));
    }
    stage.kubelet.show(":v1.1.0", PodLook::NoImage);
    stage.deploy("v1.1.0").exits(3);
    stage.all_run("v1.0.0");
    for cluster in ["staging", "eqiad"] {
        assert!(named(cluster).ends_with("version: v1.0.0"), "{}", named(cluster));
    }
    let log = stage.run("git", &["log", "--format=%s", "main"], &stage.root().join("origin.git"));
    assert!(log.contains("staging to v1.1.0") && log.contains("back to"), "{log}");
    // What the deploys wrote makes no new release of what is served.
    stage.run("git", &["pull", "-q", "--rebase", "origin", "main"], &stage.repository());
    // The one that went back is looked at again.
    stage.deploy("v1.0.0").exits(0).says("v1.0.0 (again)").says("v1.0.0 (unchanged)");
}
