//! Workloads that others change at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use deploy_core::{
    backend::{ErrorKind, Transport},
    model::{Release, Target},
    plan::{Change, Work},
};
use deploy_k8s::WorkloadTransport;
use serde_json::json;
use xtask::Kube;

use super::scene::{IMAGE, NAMESPACE, Scene, scope, target, terms, version};

fn change(target: &Target, from: Option<Release>, to: Option<Release>) -> Change {
    Change { target: target.clone(), back: from.clone(), from, to, work: Work::Move }
}

fn path(name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")
}

fn set_image(kube: &Kube, name: &str, image: &str) {
    let containers = json!([{ "name": "main", "image": image }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    kube.patch(&path(name), &patch).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_workload_that_changes_all_the_time_is_promoted_all_the_same() {
    let scene = Scene::new("churn");
    scene.deployment("mathoid", "registry.example/placeholder:1", 1);
    let transport =
        WorkloadTransport::new("mathoid", IMAGE, scene.places(&["mathoid"]), terms("p"));
    let target = target("mathoid");
    let (stop, bumps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let work = || {
        let (stop, bumps) = (Arc::clone(&stop), Arc::clone(&bumps));
        move || {
            let kube = Kube::open("churn").unwrap();
            while !stop.load(Ordering::Relaxed) {
                let n = bumps.fetch_add(1, Ordering::Relaxed);
                let notes = json!({ "metadata": { "annotations": { "bump": n.to_string() } } });
                kube.patch(&path("mathoid"), &notes).unwrap();
            }
        }
    };
    let threads = [(); 3].map(|()| thread::spawn(work()));
    let mut from = None;
    for n in 1..=8 {
        let to = Some(transport.release(&target, &version(n)).unwrap());
        let change = change(&target, from, to.clone());
        let before = bumps.load(Ordering::Relaxed);
        transport.fetch(&target, &change, &scope("r1")).await.unwrap();
        transport.promote(&target, &change, &scope("r1")).await.unwrap();
        assert!(scene.image("mathoid").contains(&format!(":v{n}@")), "{}", scene.image("mathoid"));
        while bumps.load(Ordering::Relaxed) < before + 5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        from = to;
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn an_image_of_others_that_changes_meanwhile_is_not_overwritten() {
    let scene = Scene::new("foreign");
    let name = "mathoid";
    scene.deployment(name, "registry.example/other:a", 1);
    let transport = WorkloadTransport::new(name, IMAGE, scene.places(&[name]), terms("p"));
    let target = target(name);
    let release = |n| Some(transport.release(&target, &version(n)).unwrap());
    let forward = change(&target, None, release(1));
    transport.fetch(&target, &forward, &scope("r1")).await.unwrap();
    set_image(&scene.kube, name, "registry.example/other:b");
    let error = transport.promote(&target, &forward, &scope("r1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("registry.example/other:b"), "{}", error.cause());
    assert_eq!(scene.image(name), "registry.example/other:b");

    // Planned anew, it goes; and what it goes back to is what was there.
    transport.fetch(&target, &forward, &scope("r1")).await.unwrap();
    transport.promote(&target, &forward, &scope("r1")).await.unwrap();
    let back = change(&target, release(1), None);
    transport.promote(&target, &back, &scope("r1")).await.unwrap();
    assert_eq!(scene.image(name), "registry.example/other:b");
    transport.promote(&target, &back, &scope("r1")).await.unwrap();

    // Who set it is told, and not who deployed before.
    let forward = change(&target, release(1), release(2));
    set_image(&scene.kube, name, &format!("{IMAGE}:v1@{}", version(1).id));
    transport.fetch(&target, &forward, &scope("r1")).await.unwrap();
    transport.promote(&target, &forward, &scope("r1")).await.unwrap();
    let by = || async { transport.live(&target, &scope("r1")).await.unwrap().serving.unwrap().by };
    assert_eq!(by().await.as_deref(), Some("ann"));
    set_image(&scene.kube, name, &format!("{IMAGE}:v3@{}", version(3).id));
    assert_eq!(by().await.as_deref(), Some("curl"));
    set_image(&scene.kube, name, "registry.example/other:b");

    // Somebody else's image is not taken for nothing.
    set_image(&scene.kube, name, "registry.example/other:c");
    let error = transport.promote(&target, &back, &scope("r1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}
