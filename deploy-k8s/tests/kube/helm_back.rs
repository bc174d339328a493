//! Where ways back of releases of helm lead.

use std::{fs, process::Command};

use deploy_core::{
    backend::{Closing, ErrorKind, Transport},
    model::Release,
    plan::{Change, Work},
};
use deploy_k8s::HelmTransport;

use super::{
    helm::Releases,
    scene::{NAMESPACE, scope, version},
};

/// What helm says of the release.
fn helm(place: &Releases, words: &[&str]) -> String {
    let mut command = Command::new(place.scene.kube.helm());
    command.arg("--kubeconfig").arg(place.scene.kube.kubeconfig());
    command.args(["--kube-context", place.scene.cluster.name(), "--namespace", NAMESPACE]);
    let output = command.args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn manifest(place: &Releases) -> String {
    let manifest = helm(place, &["get", "manifest", "mathoid-0"]);
    assert!(manifest.contains("kind: Deployment"), "{manifest}");
    manifest
}

fn deployed(place: &Releases) -> String {
    helm(place, &["list", "--output", "json"])
}

async fn live(transport: &HelmTransport, change: &Change) -> Option<Release> {
    transport.live(&change.target, &scope("r9")).await.unwrap().release().cloned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn the_way_back_brings_back_what_ran_and_not_todays_chart() {
    let place = Releases::new("helm-back", 1);
    let transport = place.helm("alive");
    let first = place.change(&transport, None, Some(1));
    place.deploy(&transport, &first, "r1").await;
    let target = first.target.clone();
    let before = manifest(&place);

    // The chart changes with the version.
    let template = place.chart.path().join("templates/deployment.yaml");
    let old = fs::read_to_string(&template).unwrap();
    fs::write(&template, old.replace("replicas: 1", "replicas: 3")).unwrap();
    place.template("more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n");
    let transport = place.helm("alive");
    let to = transport.release(&target, &version(2)).ok();
    let second = Change { from: first.to.clone(), back: first.to.clone(), to, ..first.clone() };
    place.deploy(&transport, &second, "r2").await;
    assert_ne!(manifest(&place), before);
    let replicas = || place.scene.workload("mathoid-0")["spec"]["replicas"].as_u64();
    assert_eq!(replicas(), Some(3));

    let back = second.inverse();
    transport.fetch(&target, &back, &scope("r3")).await.unwrap();
    transport.promote(&target, &back, &scope("r3")).await.unwrap();
    assert_eq!((manifest(&place), replicas()), (before.clone(), Some(1)));
    assert!(place.scene.image("mathoid-0").ends_with(":v1"));
    let more = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/more");
    assert!(place.scene.kube.get(&more).is_err(), "it came with the second");
    assert_eq!(live(&transport, &first).await, first.to, "as which it is known");
    let closing = Closing { good: first.to.clone(), back: second.to.clone() };
    transport.finalize(&target, &closing, &scope("r3")).await.unwrap();

    // A third from there, and back; then helm has forgotten all that was the first.
    let to = transport.release(&target, &version(3)).ok();
    let third = Change { to, ..second.clone() };
    place.deploy(&transport, &third, "r4").await;
    let secrets = |number: u32| {
        let name = format!("sh.helm.release.v1.mathoid-0.v{number}");
        place.scene.kube.delete(&format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}")).unwrap();
    };
    secrets(1);
    transport.promote(&target, &third.inverse(), &scope("r5")).await.unwrap();
    assert_eq!(manifest(&place), before, "a rollback to it is it too");
    assert_eq!(live(&transport, &first).await, first.to);
    transport.promote(&target, &third, &scope("r5")).await.unwrap();
    [3, 5].into_iter().for_each(secrets);
    let there = manifest(&place);
    let error = transport.promote(&target, &third.inverse(), &scope("r5")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    let told = error.cause();
    assert!(told.contains("has v1") && told.contains("no more, and the chart"), "{told}");
    assert_eq!(manifest(&place), there, "nothing was done");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn what_others_installed_is_gone_back_to_and_never_uninstalled() {
    let place = Releases::new("helm-found", 1);
    let chart = place.chart.path().display().to_string();
    let words = ["install", "mathoid-0", &chart, "--set", "main_app.version=v7"];
    assert!(place.by_hand(&words).wait().unwrap().success());
    let before = manifest(&place);

    let transport = place.helm("alive");
    let target = place.change(&transport, None, None).target;
    let seen = transport.live(&target, &scope("r1")).await.unwrap();
    let from = seen.release().cloned();
    assert_eq!(from.as_ref().unwrap().version.name.as_deref(), Some("v7"));
    assert!(seen.is_good(from.as_ref().unwrap()), "there is a way back");
    place.template("more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n");
    let transport = place.helm("alive");
    let to = transport.release(&target, &version(1)).ok();
    // As planned before the chart changed.
    let seen = transport.live(&target, &scope("r1")).await.unwrap();
    let from = seen.release().cloned();
    let first = Change { target: target.clone(), back: from.clone(), from, to, work: Work::Move };
    transport.fetch(&target, &first, &scope("r1")).await.unwrap();
    transport.promote(&target, &first, &scope("r1")).await.unwrap();
    assert!(place.scene.image("mathoid-0").ends_with(":v1"));
    transport.promote(&target, &first.inverse(), &scope("r1")).await.unwrap();
    assert_eq!(manifest(&place), before);
    assert_eq!(live(&transport, &first).await, first.from);

    // Also where a plan knows of no way back.
    transport.promote(&target, &first, &scope("r1")).await.unwrap();
    let nothing = Change { back: None, ..first.clone() }.inverse();
    transport.promote(&target, &nothing, &scope("r1")).await.unwrap();
    assert_eq!(manifest(&place), before);
    transport.finalize(&target, &Closing::default(), &scope("r1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn what_has_no_tag_is_gone_back_to_as_well() {
    let place = Releases::new("helm-tagless", 1);
    let old = tempfile::tempdir().unwrap();
    fs::create_dir(old.path().join("templates")).unwrap();
    fs::write(old.path().join("Chart.yaml"), "apiVersion: v2\nname: old\nversion: 0.1.0\n")
        .unwrap();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n";
    fs::write(old.path().join("templates/old.yaml"), object).unwrap();
    let words = ["install", "mathoid-0", &old.path().display().to_string()];
    assert!(place.by_hand(&words).wait().unwrap().success());
    let transport = place.helm("alive");
    let first = place.change(&transport, None, Some(1));
    let seen = transport.live(&first.target, &scope("r1")).await.unwrap();
    assert!(seen.foreign && seen.release().is_none(), "{seen:?}");
    transport.fetch(&first.target, &first, &scope("r1")).await.unwrap();
    transport.promote(&first.target, &first, &scope("r1")).await.unwrap();
    let there = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/old");
    assert!(place.scene.kube.get(&there).is_err());
    for _ in 0..2 {
        transport.promote(&first.target, &first.inverse(), &scope("r1")).await.unwrap();
        assert!(place.scene.kube.get(&there).is_ok());
        assert!(deployed(&place).contains("old-0.1.0"), "{}", deployed(&place));
    }
    transport.finalize(&first.target, &Closing::default(), &scope("r1")).await.unwrap();
}
