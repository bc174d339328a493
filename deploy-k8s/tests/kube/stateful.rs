//! StatefulSets, whose controller waits for broken pods.

use std::{collections::BTreeMap, time::Duration};

use deploy_core::{
    backend::{Checker, ErrorKind, Situation, Transport, Verdict},
    model::{GroupName, Release, Target},
    plan::{Change, Work},
};
use deploy_k8s::{Cluster, RolloutCheck, WorkloadPlace, WorkloadTransport};
use serde_json::{Value, json};
use xtask::PodLook;

use super::scene::{IMAGE, NAMESPACE, Scene, identity, options, scope, target, terms, version};

const BASE: &str = "/apis/rbac.authorization.k8s.io/v1";

struct Stateful {
    scene: Scene,
    transport: WorkloadTransport,
    check: RolloutCheck,
    target: Target,
}

impl Stateful {
    fn new(scene: Scene, place: WorkloadPlace) -> Self {
        let target = target("db");
        let places = BTreeMap::from([(target.clone(), place)]);
        let transport = WorkloadTransport::new("db", IMAGE, places.clone(), terms("p"));
        Self { scene, transport, check: RolloutCheck::new(places), target }
    }

    fn release(&self, n: u8) -> Release {
        self.transport.release(&self.target, &version(n)).unwrap()
    }

    fn change(&self, from: Option<u8>, to: u8) -> Change {
        let from = from.map(|n| self.release(n));
        let to = Some(self.release(to));
        Change { target: self.target.clone(), back: from.clone(), from, to, work: Work::Move }
    }

    async fn promote(&self, change: &Change) -> Result<(), deploy_core::backend::BackendError> {
        self.transport.promote(&self.target, change, &scope("r1")).await
    }

    /// Plays kubelet and looks until the verdict is neither "not yet".
    async fn verdict(&self, change: &Change, broken: &str) -> Verdict {
        let situation = Situation::of(&GroupName::new("all").unwrap(), change, false);
        for _ in 0..100 {
            for tag in ["placeholder", ":v1@", ":v2@", ":v3@"] {
                let look = if tag == broken { PodLook::NoImage } else { PodLook::Ready };
                self.scene.kube.show_pods(tag, look).unwrap();
            }
            let verdict = self.check.check(&self.target, &situation, &scope("r1")).await.unwrap();
            if !matches!(verdict, Verdict::NotYet { .. }) {
                return verdict;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let pods = self.pods();
        panic!("it does not get on: {pods:?}");
    }

    fn pods(&self) -> Vec<(String, String)> {
        let list = self.scene.kube.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods")).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |pod: &Value| {
            (text(&pod["metadata"]["name"]), text(&pod["spec"]["containers"][0]["image"]))
        };
        list["items"].as_array().unwrap().iter().map(of).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_stateful_set_goes_back_over_a_broken_pod() {
    let scene = Scene::new("stateful");
    let place = scene.stateful("db", "registry.example/placeholder:1", 2);
    let set = Stateful::new(scene, place);
    let first = set.change(None, 1);
    set.promote(&first).await.unwrap();
    assert_eq!(set.verdict(&first, "none").await, Verdict::Healthy);

    let broken = set.change(Some(1), 2);
    set.promote(&broken).await.unwrap();
    let verdict = set.verdict(&broken, ":v2@").await;
    assert!(matches!(&verdict, Verdict::Unhealthy { reason, .. } if reason.contains("pulled")));
    let back = set.change(Some(2), 1);
    set.promote(&back).await.unwrap();
    assert_eq!(set.verdict(&back, ":v2@").await, Verdict::Healthy);
    assert!(set.pods().iter().all(|(_, image)| image.contains(":v1@")), "{:?}", set.pods());

    // Forward over one that is broken is no different; nor is a promote that is repeated.
    set.promote(&broken).await.unwrap();
    let verdict = set.verdict(&broken, ":v2@").await;
    assert!(matches!(verdict, Verdict::Unhealthy { .. }));
    let over = set.change(Some(2), 3);
    set.promote(&over).await.unwrap();
    set.promote(&over).await.unwrap();
    assert_eq!(set.verdict(&over, ":v2@").await, Verdict::Healthy);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn without_the_right_to_delete_pods_the_one_in_the_way_is_named() {
    let mut scene = Scene::new("stateful-rights");
    let all_but_pods = json!({
        "metadata": { "name": "deploy", "namespace": NAMESPACE },
        "rules": [
            { "apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "patch"] },
            {
                "apiGroups": ["", "coordination.k8s.io"], "resources": ["configmaps", "leases"],
                "verbs": ["get", "create", "update"],
            },
            { "apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"] },
        ],
    });
    let cluster_wide = json!({
        "metadata": { "name": "identity" },
        "rules": [{ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"] }],
    });
    let of = |kind: &str, name: &str| {
        json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
            "subjects": [
                { "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "deployer" },
            ],
        })
    };
    let namespaced = format!("{BASE}/namespaces/{NAMESPACE}");
    for (path, object) in [
        (format!("{namespaced}/roles"), all_but_pods),
        (format!("{namespaced}/rolebindings"), of("Role", "deploy")),
        (format!("{BASE}/clusterroles"), cluster_wide),
        (format!("{BASE}/clusterrolebindings"), of("ClusterRole", "identity")),
    ] {
        scene.kube.create(&path, &object).unwrap();
    }
    scene.kube.add_token("token-of-the-deployer", "deployer").unwrap();
    scene.kube.kill_api();
    scene.kube.start_api().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    scene.kube.write_kubeconfig(file.path(), "token-of-the-deployer").unwrap();
    let mut options = options(&scene.kube, "stateful-rights", identity(&scene.kube));
    options.kubeconfig = Some(file.path().to_owned());
    scene.cluster = Cluster::new(options);

    let place = scene.stateful("db", "registry.example/placeholder:1", 1);
    let set = Stateful::new(scene, place);
    let first = set.change(None, 1);
    set.promote(&first).await.unwrap();
    assert_eq!(set.verdict(&first, "none").await, Verdict::Healthy);
    let broken = set.change(Some(1), 2);
    set.promote(&broken).await.unwrap();
    assert!(matches!(set.verdict(&broken, ":v2@").await, Verdict::Unhealthy { .. }));
    let error = set.promote(&set.change(Some(2), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken, "{error:?}");
    assert!(error.cause().contains("the pod db-0 of a version"), "{}", error.cause());
    assert!(error.cause().contains("cannot delete resource \"pods\""), "{}", error.cause());
    assert!(error.hint().unwrap().contains("delete pod db-0"), "{:?}", error.hint());
}
