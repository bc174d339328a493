//! What plans show of releases and workloads.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use deploy_core::{
    backend::{Closing, FileDiff, Preview, Transport},
    plan::{Change, Work},
};
use deploy_k8s::{Chart, Cluster, HelmPlace, HelmTransport, WorkloadTransport};
use serde_json::json;

use super::scene::{IMAGE, NAMESPACE, Scene, identity, options, scope, target, terms, version};

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: mathoid}
spec:
  replicas: 1
  selector: {matchLabels: {app: mathoid}}
  template:
    metadata:
      labels: {app: mathoid}
      annotations: {checksum/secret: "{{ include (print $.Template.BasePath "/secret.yaml") . | sha256sum }}"}
    spec:
      containers:
      - name: main
        image: "registry.example/mathoid:{{ .Values.main_app.version }}"
        resources: {requests: {cpu: "1000m", memory: 1024Mi}}
        env:
        - {name: LEVEL, value: {{ .Values.level | quote }}}
        {{- if .Values.extra }}
        - {name: EXTRA, value: "yes"}
        {{- end }}
"#;
const SECRET: &str = r#"apiVersion: v1
kind: Secret
metadata: {name: mathoid}
stringData:
  password: {{ .Values.password | quote }}
  constant: kept-secret-of-old
"#;
const MAP: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Values.map }}"}
data: {mode: "0644", "a.conf": "one\ntwo\n"}
"#;
const HOOK: &str = r#"apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-rollback}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "x:{{ .Values.main_app.version }}"}]}}}
"#;
const OLD: &str = "hunter2-of-old";
const NEW: &str = "hunter3-of-new";

fn write_chart(place: &Path) {
    fs::create_dir_all(place.join("templates")).unwrap();
    fs::write(place.join("Chart.yaml"), "apiVersion: v2\nname: mathoid\nversion: 0.1.0\n").unwrap();
    for (name, text) in
        [("deployment", DEPLOYMENT), ("secret", SECRET), ("map", MAP), ("hook", HOOK)]
    {
        fs::write(place.join(format!("templates/{name}.yaml")), text).unwrap();
    }
}

fn helm(scene: &Scene, chart: &Path, values: &str) -> HelmTransport {
    let file = chart.join("values.yaml");
    fs::write(&file, values).unwrap();
    let key = "main_app.version".parse().unwrap();
    let chart = Chart::load(chart.display().to_string(), None, Vec::new(), key).unwrap();
    let place = HelmPlace {
        cluster: scene.cluster.clone(),
        namespace: NAMESPACE.into(),
        release: "mathoid".into(),
        chart: Arc::new(chart),
    };
    let places = BTreeMap::from([(target("mathoid"), place)]);
    HelmTransport::new("mathoid", IMAGE, places, terms("alive")).program(scene.kube.helm())
}

fn change(transport: &dyn Transport, from: Option<u8>, to: Option<u8>) -> Change {
    let target = target("mathoid");
    let release = |n: u8| transport.release(&target, &version(n)).unwrap();
    let (from, to) = (from.map(release), to.map(release));
    Change { target, back: from.clone(), from, to, work: Work::Move }
}

async fn deploy(transport: &dyn Transport, change: &Change, run: &str) {
    let target = &change.target;
    transport.fetch(target, change, &scope(run)).await.unwrap();
    transport.promote(target, change, &scope(run)).await.unwrap();
    let closing = Closing { good: change.to.clone(), back: change.back.clone() };
    transport.finalize(target, &closing, &scope(run)).await.unwrap();
}

/// All that is told, and what is told of one thing.
fn told(diffs: &[FileDiff]) -> String {
    diffs.iter().map(|diff| format!("== {}\n{}\n", diff.file, diff.diff)).collect()
}

fn of<'d>(diffs: &'d [FileDiff], file: &str) -> &'d str {
    let found = diffs.iter().find(|diff| diff.file == file);
    &found.unwrap_or_else(|| panic!("nothing of {file}:\n{}", told(diffs))).diff
}

/// Lines that are taken away, and lines that are added.
fn changed(diff: &str) -> Vec<&str> {
    let is_changed = |line: &&str| {
        (line.starts_with('-') && !line.starts_with("---"))
            || (line.starts_with('+') && !line.starts_with("+++"))
    };
    diff.lines().filter(is_changed).collect()
}

