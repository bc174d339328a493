//! Releases of a real helm.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use deploy_core::{
    backend::{Closing, ErrorKind, Transport},
    model::{Release, Target, Version, VersionId},
    plan::{Change, Work},
    record::RunId,
    testing::conformance::{self, Harness},
};
use deploy_k8s::{Chart, HelmPlace, HelmTransport};

use super::scene::{DEAD, IMAGE, NAMESPACE, Scene, scope, target, terms, version};

const KEPT: usize = 2;
const TEMPLATE: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: 1
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      containers:
      - name: main
        image: "{{ .Values.main_app.image }}:{{ required "a version" .Values.main_app.version }}"
"#;

fn write_chart(place: &Path) {
    fs::create_dir_all(place.join("templates")).unwrap();
    fs::write(place.join("Chart.yaml"), "apiVersion: v2\nname: mathoid\nversion: 0.1.0\n").unwrap();
    fs::write(place.join("values.yaml"), format!("main_app: {{image: {IMAGE}}}\n")).unwrap();
    fs::write(place.join("templates/deployment.yaml"), TEMPLATE).unwrap();
}

pub struct Releases {
    pub scene: Scene,
    pub chart: tempfile::TempDir,
    pub names: Vec<String>,
    next: AtomicUsize,
}

impl Releases {
    pub fn new(name: &str, count: usize) -> Self {
        let chart = tempfile::tempdir().unwrap();
        write_chart(chart.path());
        let names = (0..count).map(|n| format!("mathoid-{n}")).collect();
        Self { scene: Scene::new(name), chart, names, next: AtomicUsize::new(0) }
    }

    pub fn places(&self) -> BTreeMap<Target, HelmPlace> {
        let key = "main_app.version".parse().unwrap();
        let chart = self.chart.path().display().to_string();
        let chart = Arc::new(Chart::load(chart, None, Vec::new(), key).unwrap());
        let place = |name: &String| HelmPlace {
            cluster: self.scene.cluster.clone(),
            namespace: NAMESPACE.into(),
            release: name.clone(),
            chart: Arc::clone(&chart),
        };
        self.names.iter().map(|name| (target(name), place(name))).collect()
    }

    pub fn helm(&self, process: &str) -> HelmTransport {
        HelmTransport::new("mathoid", IMAGE, self.places(), terms(process))
            .keep(KEPT)
            .program(self.scene.kube.helm())
    }

    /// Adds a template to the chart.
    pub fn template(&self, name: &str, text: &str) {
        fs::write(self.chart.path().join("templates").join(name), text).unwrap();
    }

    /// Runs helm as a person would.
    pub fn by_hand(&self, words: &[&str]) -> std::process::Child {
        Command::new(self.scene.kube.helm())
            .arg("--kubeconfig")
            .arg(self.scene.kube.kubeconfig())
            .args(["--kube-context", self.scene.cluster.name(), "--namespace", NAMESPACE])
            .args(words)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }

    pub fn change(&self, transport: &HelmTransport, from: Option<u8>, to: Option<u8>) -> Change {
        let target = target(&self.names[0]);
        let release = |n: u8| transport.release(&target, &version(n)).unwrap();
        let (from, to) = (from.map(release), to.map(release));
        Change { target: target.clone(), back: from.clone(), from, to, work: Work::Move }
    }

    pub async fn deploy(&self, transport: &HelmTransport, change: &Change, run: &str) {
        let target = &change.target;
        transport.fetch(target, change, &scope(run)).await.unwrap();
        transport.promote(target, change, &scope(run)).await.unwrap();
        let closing = Closing { good: change.to.clone(), back: change.back.clone() };
        transport.finalize(target, &closing, &scope(run)).await.unwrap();
    }
}

