//! Whether all of a release has come to run what it was told to.

use std::{future::Future, time::Duration};

use deploy_core::{
    backend::{Checker, Operator, Scope, Situation, Transport, Verdict},
    model::GroupName,
    plan::{Action, Change},
};
use deploy_k8s::{ReleaseCheck, ReleaseOperator};
use serde_json::json;
use xtask::PodLook;

use super::{
    helm::Releases,
    scene::{IMAGE, NAMESPACE, Scene, scope},
};

const STATEFUL: &str = r#"apiVersion: apps/v1
kind: StatefulSet
metadata: {name: "{{ .Release.Name }}-store"}
spec:
  replicas: 1
  serviceName: store
  selector: {matchLabels: {app: "{{ .Release.Name }}-store"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}-store"}}
    spec: {containers: [{name: main, image: "registry.example/store:1"}]}
"#;
/// The image that Jobs run.
pub const MIGRATION: &str = "registry.example/migrate";
const JOB: &str = r#"apiVersion: batch/v1
kind: Job
metadata: {name: "migrate-{{ .Values.main_app.version }}"}
spec:
  backoffLimit: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example/migrate:1"}]}
"#;

/// Ends the pods of Jobs, as a kubelet does. Returns how many.
pub fn end_pods(scene: &Scene, job: &str, code: u8) -> usize {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let pods = scene.kube.get(&format!("{path}?labelSelector=job-name%3D{job}")).unwrap();
    let pods = pods["items"].as_array().unwrap();
    for pod in pods {
        let name = pod["metadata"]["name"].as_str().unwrap();
        let ended = json!({ "exitCode": code, "reason": "Error", "message": "no such table" });
        let status = json!({
            "phase": if code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{
                "name": "main", "image": MIGRATION, "imageID": "", "ready": false,
                "restartCount": 0, "state": { "terminated": ended },
            }],
        });
        // It may go in between.
        let _ = scene.kube.patch(&format!("{path}/{name}/status"), &json!({ "status": status }));
    }
    pods.len()
}

/// Makes pods look so, as a kubelet does.
pub fn show(scene: &Scene, image: &str, look: PodLook) {
    // One may go in between: the next call shows the rest.
    let _ = scene.kube.show_pods(image, look);
}

pub fn situation(change: &Change) -> Situation {
    Situation::of(&GroupName::new("all").unwrap(), change, false)
}

fn long(run: &str) -> Scope {
    Scope { deadline: tokio::time::Instant::now() + Duration::from_secs(60), ..scope(run) }
}

/// Asks until it is as it should be.
async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, is_so: impl Fn(&T) -> bool) -> T {
    let mut seen = ask().await;
    for _ in 0..150 {
        if is_so(&seen) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        seen = ask().await;
    }
    seen
}

fn waits_for(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::NotYet { seen } => seen,
        _ => "",
    }
}

