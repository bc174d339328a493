//! What is told of objects: three ways, without a cluster.

use base64::{Engine, engine::general_purpose::STANDARD};
use deploy_core::backend::FileDiff;
use serde_json::{Value, json};

use super::{
    Difference, Live, Object, Report, Seen,
    drift::covers,
    look::told,
    mask,
    object::{Key, objects},
};

const SECRETS: [&str; 3] = ["hunter2-old", "hunter3-new", "hunter4-by-hand"];

fn object(value: &Value) -> Object {
    objects(&value.to_string(), "home").unwrap().remove(0)
}

fn deployment(replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "x" },
        "spec": { "replicas": replicas, "template": { "spec": {
            "containers": [{ "name": "main", "image": image }],
        } } },
    })
}

/// As an API server keeps it: with its notes, and its defaults.
fn kept(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("1-2-3");
    object["metadata"]["resourceVersion"] = json!("7");
    object["metadata"]["managedFields"] = json!([
        { "manager": "helm", "time": "2024-06-10T12:00:00Z", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
        { "manager": "kubectl-scale", "time": "2024-06-11T12:00:00Z", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
    ]);
    object["spec"]["paused"] = json!(false);
    object["status"] = json!({ "replicas": 3 });
    object
}

fn seen(deployed: Option<Value>, rendered: Option<Value>, live: Live) -> Seen {
    let (deployed, rendered) = (deployed.as_ref().map(object), rendered.as_ref().map(object));
    let key = rendered.as_ref().or(deployed.as_ref()).unwrap().key.clone();
    Seen { key, deployed, rendered, live }
}

fn there(now: Value, after: Value, again: Option<Value>) -> Live {
    Live::There { now, after: Some(after), again, unknown: None }
}

fn changed(difference: &Difference) -> Vec<String> {
    let lines = difference.will_change.iter();
    let is_change = |line: &&String| {
        line.starts_with(['-', '+']) && !line.starts_with("---") && !line.starts_with("+++")
    };
    let plain = |line: &String| {
        let (sign, rest) = line.split_at(1);
        format!("{sign}{}", rest.trim().trim_start_matches("- "))
    };
    lines.filter(is_change).map(plain).collect()
}

#[test]
fn what_will_change_is_told_apart_from_what_others_changed() {
    let (v1, v2) = (deployment(1, "m:1"), deployment(1, "m:2"));
    let scaled = kept(deployment(5, "m:1"));
    let cases = [
        // Deployed, rendered, after, again: what changes, and what is said of the replicas.
        (&v1, kept(v2.clone()), vec!["-image: m:1", "+image: m:2"], "undoes it"),
        (&v1, kept(deployment(5, "m:2")), vec!["-image: m:1", "+image: m:2"], "leaves it so"),
        (
            &v1,
            kept(deployment(3, "m:2")),
            vec!["-replicas: 5", "+replicas: 3", "-image: m:1", "+image: m:2"],
            "makes it 3",
        ),
    ];
    for (deployed, after, lines, words) in cases {
        let live = there(scaled.clone(), after, Some(kept(v1.clone())));
        let found = Difference::of(&seen(Some(deployed.clone()), Some(v2.clone()), live));
        let mut told = changed(&found);
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        told.sort();
        lines.sort();
        assert_eq!(told, lines, "{words}");
        assert_eq!(found.changed_outside.len(), 1, "{found:?}");
        let outside = &found.changed_outside[0];
        let by = "spec.replicas is 5 (by kubectl-scale, 2024-06-11T12:00:00Z), deployed was 1; ";
        assert!(outside.starts_with(by) && outside.ends_with(words), "{outside}");
    }
    // Nobody changed anything, and nothing changes.
    let live = there(kept(v1.clone()), kept(v1.clone()), None);
    let found = Difference::of(&seen(Some(v1.clone()), Some(v1), live));
    assert_eq!(found, Difference::default());
}

#[test]
fn what_the_chart_sets_no_more_is_removed() {
    let mut old = deployment(1, "m:1");
    old["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    let mut new = old.clone();
    new["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{ "name": "A", "value": "1" }]);
    // To apply what is rendered leaves what somebody else owns.
    let live = there(kept(old.clone()), kept(old.clone()), None);
    let found = Difference::of(&seen(Some(old), Some(new), live));
    assert_eq!(changed(&found), ["-name: B", "-value: \"2\""], "{found:?}");
}

#[test]
fn objects_that_come_go_or_were_taken_are_told() {
    let v1 = || Some(deployment(1, "m:1"));
    let absent = || Live::Absent { refused: None };
    let of = |deployed, rendered, live| Difference::of(&seen(deployed, rendered, live));
    let new = of(None, v1(), absent());
    assert_eq!(new.will_change[0], "a new object");
    assert!(new.will_change.iter().any(|line| line.contains("+kind: Deployment")), "{new:?}");
    assert!(of(v1(), v1(), absent()).changed_outside[0].contains("was deleted"));
    let refused = Live::Absent { refused: Some("no room".into()) };
    assert_eq!(of(None, v1(), refused).will_change[1], "the cluster would refuse it now: no room");
    let now = || there(kept(deployment(1, "m:1")), kept(deployment(1, "m:1")), None);
    assert_eq!(of(v1(), None, now()).will_change, ["it goes away"]);
    assert!(of(v1(), None, absent()).will_change[0].contains("gone already"));
    let mut stays = deployment(1, "m:1");
    stays["metadata"]["annotations"] = json!({ "helm.sh/resource-policy": "keep" });
    assert!(of(Some(stays), None, now()).will_change[0].contains("it stays"));
    assert!(of(None, v1(), now()).will_change[0].contains("not the release's"));
}

#[test]
fn without_the_cluster_what_is_rendered_is_compared_with_what_was() {
    let unknown = || Live::Unknown("not allowed".into());
    let (v1, v2) = (deployment(1, "m:1"), deployment(1, "m:2"));
    let same = seen(Some(v1.clone()), Some(v1.clone()), unknown());
    let other = seen(Some(v1), Some(v2), unknown());
    let diffs = Report::of(&[same.clone(), other, same], "home").finish();
    let files: Vec<&str> = diffs.iter().map(|diff| diff.file.as_str()).collect();
    assert_eq!(files, ["Deployment/x, will change", "what lives in the cluster"]);
    assert!(diffs[0].diff.starts_with("not compared with what lives there: not allowed\n"));
    assert!(diffs[0].diff.contains("m:2"));
    assert_eq!(diffs[1].diff, "Deployment/x, Deployment/x not compared: not allowed");
}

fn secret(field: &str, password: &str) -> Value {
    let value = match field {
        "data" => STANDARD.encode(password),
        _ => password.to_owned(),
    };
    let note =
        json!({ "kubectl.kubernetes.io/last-applied-configuration": password, "mine": password });
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "x", "annotations": note, "labels": { "app": "x" } },
        "type": "Opaque", field: { "password": value, "same": "c2FtZQ==" }, "oops": password,
    })
}

/// Nothing of what is secret, plain or coded, is in it.
fn assert_untold(text: &str) {
    for secret in SECRETS {
        for coded in [secret.to_owned(), STANDARD.encode(secret)] {
            assert!(!text.contains(&coded), "{coded} in {text}");
        }
    }
}

#[test]
fn secrets_are_names_and_never_values() {
    let [old, new, by_hand] = SECRETS;
    let data = |password: &str| secret("data", password);
    let plain = |password: &str| secret("stringData", password);
    let lives = [
        there(data(old), data(new), None),
        there(data(by_hand), data(new), Some(data(old))),
        Live::Absent { refused: None },
        Live::Unknown("not allowed".into()),
    ];
    for (number, live) in lives.into_iter().enumerate() {
        for (deployed, rendered) in [
            (Some(plain(old)), Some(plain(new))),
            (Some(data(old)), Some(plain(new))),
            (None, Some(data(new))),
            (Some(data(old)), None),
        ] {
            let object = seen(deployed.clone(), rendered.clone(), live.clone());
            let object_is_plain = deployed == Some(plain(old));
            assert_untold(&format!("{object:?}"));
            let found = Difference::of(&object);
            assert_untold(&format!("{found:?}"));
            if deployed.is_none() || rendered.is_none() {
                continue;
            }
            assert!(format!("{:?}", found.will_change).contains("password"), "{number} {found:?}");
            let outside = format!("{:?}", found.changed_outside);
            assert_eq!(outside.contains("data.password was changed"), number == 1, "{outside}");
            let hook = Difference::of_hook(object.deployed, object.rendered);
            assert_untold(&format!("{hook:?}"));
            // Others, longer and shorter, look the same.
            let rendered = Some(plain("longer-than-all-of-them"));
            let other = seen(Some(plain("s")), rendered, live.clone());
            if number == 3 && object_is_plain {
                assert_eq!(Difference::of(&other), found);
            }
        }
    }
}

#[test]
fn a_new_key_is_told_from_a_changed_and_an_unchanged_one() {
    let of = |data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "x" }, "data": data });
    let old = of(json!({ "same": "YQ==", "changed": "YQ==", "gone": "YQ==" }));
    let new = of(json!({ "same": "YQ==", "changed": "Yg==", "new": "YQ==" }));
    let live = there(old.clone(), new.clone(), None);
    let found = Difference::of(&seen(Some(old), Some(new), live));
    let mut told = changed(&found);
    told.sort();
    assert_eq!(
        told,
        [
            "+changed: (not shown, another than before)",
            "+new: (not shown)",
            "-changed: (not shown)",
            "-gone: (not shown)",
        ]
    );
}