const FIRST: &str = "{level: low, password: hunter2-of-old, map: conf, extra: true}";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_plan_tells_what_a_deploy_changes_from_what_others_did() {
    let scene = Scene::new("preview");
    let chart = tempfile::tempdir().unwrap();
    write_chart(chart.path());
    let first = helm(&scene, chart.path(), FIRST);
    let look = scope("look");

    // Nothing is there yet.
    let install = change(&first, None, Some(1));
    let diffs = first.diffs(&install, &look).await.unwrap();
    assert!(of(&diffs, "Deployment/mathoid, will change").starts_with("a new object\n"));
    assert!(!told(&diffs).contains("hunter2"), "{}", told(&diffs));
    deploy(&first, &install, "r1").await;

    // Only the tag changes: nothing that the API server wrote its own way is told.
    let diffs = first.diffs(&change(&first, Some(1), Some(2)), &look).await.unwrap();
    let deployment = of(&diffs, "Deployment/mathoid, will change");
    let lines: Vec<_> = changed(deployment).iter().map(|line| line.replace(' ', "")).collect();
    let image = |sign: &str, tag: u8| format!("{sign}image:{IMAGE}:v{tag}");
    assert_eq!(lines, [image("-", 1), image("+", 2)], "{}", told(&diffs));
    let files: Vec<_> = diffs.iter().map(|diff| diff.file.as_str()).collect();
    assert_eq!(files, ["Deployment/mathoid, will change", "Job/migrate, will change"]);

    // Somebody scales and edits; and the chart changes.
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/mathoid");
    scene.kube.patch(&path, &json!({ "spec": { "replicas": 5, "paused": true } })).unwrap();
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/mathoid");
    scene.kube.patch(&secret, &json!({ "data": { "constant": "ZWRpdGVkLWJ5LWhhbmQ=" } })).unwrap();
    let second = helm(
        &scene,
        chart.path(),
        "{level: high, password: hunter3-of-new, map: other, extra: false}",
    );
    let from = install.to.clone();
    let next = Change { from: from.clone(), back: from, ..change(&second, None, Some(2)) };
    let diffs = second.diffs(&next, &look).await.unwrap();
    let all = told(&diffs);
    let outside = of(&diffs, "Deployment/mathoid, changed outside deploys");
    assert!(outside.contains("spec.replicas is 5 (by "), "{outside}");
    assert!(outside.contains("deployed was 1; the deploy undoes it"), "{outside}");
    assert_eq!(outside.lines().count(), 1, "what the chart does not say is nobody's: {outside}");
    let deployment = of(&diffs, "Deployment/mathoid, will change");
    let lines = changed(deployment).join("\n");
    for words in ["mathoid:v2", "  value: high", "- name: EXTRA", "checksum/secret"] {
        assert!(lines.contains(words), "{words}\n{all}");
    }
    assert!(!lines.contains("replicas") && !lines.contains("cpu"), "{all}");
    // Of the Secret only names.
    let masked = of(&diffs, "Secret/mathoid, will change");
    assert!(masked.contains("password"), "{all}");
    assert!(!changed(masked).iter().any(|line| line.contains("constant")), "{all}");
    let edited = of(&diffs, "Secret/mathoid, changed outside deploys");
    assert!(edited.contains("data.constant was changed"), "{all}");
    for secret in [OLD, NEW, "kept-secret", "edited-by-hand", "ZWRpdGVk", "aHVudGVy", "a2VwdC"] {
        assert!(!all.contains(secret), "{secret}\n{all}");
    }
    let sums = all.lines().filter(|line| line.contains("checksum/"));
    assert!(sums.clone().count() == 2 && sums.clone().all(|l| l.contains("not shown")), "{all}");
    assert_eq!(of(&diffs, "ConfigMap/conf, will change"), "it goes away");
    assert!(of(&diffs, "ConfigMap/other, will change").starts_with("a new object"), "{all}");
    assert!(of(&diffs, "Job/migrate, will change").starts_with("a hook, run at pre-rollback"));

    // It is what the deploy does.
    deploy(&second, &next, "r2").await;
    let live = scene.workload("mathoid");
    assert_eq!(live["spec"]["replicas"], 1);
    let env = live["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    assert_eq!(env.len(), 1, "{env:?}");
    let diffs = second.diffs(&change(&second, Some(2), None), &look).await.unwrap();
    assert_eq!(of(&diffs, "Deployment/mathoid, will change"), "it goes away");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_plan_tells_the_image_of_a_workload_and_who_set_another() {
    let scene = Scene::new("preview-plain");
    scene.deployment("mathoid", &format!("{IMAGE}:v0"), 1);
    let transport =
        WorkloadTransport::new("mathoid", IMAGE, scene.places(&["mathoid"]), terms("alive"));
    let look = scope("look");
    let live = transport.live(&target("mathoid"), &look).await.unwrap();
    let first = Change {
        from: live.release().cloned(),
        back: live.release().cloned(),
        ..change(&transport, None, Some(1))
    };
    let diffs = transport.diffs(&first, &look).await.unwrap();
    assert_eq!(diffs.len(), 1, "{}", told(&diffs));
    let lines = changed(of(&diffs, "Deployment/mathoid, will change"));
    assert_eq!(lines.len(), 2, "{}", told(&diffs));
    assert!(lines[0].ends_with("mathoid:v0") && lines[1].contains("mathoid:v1@sha256:0101"));
    deploy(&transport, &first, "r1").await;

    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/mathoid");
    let containers = json!([{ "name": "main", "image": format!("{IMAGE}:v7") }]);
    let template = json!({ "spec": { "containers": containers } });
    scene.kube.patch(&path, &json!({ "spec": { "template": template } })).unwrap();
    let live = transport.live(&target("mathoid"), &look).await.unwrap();
    let next = Change { from: live.release().cloned(), ..change(&transport, None, Some(2)) };
    let diffs = transport.diffs(&next, &look).await.unwrap();
    let outside = of(&diffs, "Deployment/mathoid, changed outside deploys");
    assert!(outside.contains("containers[main].image is \"registry.example/mathoid:v7\" (by "));
    assert!(
        outside.contains("deployed was \"registry.example/mathoid:v1@sha256:0101"),
        "{outside}"
    );
    let lines = changed(of(&diffs, "Deployment/mathoid, will change"));
    assert!(lines[0].contains(":v7") && lines[1].contains(":v2@sha256"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn who_may_not_look_is_told_what_is_rendered_and_that_it_was_not_compared() {
    let mut scene = Scene::new("preview-blind");
    let chart = tempfile::tempdir().unwrap();
    write_chart(chart.path());
    let first = helm(&scene, chart.path(), FIRST);
    let install = change(&first, None, Some(1));
    deploy(&first, &install, "r1").await;

    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let subject =
        json!({ "kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io" });
    let rules = json!([
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"] },
        { "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"] },
    ]);
    let role = json!({ "metadata": { "name": "reader" }, "rules": rules });
    scene.kube.create(&format!("{rbac}/clusterroles"), &role).unwrap();
    let to =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader" });
    let binding = json!({ "metadata": { "name": "reader" }, "roleRef": to, "subjects": [subject] });
    scene.kube.create(&format!("{rbac}/clusterrolebindings"), &binding).unwrap();
    scene.kube.add_token("token-of-the-reader", "reader").unwrap();
    scene.kube.kill_api();
    scene.kube.start_api().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    scene.kube.write_kubeconfig(file.path(), "token-of-the-reader").unwrap();
    let mut options = options(&scene.kube, "preview-blind", identity(&scene.kube));
    options.kubeconfig = Some(file.path().to_owned());
    scene.cluster = Cluster::new(options);

    let values = "{level: high, password: hunter3-of-new, map: conf, extra: true}";
    let blind = helm(&scene, chart.path(), values);
    let next = change(&blind, Some(1), Some(2));
    let diffs = blind.diffs(&next, &scope("look")).await.unwrap();
    let all = told(&diffs);
    let deployment = of(&diffs, "Deployment/mathoid, will change");
    assert!(deployment.starts_with("not compared with what lives there: deployments"), "{all}");
    assert!(deployment.contains("cannot get resource"), "{all}");
    let lines = changed(deployment).join("\n");
    assert!(lines.contains("mathoid:v2") && lines.contains("value: high"), "{all}");
    let unchanged = of(&diffs, "what lives in the cluster");
    assert!(unchanged.starts_with("ConfigMap/conf not compared: "), "{all}");
    // It may read Secrets, and not change them.
    let masked = of(&diffs, "Secret/mathoid, will change");
    assert!(masked.contains("password") && masked.contains("cannot patch"), "{all}");
    for secret in [OLD, NEW, "kept-secret", "aHVudGVy", "a2VwdC"] {
        assert!(!all.contains(secret), "{secret}\n{all}");
    }

    // A chart that does not render is told, and not what it was given.
    let template = chart.path().join("templates/map.yaml");
    fs::write(&template, "kind: {{ fail .Values.secret_of_old }}").unwrap();
    let values = format!("{{secret_of_old: is {OLD} here, password: x, map: y, level: z}}");
    let broken = helm(&scene, chart.path(), &values);
    let error = broken.diffs(&change(&broken, Some(1), Some(3)), &scope("look")).await.unwrap_err();
    let words = format!("{error:?} {error} {}", error.cause());
    assert!(!words.contains(OLD), "{words}");
    fs::write(&template, "kind: {{ requird }}").unwrap();
    let broken = helm(&scene, chart.path(), FIRST);
    let error = broken.diffs(&change(&broken, Some(1), Some(3)), &scope("look")).await.unwrap_err();
    assert!(error.cause().contains("requird"), "{}", error.cause());
}