fn is_over(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::NotYet { .. })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn all_of_a_release_is_looked_at_and_the_first_fault_is_named() {
    let place = Releases::new("release-check", 1);
    place.template("store.yaml", STATEFUL);
    place.template("job.yaml", JOB);
    let transport = place.helm("alive");
    let check = ReleaseCheck::new(place.places());
    let show = |image: &str, look| show(&place.scene, image, look);
    let first = place.change(&transport, None, Some(1));
    let ask = |change: &Change| {
        let (check, situation) = (&check, situation(change));
        let target = change.target.clone();
        async move { check.check(&target, &situation, &scope("r1")).await.unwrap() }
    };
    transport.fetch(&first.target, &first, &scope("r1")).await.unwrap();
    let Verdict::Unhealthy { reason, .. } = ask(&first).await else { panic!("nothing is there") };
    assert!(reason.contains("mathoid-0 is not deployed, and so not v1"), "{reason}");

    transport.promote(&first.target, &first, &scope("r1")).await.unwrap();
    let seen = ask(&first).await;
    for name in ["deployment/mathoid-0: ", "statefulset/mathoid-0-store: ", "job/migrate-v1: "] {
        assert!(waits_for(&seen).contains(name), "{seen:?}");
    }
    let asked = async || {
        show(IMAGE, PodLook::Ready);
        show("registry.example/store", PodLook::Ready);
        ask(&first).await
    };
    let only_job = |seen: &Verdict| waits_for(seen).starts_with("job/migrate-v1: 1 pods run");
    let seen = until(&asked, only_job).await;
    assert!(only_job(&seen), "{seen:?}");
    assert_eq!(end_pods(&place.scene, "migrate-v1", 0), 1);
    assert_eq!(until(|| ask(&first), is_over).await, Verdict::Healthy);

    // Restarted: both workloads, each once.
    let operator = ReleaseOperator::new(place.places());
    let before = operator.state(&first.target, &scope("r1")).await.unwrap();
    assert_eq!((before.state.as_str(), before.service.as_str()), ("active", "release/mathoid-0"));
    let restart = async |attempt| {
        let (situation, scope) = (situation(&first), Scope { attempt, ..long("r1") });
        let mark = &before.instance;
        let restart = operator.operate(&first.target, Action::Restart, mark, &situation, &scope);
        let show = async || loop {
            show(IMAGE, PodLook::Ready);
            show("registry.example/store", PodLook::Ready);
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        tokio::select! { done = restart => done.unwrap(), () = show() => () }
    };
    restart(1).await;
    let after = operator.state(&first.target, &scope("r1")).await.unwrap();
    assert_eq!(after.state, "active");
    let marks = |mark: &str| mark.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (old, new) in marks(&before.instance.mark).iter().zip(marks(&after.instance.mark)) {
        assert!(old.ends_with("=-") && !new.ends_with("=-"), "{old} {new}");
    }
    restart(2).await;
    let again = operator.state(&first.target, &scope("r1")).await.unwrap();
    assert_eq!(again.instance.mark, after.instance.mark, "it is not done twice");
    assert!(operator.describe_action(Action::Stop).is_err());

    let second = place.change(&transport, Some(1), Some(2));
    transport.promote(&second.target, &second, &scope("r1")).await.unwrap();
    let asked = async || {
        show(&format!("{IMAGE}:v2"), PodLook::NoImage);
        ask(&second).await
    };
    let Verdict::Unhealthy { reason, .. } = until(&asked, is_over).await else { panic!() };
    let told = "deployment/mathoid-0: the image cannot be pulled (ImagePullBackOff)";
    assert!(reason.starts_with(told), "{reason}");

    let third = place.change(&transport, Some(2), Some(3));
    transport.promote(&third.target, &third, &scope("r1")).await.unwrap();
    let asked = async || {
        show(IMAGE, PodLook::Ready);
        show("registry.example/store", PodLook::Ready);
        end_pods(&place.scene, "migrate-v3", 3);
        ask(&third).await
    };
    let seen = until(&asked, is_over).await;
    let Verdict::Unhealthy { reason, evidence } = seen else { panic!("{seen:?}") };
    assert!(reason.starts_with("job/migrate-v3: has failed (BackoffLimitExceeded"), "{reason}");
    let evidence = evidence.unwrap();
    assert!(evidence.contains("main ended with exit code 3, Error, no such table"), "{evidence}");

    // Somebody else's upgrade in between.
    let chart = place.chart.path().display().to_string();
    let words = ["upgrade", "mathoid-0", &chart, "--set", "main_app.version=v7"];
    assert!(place.by_hand(&words).wait().unwrap().success());
    let Verdict::Unhealthy { reason, .. } = ask(&third).await else { panic!() };
    assert!(reason.contains("it runs the revision 4 (\"Upgrade complete\""), "{reason}");
    assert!(reason.ends_with("by now, and not v3"), "{reason}");
    transport.finalize(&third.target, &Default::default(), &scope("r1")).await.unwrap();
}
