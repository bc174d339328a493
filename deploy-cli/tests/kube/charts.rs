//! Charts that do not render, places that are not there, and values that cannot be written.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    helm,
    stage::{APP, Stage},
};

const CHART: &str = r#"
[helm]
chart = "chart"
tag = "main_app.version"
values = ["values-{{ cluster }}.yaml"]
[[group]]
name = "production"
clusters = ["eqiad"]
[[check]]
name = "rollout"
rollout = true
timeout = "60s"
interval = "500ms"
"#;
const VALUES: &str = "[values]\nbranch = \"main\"\nfile = \"values-{{ target }}.yaml\"\n";

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn what_does_not_render_and_where_no_namespace_is_nothing_is_made() {
    let stage = Stage::new("cli-chart", &["eqiad"]);
    helm::write_chart(&stage);
    stage.configure(CHART);
    for tag in ["v1.0.0", "v1.1.0"] {
        stage.push(tag);
    }

    // The first deploy, into a namespace that nobody has made.
    stage.reconfigure("[helm]\n", "[helm]\nnamespace = \"mathoid-next\"\n");
    let ran = stage.deploy("v1.0.0").exits(1).says("namespaces \"mathoid-next\" not found");
    ran.says("make it first: kubectl create namespace mathoid-next");
    let namespace = serde_json::json!({ "metadata": { "name": "mathoid-next" } });
    stage.cluster("eqiad").create("/api/v1/namespaces", &namespace).unwrap();
    stage.deploy("v1.0.0").exits(0);
    stage.reconfigure("namespace = \"mathoid-next\"\n", "");

    // No release yet: the first deploy makes it.
    stage.deploy_cli(&["status"]).exits(0).says("nothing");
    stage.deploy_cli(&["plan", "v1.0.0"]).exits(0).says("first deploy");
    stage.deploy("v1.0.0").exits(0);

    let template = stage.repository().join("chart/templates/all.yaml");
    let good = fs::read_to_string(&template).unwrap();
    let revisions = || {
        let path = format!("/api/v1/namespaces/{APP}/secrets?labelSelector=owner%3Dhelm");
        stage.cluster("eqiad").get(&path).unwrap()["items"].as_array().unwrap().len()
    };
    for (from, to, told) in [
        ("required", "requird", "function \"requird\" not defined"),
        ("replicas: {{ .Values.replicas }}", "replicas: many", "replicas"),
        ("{{ .Values.replicas }}", "{{ required \"how many\" .Values.copies }}", "how many"),
    ] {
        fs::write(&template, good.replace(from, to)).unwrap();
        stage.deploy("v1.1.0").exits(1).says(told);
        stage.all_run("v1.0.0");
        assert_eq!(revisions(), 1, "nothing was begun");
    }
    fs::write(&template, good).unwrap();
    stage.deploy("v1.1.0").exits(0);
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn values_that_cannot_be_written_are_refused_and_races_end() {
    let stage = Stage::new("cli-race", &["eqiad"]);
    helm::write_chart(&stage);
    stage.configure(&format!("{VALUES}{CHART}"));
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        stage.push(tag);
    }
    let file = stage.repository().join("values-eqiad.yaml");
    let good = fs::read_to_string(&file).unwrap();
    let commit = |text: &str| {
        fs::write(&file, text).unwrap();
        stage.run("git", &["add", "-A"], &stage.repository());
        stage.run("git", &["commit", "-q", "-m", "values"], &stage.repository());
        stage.run("git", &["push", "-q", "-f", "origin", "HEAD:main"], &stage.repository());
    };
    let remote = stage.root().join("origin.git");
    let named = || stage.run("git", &["show", "main:values-eqiad.yaml"], &remote);
    commit(&good.replace("  version: v0\n", ""));
    stage.deploy("v1.0.0").exits(1).says("values-eqiad.yaml").says("has no key `main_app.version`");
    commit(&format!("{good}  version: v00\n"));
    let ran = stage.deploy("v1.0.0").exits(1).says("values-eqiad.yaml");
    ran.says("`main_app.version`").says("lines 3 and 4");
    assert!(named().ends_with("version: v00"), "it is as it was");
    commit(&good);
    stage.deploy("v1.0.0").exits(0);

    // Somebody else's push comes first: once, then always.
    let other = stage.root().join("other");
    stage.run("git", &["clone", "-q", "origin.git", "other"], &stage.root());
    let race = |unless: &str| {
        let text = format!(
            "#!/bin/sh\nexec >&2; set -e\n[ -z \"$RACING\" ] || exit 0; export RACING=1\n{unless}\n\
             unset GIT_DIR GIT_QUARANTINE_PATH; cd {}\ngit pull -q --rebase origin main\n\
             date +%s%N >>log; git add -A; git commit -q -m other; git push -q origin HEAD:main\n",
            other.display()
        );
        let hook = remote.join("hooks/pre-receive");
        fs::write(&hook, text).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let raced = stage.root().join("raced");
    race(&format!("[ ! -e {0} ] || exit 0; : >{0}", raced.display()));
    stage.deploy("v1.1.0").exits(0);
    stage.all_run("v1.1.0");
    assert!(named().ends_with("version: v1.1.0") && raced.exists());
    race("");
    let ran = stage.deploy("v1.2.0").exits(1).says("nothing was touched");
    ran.says("others have pushed at the same time, twice").says("hint: deploy again");
    stage.all_run("v1.1.0");
    assert!(named().ends_with("version: v1.1.0"), "{}", named());
    race("exit 0");
    stage.deploy("v1.2.0").exits(0);
    assert!(named().ends_with("version: v1.2.0"), "{}", named());
}
