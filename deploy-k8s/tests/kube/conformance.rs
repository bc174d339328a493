//! What every transport promises, of workloads in a real cluster.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use deploy_core::{
    backend::Transport,
    model::{Release, Target, Version, VersionId},
    record::RunId,
    testing::conformance::{self, Harness},
};
use deploy_k8s::WorkloadTransport;

use super::scene::{DEAD, IMAGE, Scene, target, terms, version};

const KEPT: usize = 2;
const TARGETS: usize = 14;

struct Workloads {
    scene: Scene,
    names: Vec<String>,
    next: AtomicUsize,
}

impl Workloads {
    fn transport_of(&self, process: &str) -> Arc<dyn Transport> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let places = self.scene.places(&names);
        Arc::new(WorkloadTransport::new("mathoid", IMAGE, places, terms(process)).keep(KEPT))
    }
}

#[async_trait]
impl Harness for Workloads {
    fn transport(&self) -> Arc<dyn Transport> {
        self.transport_of("alive")
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
        self.transport_of(DEAD)
    }

    async fn served(&self, target: &Target) -> Option<VersionId> {
        let image = self.scene.image(target.as_str());
        image.split_once('@').and_then(|(_, digest)| VersionId::new(digest).ok())
    }

    async fn present(&self, target: &Target, release: &Release) -> bool {
        self.scene.remembers(target, release)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_workload_keeps_all_promises() {
    let scene = Scene::new("conformance");
    let names: Vec<String> = (0..TARGETS).map(|n| format!("mathoid-{n}")).collect();
    for name in &names {
        scene.deployment(name, "registry.example/placeholder:1", 1);
    }
    conformance::all(&Workloads { scene, names, next: AtomicUsize::new(0) }).await;
}
