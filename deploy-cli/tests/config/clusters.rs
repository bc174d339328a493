//! Clusters in a configuration.

use super::{load_text, refused};

/// One of clusters that is right.
const CLUSTERS: &str = r#"app = "mathoid"
[version]
scheme = "timestamp"
suffix = "-production"
[image]
name = "registry.example/mathoid"
[helm]
chart = "chart"
tag = "main_app.version"
[cluster.staging]
context = "staging"
identity = "uid:0b9b9a4e-93a5-4a2b-8d2a-0c0c4a1f6a01"
[cluster.eqiad]
context = "eqiad"
identity = "uid:5f0cbb0e-0d38-4c8e-a6a7-6a51b1b3a3f2"
[[group]]
name = "staging"
clusters = ["staging"]
[[group]]
name = "production"
clusters = ["eqiad"]
"#;

#[test]
fn clusters_are_read_and_what_is_wrong_with_them_is_told() {
    let loaded = load_text(CLUSTERS, None).unwrap();
    assert_eq!(loaded.config.cluster.len(), 2);
    let check =
        |text: &str| format!("[[check]]\nname = \"c\"\n{text}\n[[group]]\nname = \"staging\"");
    let group = "[[group]]\nname = \"staging\"";
    let mut all = String::new();
    for (from, to) in [
        ("clusters = [\"eqiad\"]", "clusters = [\"eqaid\"]".to_owned()),
        ("clusters = [\"eqiad\"]", "clusters = [\"eqiad\"]\nhosts = [\"h1\"]".to_owned()),
        ("clusters = [\"eqiad\"]", "hosts = [\"h1\"]".to_owned()),
        ("clusters = [\"eqiad\"]", "clusters = [\"eqiad\", \"eqiad\"]".to_owned()),
        ("context = \"eqiad\"", "context = \"\"".to_owned()),
        ("context = \"eqiad\"\n", String::new()),
        ("uid:5f0cbb0e-0d38-4c8e-a6a7-6a51b1b3a3f2", "eqiad".to_owned()),
        (
            "uid:5f0cbb0e-0d38-4c8e-a6a7-6a51b1b3a3f2",
            "uid:0b9b9a4e-93a5-4a2b-8d2a-0c0c4a1f6a01".to_owned(),
        ),
        ("[image]\nname = \"registry.example/mathoid\"\n", String::new()),
        ("registry.example/mathoid", "registry.example/mathoid:v1".to_owned()),
        ("[helm]\nchart = \"chart\"\ntag = \"main_app.version\"\n", String::new()),
        ("chart = \"chart\"", "helmfile = \"helmfile.yaml\"\nchart = \"chart\"".to_owned()),
        ("chart = \"chart\"\n", String::new()),
        ("main_app.version", "main_app.".to_owned()),
        ("[helm]", "[workload]\nname = \"deployment/x\"\n[helm]".to_owned()),
        ("suffix", "suffx".to_owned()),
        (group, "[lock]\ncluster = \"codfw\"\n".to_owned() + group),
        (group, "[lock]\nlease = \"5s\"\n".to_owned() + group),
        (
            group,
            "[values]\nbranch = \"main\"\nfile = \"f\"\nreview = \"main\"\n".to_owned() + group,
        ),
        (group, check("port = 80")),
        (group, check("http = \"http://localhost/\"\nfrom = \"host\"")),
        (group, check("rollout = false")),
        (group, check("rollout = true\nstage = \"promote\"")),
        (group, check("prometheus = \"http://p\"\nquery = \"up\"")),
        (group, check("prometheus = \"http://p\"\nquery = \"up\"\nthreshold = \"small\"")),
        (
            group,
            "[[step]]\nname = \"s\"\ncommand = \"c\"\nstage = \"after-check\"\n".to_owned() + group,
        ),
    ] {
        assert!(CLUSTERS.contains(from), "{from}");
        all.push_str(&refused(&CLUSTERS.replacen(from, &to, 1)));
        all.push('\n');
    }
    insta::assert_snapshot!(all, @r#"
deploy.toml:21: [[group]] #2 clusters #1: there is no [cluster.eqaid] | did you mean `eqiad`?
deploy.toml:21: [[group]] #2 clusters: a group has either hosts or clusters: make the clusters a group of their own
deploy.toml: the key `layout` is missing
deploy.toml:21: [[group]] #2 clusters #2: eqiad is named twice in group production
deploy.toml:14: cluster.eqiad.context: is empty: the current context is never used
deploy.toml:13: cluster.eqiad: the key `context` is missing
deploy.toml:15: cluster.eqiad.identity: is not `uid:` with the uid of the namespace kube-system, nor `ca:sha256:` with the fingerprint of the certificate authority
deploy.toml:13: cluster.eqiad: is the same place as [cluster.staging]: one cluster, namespace and release
deploy.toml: image: is missing: clusters run an image, `name` says which
deploy.toml:6: image.name: has a tag or a digest: the version is what a deploy chooses
deploy.toml: clusters need `[helm]` with a chart, or `[workload]` with what runs it
deploy.toml:8: helm.helmfile: give either `chart` or `helmfile`
deploy.toml:7: helm: needs `chart` or `helmfile`
deploy.toml:9: helm.tag: is no key of a value, such as `main_app.version`, `images[0].tag` or `"a.b".tag`
deploy.toml:7: workload: give either [helm] or [workload]
deploy.toml:4: version.suffx: unknown key | did you mean `suffix`?
deploy.toml:17: lock.cluster: there is no [cluster.codfw] | known here: eqiad, staging
deploy.toml:17: lock.lease: is too short: a slow answer would lose it; from 10s on
deploy.toml:19: values.review: is no ref, such as `refs/for/main`
deploy.toml:18: [[check]] #1 port: is asked of hosts, and there is no group of them
deploy.toml:19: [[check]] #1 from: a cluster is no host: it is asked from the deployer
deploy.toml:18: [[check]] #1 rollout: is always asked of clusters; this table says how: give `rollout = true`
deploy.toml:19: [[check]] #1 stage: a rollout is watched after the switch: it goes with "check" only
deploy.toml:18: [[check]] #1 prometheus: needs `threshold`
deploy.toml:20: [[check]] #1 threshold: "small" is no threshold: `<`, `<=`, `>`, `>=`, `==` or `!=`, and a number, such as `< 0.05`
deploy.toml:18: [[step]] #1 command: a step runs on hosts, and there is none here: in a cluster, a Job of the chart (a hook of helm) does it
"#);
}
