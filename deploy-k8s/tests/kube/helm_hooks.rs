//! Hooks that fail, and operations of helm that somebody else, or a run that died, has begun.

use std::{future::Future, time::Duration};

use deploy_core::{
    backend::{BackendError, Checker, Closing, ErrorKind, Scope, Transport, Verdict},
    plan::{Action, Change, Work},
};
use deploy_k8s::{HelmTransport, ReleaseCheck};
use xtask::PodLook;

use super::{
    helm::Releases,
    helm_check::{end_pods, show, situation},
    scene::{DEAD, IMAGE, NAMESPACE, scope, version},
};

/// A Job before each install and upgrade.
const HOOK: &str = r#"apiVersion: batch/v1
kind: Job
metadata:
  name: "migrate-{{ .Values.main_app.version }}"
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  backoffLimit: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example/migrate:1"}]}
"#;

fn long(run: &str) -> Scope {
    Scope { deadline: tokio::time::Instant::now() + Duration::from_secs(60), ..scope(run) }
}

/// Promotes while the pods of its hook end with `code`.
async fn promote(
    place: &Releases,
    transport: &HelmTransport,
    change: &Change,
    (job, code): (&str, u8),
) -> Result<(), BackendError> {
    let scope = long("r1");
    let ending = async || loop {
        end_pods(&place.scene, job, code);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    tokio::select! {
        done = transport.promote(&change.target, change, &scope) => done,
        () = ending() => Ok(()),
    }
}

async fn notes(transport: &HelmTransport, change: &Change) -> String {
    transport.live(&change.target, &scope("r9")).await.unwrap().notes.join("\n")
}

async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    for _ in 0..100 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not come to that");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_hook_that_fails_is_told_and_the_way_back_is_whole() {
    let place = Releases::new("helm-hooks", 1);
    place.template("hook.yaml", HOOK);
    let transport = place.helm("alive");
    let check = ReleaseCheck::new(place.places());

    // The first install: nothing is deployed, and nothing is left after the way back.
    let first = place.change(&transport, None, Some(1));
    let error = promote(&place, &transport, &first, ("migrate-v1", 3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("BackoffLimitExceeded"), "{}", error.cause());
    let evidence = error.evidence().unwrap();
    assert!(evidence.contains("the hook job/migrate-v1 (pre-install, pre-upgrade)"), "{evidence}");
    assert!(evidence.contains("exit code 3, Error, no such table"), "{evidence}");
    assert!(notes(&transport, &first).await.contains("the revision 1 has failed"));
    let live = transport.live(&first.target, &scope("r1")).await.unwrap();
    assert!(live.torn && live.release() != first.to.as_ref(), "{live:?}");
    assert_eq!(live.release().map(|it| &it.version), first.to.as_ref().map(|it| &it.version));
    let back = first.inverse();
    transport.promote(&first.target, &back, &scope("r1")).await.unwrap();
    assert_eq!(notes(&transport, &first).await, "");

    promote(&place, &transport, &first, ("migrate-v1", 0)).await.unwrap();
    let closing = Closing { good: first.to.clone(), back: None };
    transport.finalize(&first.target, &closing, &scope("r1")).await.unwrap();
    let second = place.change(&transport, Some(1), Some(2));
    let error = promote(&place, &transport, &second, ("migrate-v2", 3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{}", error.cause());
    let live = transport.live(&first.target, &scope("r1")).await.unwrap();
    let version = live.release().map(|it| &it.version);
    assert_eq!(version, first.to.as_ref().map(|it| &it.version), "helm keeps what was deployed");
    assert!(live.torn && live.release() != first.to.as_ref(), "but not as a whole");
    assert!(live.notes.join("").contains("the revision 2 has failed"), "{live:?}");
    assert!(!live.is_settled());
    let ask = async |change: &Change| {
        check.check(&change.target, &situation(change), &scope("r1")).await.unwrap()
    };
    let Verdict::Unhealthy { reason, evidence } = ask(&second).await else { panic!() };
    assert!(reason.contains("the revision 2 has failed"), "{reason}");
    assert!(reason.contains("the hook job/migrate-v2"), "{reason}");
    assert!(evidence.unwrap().contains("exit code 3"));

    // Back, although helm says that it is there already: what failed may be there in part.
    promote(&place, &transport, &second.inverse(), ("migrate-v1", 0)).await.unwrap();
    let live = transport.live(&first.target, &scope("r1")).await.unwrap();
    assert_eq!((live.release(), live.notes.len()), (first.to.as_ref(), 0));
    assert!(matches!(ask(&first).await, Verdict::NotYet { .. }), "its pods are on their way");
    promote(&place, &transport, &second, ("migrate-v2", 0)).await.unwrap();
    let live = transport.live(&first.target, &scope("r1")).await.unwrap();
    assert_eq!(live.release(), second.to.as_ref());
    transport.finalize(&first.target, &Default::default(), &scope("r1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn somebody_elses_upgrade_is_waited_for_and_not_torn_down() {
    let place = Releases::new("helm-others", 1);
    let transport = place.helm("alive");
    let first = place.change(&transport, None, Some(1));
    place.deploy(&transport, &first, "r1").await;
    let target = first.target.clone();
    let chart = place.chart.path().display().to_string();
    // It waits for pods.
    let words = ["upgrade", "mathoid-0", &chart, "--set", "main_app.version=v9", "--wait"];
    let mut upgrade = place.by_hand(&words);
    until(async || notes(&transport, &first).await.contains("pending-upgrade")).await;
    let told = notes(&transport, &first).await;
    assert!(told.contains("somebody else's helm") && told.contains("older than 600 s"), "{told}");

    let second = place.change(&transport, Some(1), Some(2));
    let short =
        Scope { deadline: tokio::time::Instant::now() + Duration::from_secs(4), ..scope("r2") };
    let error = transport.fetch(&target, &second, &short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let told = error.cause();
    assert!(told.contains("the revision 2 is pending-upgrade (\"Preparing upgrade\""), "{told}");
    assert!(told.contains("somebody else's helm"), "{told}");

    // It ends well while a deploy waits.
    let waiting = long("r2");
    let fetching = transport.fetch(&target, &second, &waiting);
    let showing = async {
        loop {
            show(&place.scene, IMAGE, PodLook::Ready);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! { done = fetching => done.unwrap(), () = showing => () }
    assert!(upgrade.wait().unwrap().success(), "nobody tore it down");
    let error = transport.promote(&target, &second, &scope("r2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "it changed the version");
    assert!(error.cause().contains("v9"), "{}", error.cause());
    transport.finalize(&target, &Default::default(), &scope("r2")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn what_a_run_that_died_has_begun_is_repaired_at_once() {
    let place = Releases::new("helm-died", 1);
    let died = place.helm(DEAD);
    let first = place.change(&died, None, Some(1));
    place.deploy(&died, &first, "r1").await;
    let target = first.target.clone();
    // From now on a hook waits for a pod that nobody runs.
    place.template("hook.yaml", HOOK);
    let hanging = place.helm(DEAD);
    let to = hanging.release(&target, &version(2)).ok();
    let second = Change { from: first.to.clone(), to, back: first.to.clone(), ..first.clone() };
    let waiting = long("r2");
    let dies = async {
        let path = format!("/apis/batch/v1/namespaces/{NAMESPACE}/jobs/migrate-v2");
        until(async || place.scene.kube.get(&path).is_ok()).await;
    };
    tokio::select! {
        done = hanging.promote(&target, &second, &waiting) => panic!("{done:?}"),
        () = dies => (),
    }
    let alive = place.helm("alive");
    let told = notes(&alive, &first).await;
    assert!(told.contains("pending-upgrade") && told.contains("by ann in the run r2"), "{told}");

    // Who only restarts repairs nothing.
    let work = Work::Operate(Action::Restart);
    let restart = Change { to: first.to.clone(), work, ..second.clone() };
    let held = alive.promote(&target, &restart, &scope("r4")).await;
    held.unwrap();
    assert!(notes(&alive, &first).await.contains("pending-upgrade"), "it is as it was");
    alive.finalize(&target, &Default::default(), &scope("r4")).await.unwrap();

    // Not old, but ours, and the claim of the run that died is taken over.
    let third = Change { to: alive.release(&target, &version(3)).ok(), ..second };
    alive.fetch(&target, &third, &long("r3")).await.unwrap();
    assert_eq!(notes(&alive, &first).await, "");
    let live = alive.live(&target, &scope("r3")).await.unwrap();
    assert_eq!(live.release(), first.to.as_ref());
    alive.finalize(&target, &Default::default(), &scope("r3")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn an_install_of_somebody_else_that_was_broken_off_is_left_to_them() {
    let place = Releases::new("helm-install", 1);
    place.template("hook.yaml", HOOK);
    let transport = place.helm("alive").stale_after(Duration::from_millis(1));
    let first = place.change(&transport, None, Some(1));
    let chart = place.chart.path().display().to_string();
    let words = ["install", "mathoid-0", &chart, "--set", "main_app.version=v9"];
    let mut install = place.by_hand(&words);
    until(async || notes(&transport, &first).await.contains("pending-install")).await;
    install.kill().unwrap();
    install.wait().unwrap();
    let error = transport.fetch(&first.target, &first, &scope("r1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("no run has begun it"), "{}", error.cause());
    assert!(error.hint().unwrap().contains("helm uninstall mathoid-0"), "{error:?}");
    assert!(notes(&transport, &first).await.contains("pending-install"), "nothing was done");
    transport.finalize(&first.target, &Default::default(), &scope("r1")).await.unwrap();
}
