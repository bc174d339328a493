//! With the least rights, and with less.

use deploy_core::{
    backend::{Checker, Closing, ErrorKind, Situation, Transport, Verdict},
    model::GroupName,
    plan::{Change, Work},
};
use deploy_k8s::{Cluster, RolloutCheck, WorkloadTransport};
use xtask::PodLook;

use super::scene::{IMAGE, NAMESPACE, Scene, identity, options, scope, target, terms, version};

const RIGHTS: &str = include_str!("../../../docs/kubernetes-rights.yaml");
const BASE: &str = "/apis/rbac.authorization.k8s.io/v1";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn the_documented_rights_are_enough_and_a_missing_one_is_named() {
    let mut scene = Scene::new("rights");
    for document in RIGHTS.split("\n---\n") {
        let kind = document.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap();
        let path = match kind {
            "Role" => format!("{BASE}/namespaces/{NAMESPACE}/roles"),
            "RoleBinding" => format!("{BASE}/namespaces/{NAMESPACE}/rolebindings"),
            "ClusterRole" => format!("{BASE}/clusterroles"),
            _ => format!("{BASE}/clusterrolebindings"),
        };
        scene.kube.create_yaml(&path, document).unwrap();
    }
    scene.kube.add_token("token-of-the-deployer", "deployer").unwrap();
    scene.kube.kill_api();
    scene.kube.start_api().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    scene.kube.write_kubeconfig(file.path(), "token-of-the-deployer").unwrap();
    let mut options = options(&scene.kube, "rights", identity(&scene.kube));
    options.kubeconfig = Some(file.path().to_owned());
    scene.cluster = Cluster::new(options);

    scene.deployment("mathoid", "registry.example/placeholder:1", 1);
    let places = || scene.places(&["mathoid"]);
    let transport = WorkloadTransport::new("mathoid", IMAGE, places(), terms("this process"));
    let target = target("mathoid");
    let to = transport.release(&target, &version(1)).unwrap();
    let change = Change {
        target: target.clone(),
        from: None,
        to: Some(to.clone()),
        back: None,
        work: Work::Move,
    };
    transport.live(&target, &scope("r1")).await.unwrap();
    transport.fetch(&target, &change, &scope("r1")).await.unwrap();
    transport.promote(&target, &change, &scope("r1")).await.unwrap();
    let check = RolloutCheck::new(places());
    let situation = Situation::of(&GroupName::new("all").unwrap(), &change, false);
    let verdict = async || check.check(&target, &situation, &scope("r1")).await.unwrap();
    let pod = a_pod(&scene).await;
    tell_event(&scene, &pod);
    for look in [PodLook::Crashing, PodLook::Ready] {
        let mut seen = verdict().await;
        for _ in 0..100 {
            scene.kube.show_pods(IMAGE, look).unwrap();
            seen = verdict().await;
            if !matches!(seen, Verdict::NotYet { .. }) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        match look {
            PodLook::Ready => assert_eq!(seen, Verdict::Healthy),
            _ => {
                let Verdict::Unhealthy { reason, evidence } = seen else { panic!("{seen:?}") };
                assert!(reason.contains("main has crashed 3 times: exit code 2"), "{reason}");
                let evidence = evidence.unwrap_or_default();
                assert!(evidence.contains("Warning BackOff: it is held back"), "{evidence}");
            }
        }
    }
    let closing = Closing { good: Some(to), back: None };
    transport.finalize(&target, &closing, &scope("r1")).await.unwrap();
    assert!(transport.live(&target, &scope("r1")).await.unwrap().is_settled());

    // Without the right to write what was good.
    let path = format!("{BASE}/namespaces/{NAMESPACE}/rolebindings/deploy");
    scene.kube.delete(&path).unwrap();
    let mut denied = transport.live(&target, &scope("r2")).await;
    for _ in 0..50 {
        if denied.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        denied = transport.live(&target, &scope("r2")).await;
    }
    let error = denied.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.cause().contains("cannot get resource \"deployments\""), "{}", error.cause());
    assert!(error.hint().unwrap().contains("docs/kubernetes"), "{:?}", error.hint());
}

/// The name of the pod of the new image, once its controller has made it.
async fn a_pod(scene: &Scene) -> String {
    for _ in 0..100 {
        let pods = scene.kube.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods")).unwrap();
        let mut pods = pods["items"].as_array().unwrap().iter();
        let ours = pods.find(|pod| {
            pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().contains(IMAGE)
        });
        if let Some(pod) = ours {
            return pod["metadata"]["name"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("no pod was made");
}

/// What a kubelet would have told.
fn tell_event(scene: &Scene, pod: &str) {
    let event = serde_json::json!({
        "metadata": { "name": "held-back", "namespace": NAMESPACE },
        "involvedObject": { "kind": "Pod", "name": pod, "namespace": NAMESPACE },
        "type": "Warning", "reason": "BackOff", "message": "it is held back",
    });
    scene.kube.create(&format!("/api/v1/namespaces/{NAMESPACE}/events"), &event).unwrap();
}