#[test]
fn sums_over_secrets_are_not_shown_either() {
    let of = |sum: &str| {
        let mut object = deployment(1, "m:1");
        let notes = json!({ "checksum/secret": sum, "mine": "shown" });
        object["spec"]["template"]["metadata"] = json!({ "annotations": notes });
        object
    };
    let (old, new) = (of("5e884898da28"), of("ef92b778bafe"));
    let lives = [
        there(old.clone(), new.clone(), None),
        there(of("0123456789ab"), new.clone(), Some(old.clone())),
        // Somebody removed all of it.
        there(deployment(1, "m:1"), new.clone(), Some(old.clone())),
        Live::Unknown(String::new()),
    ];
    for live in lives {
        let found = Difference::of(&seen(Some(old.clone()), Some(new.clone()), live));
        let told = format!("{found:?}");
        assert!(told.contains("checksum/secret"), "{told}");
        for sum in ["5e884898da28", "ef92b778bafe", "0123456789ab"] {
            assert!(!told.contains(sum), "{told}");
        }
    }
}

#[test]
fn what_a_webhook_says_is_told_unless_it_repeats_what_is_secret() {
    use deploy_core::backend::{BackendError, ErrorKind};
    let held_by = object(&secret("stringData", SECRETS[0]));
    let held = mask::held([(&held_by.key, &held_by.value)].into_iter());
    let key = |kind: &str| Key {
        kind: kind.into(),
        api_version: "v1".into(),
        name: "x".into(),
        namespace: "home".into(),
    };
    let says = |kind, words: &str, key: &Key| {
        told(&BackendError::new(kind, "apply").with_source(words.to_owned()), key, &held)
    };
    let pod = key("Pod");
    assert_eq!(says(ErrorKind::Rejected, "no latest tag", &pod), "no latest tag");
    for text in [SECRETS[0].to_owned(), STANDARD.encode(SECRETS[0])] {
        let words = format!("env PASSWORD={text} is too weak");
        assert_untold(&says(ErrorKind::Rejected, &words, &pod));
    }
    // Of a Secret it was given more than is known here.
    assert_untold(&says(ErrorKind::Rejected, SECRETS[2], &key("Secret")));
    assert_eq!(
        says(ErrorKind::Denied, "cannot patch secrets", &key("Secret")),
        "cannot patch secrets"
    );
    assert!(says(ErrorKind::Rejected, &"long ".repeat(1000), &pod).chars().count() < 310);
}

