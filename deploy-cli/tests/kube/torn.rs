//! Upgrades of helm that fail half-way.

use std::{fs, process::Stdio};

use super::{
    helm,
    stage::{APP, Stage},
};

const ONE: &str = r#"
[helm]
chart = "chart"
tag = "main_app.version"
values = ["values-{{ cluster }}.yaml"]
[[group]]
name = "production"
clusters = ["eqiad"]
[[check]]
name = "rollout"
rollout = true
timeout = "60s"
interval = "500ms"
"#;
/// What the cluster refuses, after all else is there.
const HOOK: &str = r#"
{{ if eq .Values.main_app.version "v1.1.0" }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: last
  namespace: nowhere
  annotations: {helm.sh/hook: "post-upgrade,post-install"}
{{ end }}
"#;

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn an_upgrade_that_fails_half_way_is_brought_back_and_made_whole() {
    let stage = Stage::new("cli-torn", &["eqiad"]);
    helm::write_chart(&stage);
    stage.configure(ONE);
    for tag in ["v1.0.0", "v1.1.0"] {
        stage.push(tag);
    }
    fs::write(stage.repository().join("chart/templates/hook.yaml"), HOOK).unwrap();
    // A first install, of which nothing is left.
    stage.deploy("v1.1.0").exits(3).says("nowhere");
    let path = format!("/apis/apps/v1/namespaces/{APP}/deployments/{APP}");
    assert!(stage.cluster("eqiad").get(&path).is_err());

    stage.deploy("v1.0.0").exits(0);
    stage.deploy("v1.1.0").exits(3).says("nowhere");
    stage.all_run("v1.0.0");

    // As a deployer leaves it that was killed.
    let torn = || {
        let kube = stage.cluster("eqiad");
        let mut helm = std::process::Command::new(kube.helm());
        helm.arg("--kubeconfig").arg(kube.kubeconfig()).args(["--kube-context", kube.name()]);
        helm.args(["--namespace", APP, "upgrade", APP, "chart", "--values", "values-eqiad.yaml"]);
        helm.args(["--set", "main_app.version=v1.1.0"]).current_dir(stage.repository());
        assert!(!helm.stderr(Stdio::null()).status().unwrap().success());
        stage.all_run("v1.1.0");
    };
    torn();
    stage.deploy_cli(&["status"]).says("what is there may be a part of it");
    stage.deploy("v1.0.0").exits(0).never_says("unchanged");
    stage.all_run("v1.0.0");
    stage.deploy("v1.0.0").exits(0).says("unchanged");
    torn();
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_run("v1.0.0");
    // What fails from there goes back to what was good.
    torn();
    stage.deploy("v1.1.0").exits(3).says("nowhere");
    stage.all_run("v1.0.0");
}
