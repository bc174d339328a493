//! Releases that a helmfile makes. There is no helmfile here: a script stands for it, which demands the
//! documented command line word by word, and does with the real helm what helmfile would.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use deploy_core::{
    backend::{Checker, ErrorKind, Transport, Verdict},
    plan::Change,
};
use deploy_k8s::{Chart, HelmPlace, HelmTransport, ReleaseCheck};
use xtask::PodLook;

use super::{
    helm::Releases,
    helm_check::{show, situation},
    scene::{DEAD, IMAGE, NAMESPACE, scope, target, terms, version},
};

/// Stands for helmfile. What it was told is recorded in `$0.calls`.
const DOUBLE: &str = r#"#!/bin/sh
set -eu
printf '%s\n' "$*" >> "$0.calls"
no() { echo "unknown: $1" >&2; exit 64; }
[ "$1" = --helm-binary ] || no "$1"; helm=$2; shift 2
[ "$1" = --kube-context ] || no "$1"; context=$2; shift 2
[ "$1" = --file ] && [ -f "$2" ] || no "$1"; cd "$(dirname "$2")"; shift 2
[ "$1" = --environment ] && [ "$2" = eqiad ] || no "$1"; shift 2
[ "$1" = --selector ] || no "$1"; release=${2#name=}; [ "$release" != "$2" ] || no "$2"; shift 2
command=$1; shift
[ "$1" = --skip-deps ] || no "$1"; shift
[ "$1" = --values ] && [ -f "$2" ] || no "$1"; values=$2; shift 2
[ $# = 0 ] || no "$1"
[ -n "${KUBECONFIG:-}" ] || no "no kubeconfig"
case $command in
  template) exec "$helm" template "$release" ./chart --namespace NAMESPACE --values values.yaml --values "$values" ;;
  apply)
    new=$("$helm" template "$release" ./chart --namespace NAMESPACE --values values.yaml --values "$values")
    old=$("$helm" --kube-context "$context" --namespace NAMESPACE get manifest "$release" 2>/dev/null || true)
    # It applies only when there are changes.
    [ "$(echo "$old" | grep -c "$(echo "$new" | grep image:)")" = 0 ] || exit 0
    exec "$helm" --kube-context "$context" --namespace NAMESPACE upgrade --install "$release" ./chart \
      --values values.yaml --values "$values" ;;
  *) no "$command" ;;
esac
"#;

struct Project {
    place: Releases,
    dir: tempfile::TempDir,
}

impl Project {
    fn new(name: &str) -> Self {
        let (place, dir) = (Releases::new(name, 1), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(place.chart.path(), dir.path().join("chart")).unwrap();
        fs::write(dir.path().join("helmfile.yaml"), "releases: [{name: mathoid-0}]\n").unwrap();
        fs::write(dir.path().join("values.yaml"), "main_app: {version: v0}\n").unwrap();
        let double = dir.path().join("double");
        fs::write(&double, DOUBLE.replace("NAMESPACE", NAMESPACE)).unwrap();
        fs::set_permissions(&double, fs::Permissions::from_mode(0o755)).unwrap();
        Self { place, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn place(&self) -> HelmPlace {
        let key = "main_app.version".parse().unwrap();
        let parts = [self.file("values.yaml"), self.place.chart.path().to_owned()];
        let environment = Some("eqiad".to_owned());
        let chart =
            Chart::of_helmfile(self.file("helmfile.yaml"), environment, &parts, key).unwrap();
        HelmPlace {
            cluster: self.place.scene.cluster.clone(),
            namespace: NAMESPACE.into(),
            release: "mathoid-0".into(),
            chart: Arc::new(chart),
        }
    }

    fn transport(&self, process: &str) -> HelmTransport {
        let places = [(target("mathoid-0"), self.place())].into();
        HelmTransport::new("mathoid", IMAGE, places, terms(process))
            .program(self.place.scene.kube.helm())
            .helmfile(self.file("double"))
    }

    fn calls(&self, command: &str) -> usize {
        let calls = fs::read_to_string(self.file("double.calls")).unwrap_or_default();
        calls.lines().filter(|call| call.contains(&format!(" {command} --skip-deps"))).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_helmfile_makes_releases_and_the_record_tells_which_they_are() {
    let project = Project::new("helmfile");
    let (place, transport) = (&project.place, project.transport("alive"));
    let first = place.change(&transport, None, Some(1));
    place.deploy(&transport, &first, "r1").await;
    assert_eq!((project.calls("template"), project.calls("apply")), (1, 1));
    assert!(place.scene.image("mathoid-0").ends_with(":v1"), "over the tag of the values");
    let live =
        async |process| project.transport(process).live(&first.target, &scope("r9")).await.unwrap();
    let seen = live("alive").await;
    assert_eq!(seen.release(), first.to.as_ref(), "with its digest, though helm has its tag only");
    assert!(seen.is_settled());

    // The tag that somebody commits to the values is no other release; other values are.
    fs::write(project.file("values.yaml"), "main_app: {version: v1}\n").unwrap();
    let release = |transport: &HelmTransport| transport.release(&first.target, &version(1)).ok();
    assert_eq!(release(&project.transport("alive")), first.to);
    fs::write(project.file("values.yaml"), "main_app: {version: v1}\nx: 1\n").unwrap();
    let other = project.transport("alive");
    let to = release(&other);
    assert_ne!(to, first.to);
    // Nothing to change, so that helmfile makes no revision: it is that release all the same.
    let change = Change { from: first.to.clone(), to, back: first.to.clone(), ..first.clone() };
    place.deploy(&other, &change, "r2").await;
    assert_eq!(
        other.live(&first.target, &scope("r9")).await.unwrap().release(),
        change.to.as_ref()
    );

    // Upgraded and rolled back.
    let second = Change {
        from: change.to.clone(),
        to: other.release(&first.target, &version(2)).ok(),
        back: change.to.clone(),
        ..change.clone()
    };
    other.promote(&first.target, &second, &scope("r3")).await.unwrap();
    let check = ReleaseCheck::new([(first.target.clone(), project.place())].into());
    let ask = async |change: &Change| {
        check.check(&change.target, &situation(change), &scope("r3")).await.unwrap()
    };
    let mut verdict = ask(&second).await;
    for _ in 0..100 {
        if verdict == Verdict::Healthy {
            break;
        }
        show(&place.scene, IMAGE, PodLook::Ready);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        verdict = ask(&second).await;
    }
    assert_eq!(verdict, Verdict::Healthy);
    assert!(matches!(ask(&change).await, Verdict::Unhealthy { .. }), "that is not what runs");
    other.promote(&first.target, &second.inverse(), &scope("r3")).await.unwrap();
    assert!(place.scene.image("mathoid-0").ends_with(":v1"));
    assert_eq!(
        other.live(&first.target, &scope("r9")).await.unwrap().release(),
        change.to.as_ref()
    );

    // What does not render touches nothing.
    place.template("broken.yaml", "{{ nothing }}");
    let third = Change { to: second.to.clone(), ..second.clone() };
    let error = other.fetch(&first.target, &third, &scope("r3")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("nothing"), "{}", error.cause());
    other.finalize(&first.target, &Default::default(), &scope("r3")).await.unwrap();
    assert_eq!(live(DEAD).await.claim, None);
}