#[test]
fn what_the_server_adds_is_covered_and_what_it_writes_its_own_way_is_asked() {
    let deployed = deployment(1, "m:1");
    assert!(covers(&kept(deployed.clone()), &deployed));
    assert!(!covers(&kept(deployment(2, "m:1")), &deployed));
    let cpu = |cpu: &str| json!({ "limits": { "cpu": cpu } });
    assert!(!covers(&cpu("1"), &cpu("1000m")), "which the server then says is the same");
}

#[test]
fn what_is_too_much_is_cut_and_named() {
    let data = |seed: u32| {
        let lines: Vec<String> = (0..200).map(|n| format!("{:0>250}", n * seed)).collect();
        let name = format!("map-{seed}");
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
            "data": { "text": lines.join("\n") },
        })
    };
    let seen: Vec<Seen> =
        (1..20).map(|n| seen(None, Some(data(n)), Live::Absent { refused: None })).collect();
    let diffs = Report::of(&seen, "home").finish();
    let size: usize = diffs.iter().map(|diff: &FileDiff| diff.diff.len()).sum();
    assert!(size < 70_000, "{size}");
    let last = diffs.last().unwrap();
    assert!(last.diff.starts_with("too much to be shown: ConfigMap/map-"), "{last:?}");
    assert!(diffs[0].diff.contains("more lines"), "{}", diffs[0].diff);
}