#[async_trait]
impl Harness for Releases {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.helm("alive"))
    }

    async fn fresh(&self) -> Target {
        target(&self.names[self.next.fetch_add(1, Ordering::Relaxed)])
    }

    fn versions(&self) -> [Version; 4] {
        [1, 2, 3, 4].map(version)
    }

    fn keep(&self) -> usize {
        KEPT
    }

    fn dead(&self, _: &RunId) -> Arc<dyn Transport> {
        Arc::new(self.helm(DEAD))
    }

    async fn served(&self, target: &Target) -> Option<VersionId> {
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{target}");
        let workload = self.scene.kube.get(&path).ok()?;
        let image = workload.pointer("/spec/template/spec/containers/0/image")?.as_str()?;
        let tag = image.rsplit(":v").next()?;
        Some(version(tag.parse().ok()?).id)
    }

    async fn present(&self, target: &Target, release: &Release) -> bool {
        self.scene.remembers(target, release)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_helm_release_keeps_all_promises() {
    conformance::all(&Releases::new("helm", 14)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn an_upgrade_that_was_killed_is_told_and_repaired() {
    let place = Releases::new("pending", 1);
    let transport = place.helm("alive").stale_after(Duration::from_secs(1));
    let first = place.change(&transport, None, Some(1));
    place.deploy(&transport, &first, "r1").await;
    let target = first.target.clone();
    let chart = place.chart.path().display().to_string();
    // It waits for pods that nobody starts, until it is killed.
    let words = ["upgrade", "mathoid-0", &chart, "--set", "main_app.version=v9", "--wait"];
    let mut upgrade = place.by_hand(&words);
    let pending = async || {
        let live = transport.live(&target, &scope("r2")).await.unwrap();
        live.notes.iter().any(|note| note.contains("pending-upgrade"))
    };
    for _ in 0..100 {
        if pending().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    upgrade.kill().unwrap();
    upgrade.wait().unwrap();
    assert!(pending().await, "it stays so");
    let live = transport.live(&target, &scope("r2")).await.unwrap();
    assert_eq!(live.release(), first.to.as_ref(), "what is deployed counts");

    let second = place.change(&transport, Some(1), Some(2));
    place.deploy(&transport, &second, "r2").await;
    assert!(!pending().await);
    assert_eq!(place.served(&target).await, Some(version(2).id));
    let live = transport.live(&target, &scope("r3")).await.unwrap();
    assert_eq!(live.release(), second.to.as_ref());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn what_does_not_render_touches_nothing_and_what_others_did_is_seen() {
    let place = Releases::new("render", 1);
    let transport = place.helm("alive");
    let first = place.change(&transport, None, Some(1));
    place.deploy(&transport, &first, "r1").await;
    let target = first.target.clone();

    let template = place.chart.path().join("templates/deployment.yaml");
    fs::write(&template, TEMPLATE.replace("required", "requird")).unwrap();
    let broken = place.helm("alive");
    let change = Change {
        from: first.to.clone(),
        back: first.to.clone(),
        ..place.change(&broken, None, Some(2))
    };
    let error = broken.fetch(&target, &change, &scope("r2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("requird"), "{}", error.cause());
    broken.finalize(&target, &Closing::default(), &scope("r2")).await.unwrap();
    assert_eq!(place.served(&target).await, Some(version(1).id));

    // Somebody's own upgrade.
    fs::write(&template, TEMPLATE).unwrap();
    let chart = place.chart.path().display().to_string();
    let words = ["upgrade", "mathoid-0", &chart, "--set", "main_app.version=v7"];
    assert!(place.by_hand(&words).wait().unwrap().success());
    let live = transport.live(&target, &scope("r3")).await.unwrap();
    assert_eq!(live.release().unwrap().version.name.as_deref(), Some("v7"));
    assert!(!live.is_settled(), "nobody of us has seen it well");
    let stale = place.change(&transport, Some(1), Some(2));
    transport.fetch(&target, &stale, &scope("r3")).await.unwrap();
    let error = transport.promote(&target, &stale, &scope("r3")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("v7"), "{}", error.cause());
    let never = Closing { good: stale.to.clone(), back: None };
    let error = transport.finalize(&target, &never, &scope("r3")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "what is not served is not good");
    transport.finalize(&target, &Closing::default(), &scope("r3")).await.unwrap();
}
