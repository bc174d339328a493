//! Pods that run, and are not ready.

use deploy_core::{
    backend::{Checker, Situation, Verdict},
    model::GroupName,
};
use deploy_k8s::RolloutCheck;
use serde_json::json;
use xtask::PodLook;

use super::scene::{IMAGE, NAMESPACE, Scene, scope, target, version};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_probe_that_fails_is_told_while_it_is_waited_for() {
    let scene = Scene::new("probes");
    scene.deployment("mathoid", &format!("{IMAGE}:v1@{}", version(1).id), 1);
    let check = RolloutCheck::new(scene.places(&["mathoid"]));
    let situation = Situation {
        group: GroupName::new("all").unwrap(),
        release: None,
        previous: None,
        rolling_back: false,
        noted: None,
    };
    let pods = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let mut name = None;
    for _ in 0..100 {
        scene.kube.show_pods(IMAGE, PodLook::Unready).unwrap();
        let list = scene.kube.get(&pods).unwrap();
        let pod = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|pod| pod["status"]["phase"] == "Running");
        name = pod.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
        if name.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let name = name.unwrap();
    let event = json!({
        "metadata": { "name": "probe", "namespace": NAMESPACE },
        "involvedObject": { "kind": "Pod", "name": name, "namespace": NAMESPACE },
        "reason": "Unhealthy", "type": "Warning", "count": 3,
        "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
    });
    scene.kube.create(&format!("/api/v1/namespaces/{NAMESPACE}/events"), &event).unwrap();
    let verdict = check.check(&target("mathoid"), &situation, &scope("r1")).await.unwrap();
    let Verdict::NotYet { seen } = verdict else { panic!("{verdict:?}") };
    assert!(
        seen.contains("Readiness probe failed: HTTP probe failed with statuscode: 503"),
        "{seen}"
    );
    assert!(seen.contains(&name), "{seen}");
}
