//! Upgrades of helm that are cut short, and those of others.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use xtask::PodLook;

use super::{
    helm,
    running::{Running, until},
    stage::{APP, Stage},
};

const CHART: &str = r#"
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
/// A hook that helm waits for, and that nobody ends.
const HOOK: &str = r#"apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-before"
  annotations: {helm.sh/hook: pre-upgrade, helm.sh/hook-delete-policy: before-hook-creation}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "hook:1"}]}
"#;

fn staged(name: &str) -> Stage {
    let stage = Stage::new(name, &["eqiad"]);
    helm::write_chart(&stage);
    stage.configure(CHART);
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);
    stage
}

/// With the hook in the chart, upgrades do not get on.
fn hook(stage: &Stage, is_there: bool) {
    let file = stage.repository().join("chart/templates/hook.yaml");
    if is_there { fs::write(file, HOOK).unwrap() } else { fs::remove_file(file).unwrap() }
}

/// The states of the release's revisions, oldest first.
fn states(stage: &Stage) -> Vec<(u32, String)> {
    let path = format!("/api/v1/namespaces/{APP}/secrets?labelSelector=owner%3Dhelm");
    let list = stage.cluster("eqiad").get(&path).unwrap();
    let labels = list["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["labels"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let state = |labels: &serde_json::Value| {
        (text(&labels["version"]).parse().unwrap(), text(&labels["status"]))
    };
    let mut states: Vec<(u32, String)> = labels.map(state).collect();
    states.sort();
    states
}

/// Whether an operation is begun and has not ended; those before it are history.
fn is_pending(stage: &Stage) -> bool {
    states(stage).last().is_some_and(|(_, state)| state.starts_with("pending"))
}

/// A deploy whose `helm upgrade` has begun and does not get on.
fn upgrading(stage: &Stage, tag: &str) -> Running {
    hook(stage, true);
    let mut running = Running::start(stage, &["deploy", tag, "--yes"]);
    running.until("the upgrade", || is_pending(stage));
    hook(stage, false);
    running
}

/// The processes of helm that upgrade the stage's release.
fn helms(stage: &Stage) -> Vec<Pid> {
    let kubeconfig = stage.cluster("eqiad").kubeconfig().display().to_string();
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_helm = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        words.contains("upgrade --install") && words.contains(&kubeconfig)
    };
    numbers.filter(is_helm).map(Pid::from_raw).collect()
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn an_upgrade_that_is_cut_short_leaves_nothing_pending_after_the_next_deploy() {
    let stage = staged("cli-cut");

    // Killed without a word: helm is told to end.
    let running = upgrading(&stage, "v1.1.0");
    running.signal(Signal::SIGKILL);
    running.wait().exits(-1);
    until("the end of helm", || helms(&stage).is_empty());
    stage.deploy_cli(&["status"]).exits(0).says("which died").says("v1.0.0");
    stage.deploy("v1.1.0").exits(0);
    stage.all_run("v1.1.0");

    // As by a power cut: helm dies with its deployer.
    let running = upgrading(&stage, "v1.2.0");
    for pid in helms(&stage) {
        kill(pid, Signal::SIGSTOP).unwrap();
    }
    running.signal(Signal::SIGKILL);
    running.wait().exits(-1);
    for pid in helms(&stage) {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    assert!(is_pending(&stage), "{:?}", states(&stage));
    let plan = stage.deploy_cli(&["plan", "v1.2.0"]).exits(0);
    plan.says("is pending-upgrade").says("in the run").says("repairs it");
    stage.deploy("v1.2.0").exits(0);
    assert!(!is_pending(&stage), "{:?}", states(&stage));
    stage.all_run("v1.2.0");
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn ctrl_c_lets_an_upgrade_come_to_its_end() {
    let stage = staged("cli-ctrl-c");
    stage.reconfigure("[helm]\n", "[run.timeouts]\npromote = \"15s\"\n[helm]\n");
    // The hook's own end is that of its time.
    let running = upgrading(&stage, "v1.1.0");
    running.ctrl_c();
    let ran = running.wait();
    assert!(!is_pending(&stage), "{:?}\n{ran}", states(&stage));
    assert!(ran.code == 130 || ran.code == 4, "{ran}");
    stage.all_run("v1.0.0");
    stage.deploy("v1.1.0").exits(0);
    stage.all_run("v1.1.0");
}

/// Somebody's own upgrade, which waits for its pods.
fn by_hand(stage: &Stage, tag: &str) -> Child {
    stage.kubelet.show(&format!(":{tag}"), PodLook::Starting);
    let kube = stage.cluster("eqiad");
    let chart = stage.repository().join("chart");
    let mut helm = Command::new(kube.helm());
    helm.arg("--kubeconfig").arg(kube.kubeconfig()).args(["--kube-context", kube.name()]);
    helm.args(["--namespace", APP, "upgrade", APP]).arg(chart).arg("--wait");
    helm.arg("-f").arg(stage.repository().join("values-eqiad.yaml"));
    helm.args(["--set", &format!("main_app.version={tag}")]);
    let helm = helm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let helm = helm.unwrap();
    until("the other upgrade", || is_pending(stage));
    helm
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn the_upgrade_of_somebody_else_is_waited_for_and_told() {
    let stage = staged("cli-others");
    stage.reconfigure("[helm]\n", "[run.timeouts]\nfetch = \"8s\"\n[helm]\n");

    let mut helm = by_hand(&stage, "v1.1.0");
    stage.deploy_cli(&["status"]).exits(0);
    let plan = stage.deploy_cli(&["plan", "v1.2.0"]).exits(0);
    plan.says("is pending-upgrade").says("begun by somebody else's helm").says("waits for it");
    let ran = stage.deploy("v1.2.0").exits(1).says("begun by somebody else's helm");
    ran.says("and has not ended").says("nothing was touched");
    assert!(is_pending(&stage), "theirs goes on");

    // It ends while it is waited for. What they made is not what the plan was made for.
    stage.reconfigure("fetch = \"8s\"", "fetch = \"60s\"");
    let running = Running::start(&stage, &["deploy", "v1.2.0", "--yes"]);
    let said = running.said_by();
    until("the plan", || fs::read_to_string(&said).unwrap().contains("planned:"));
    stage.kubelet.show(":v1.1.0", PodLook::Ready);
    assert!(helm.wait().unwrap().success());
    let ran = running.wait().exits(1);
    ran.says("changed meanwhile to \"v1.1.0").says("plan again");
    stage.all_run("v1.1.0");
    stage.deploy("v1.2.0").exits(0);
    stage.all_run("v1.2.0");
    assert!(!is_pending(&stage));
}
