//! Who may not, and which cluster it is.

use serde_json::json;
use xtask::PodLook;

use super::{
    helm,
    running::until,
    stage::{APP, Stage, identity},
};

const FOR_WORKLOADS: &str = include_str!("../../../docs/kubernetes-rights.yaml");
const FOR_HELM: &str = include_str!("../../../docs/kubernetes-rights-helm.yaml");
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const GROUPS: &str = r#"
[workload]
name = "deployment/mathoid"
[[group]]
name = "production"
clusters = ["eqiad", "codfw"]
[[check]]
name = "rollout"
rollout = true
timeout = "60s"
interval = "500ms"
"#;

/// Makes what the manifest `text` says, but for the kinds of `without`.
fn grant(stage: &Stage, cluster: &str, text: &str, without: &[&str]) {
    for document in text.split("\n---\n") {
        let kind = document.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap();
        let path = match kind {
            _ if without.contains(&kind) => continue,
            "Role" => format!("{RBAC}/namespaces/{APP}/roles"),
            "RoleBinding" => format!("{RBAC}/namespaces/{APP}/rolebindings"),
            "ClusterRole" => format!("{RBAC}/clusterroles"),
            _ => format!("{RBAC}/clusterrolebindings"),
        };
        stage.cluster(cluster).create_yaml(&path, document).unwrap();
    }
}

/// From now on the cluster is reached as the user `deployer`, by a token.
fn become_deployer(stage: &Stage, cluster: &str) {
    let kube = stage.cluster(cluster);
    kube.add_token("token-of-the-deployer", "deployer").unwrap();
    kube.kill_api();
    kube.start_api().unwrap();
    let file = stage.root().join(format!("kubeconfig-{cluster}"));
    kube.write_kubeconfig(&file, "token-of-the-deployer").unwrap();
    let (admin, file) = (kube.kubeconfig().display().to_string(), file.display().to_string());
    stage.reconfigure(&admin, &file);
}

/// Sets the verbs that the Role `role` gives on `resource`, and waits until that counts.
fn allow(stage: &Stage, cluster: &str, (role, resource): (&str, &str), verbs: &[&str]) {
    let kube = stage.cluster(cluster);
    let path = format!("{RBAC}/namespaces/{APP}/roles/{role}");
    let mut rules = kube.get(&path).unwrap()["rules"].clone();
    let mut group = String::new();
    for rule in rules.as_array_mut().unwrap() {
        if rule["resources"].as_array().unwrap().contains(&json!(resource)) {
            rule["verbs"] = json!(verbs);
            group = rule["apiGroups"][0].as_str().unwrap().to_owned();
        }
    }
    kube.patch(&path, &json!({ "rules": rules })).unwrap();
    for verb in ["get", "create", "update", "patch"] {
        let asked = json!({ "spec": { "user": "deployer", "resourceAttributes": {
            "namespace": APP, "verb": verb, "group": group, "resource": resource,
        }}});
        let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        until(verb, || {
            let told = kube.create(reviews, &asked).unwrap();
            told["status"]["allowed"] == verbs.contains(&verb)
        });
    }
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn whoever_may_not_is_told_what_and_nothing_is_touched() {
    let stage = Stage::new("cli-may", &["eqiad", "codfw"]);
    stage.deployments(1);
    stage.configure(GROUPS);
    for tag in ["v1.0.0", "v1.1.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);
    grant(&stage, "codfw", FOR_WORKLOADS, &[]);
    become_deployer(&stage, "codfw");
    let refused = || {
        let ran = stage.deploy("v1.1.0").exits(1);
        stage.all_run("v1.0.0");
        ran
    };

    for (resource, verbs, missing) in [
        ("deployments", &["get"][..], "cannot patch resource \"deployments\""),
        ("deployments", &["patch"], "cannot get resource \"deployments\""),
        ("configmaps", &["get", "create"], "cannot update resource \"configmaps\""),
        ("leases", &["create", "update"], "cannot get resource \"leases\""),
    ] {
        let role = ("deploy", resource);
        let path = format!("{RBAC}/namespaces/{APP}/roles/deploy");
        let all = stage.cluster("codfw").get(&path).unwrap()["rules"].clone();
        allow(&stage, "codfw", role, verbs);
        let ran = refused().says(missing).says("docs/kubernetes-rights.yaml");
        ran.says("User \"deployer\"").says("in the namespace \"mathoid\"");
        let before = all.as_array().unwrap().iter();
        let before = before.filter(|rule| rule["resources"].to_string().contains(resource));
        let verbs: Vec<String> = before
            .flat_map(|rule| rule["verbs"].as_array().unwrap())
            .map(|verb| verb.as_str().unwrap().to_owned())
            .collect();
        let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
        allow(&stage, "codfw", role, &verbs);
    }

    // A token that has expired, or was never one.
    let known = stage.root().join("kubeconfig-codfw");
    stage.cluster("codfw").write_kubeconfig(&known, "expired").unwrap();
    refused().says("Unauthorized").says("may have expired: renew them");
    stage.deploy_cli(&["status"]).exits(6).says("Unauthorized").never_says("expired\n");
    stage.cluster("codfw").write_kubeconfig(&known, "token-of-the-deployer").unwrap();

    // A context that leads to the other cluster.
    let [eqiad, codfw] = ["eqiad", "codfw"].map(|name| identity(stage.cluster(name)));
    stage.reconfigure(&codfw, "uid:00000000-0000-0000-0000-000000000000");
    let told = "and the target is uid:00000000-0000-0000-0000-000000000000";
    let ran = refused().says(&format!("leads to {codfw}")).says(told);
    ran.says("the target is uid:00000000-0000-0000-0000-000000000000").says("correct the context");
    stage.reconfigure("uid:00000000-0000-0000-0000-000000000000", &eqiad);
    // Two names for one cluster are told before anybody is asked.
    refused().says("is the same place as [cluster.");
    let section = format!("identity = \"{eqiad}\"\n\n[workload]");
    stage.reconfigure(&section, &section.replace(&eqiad, &codfw));

    stage.deploy("v1.1.0").exits(0);
    stage.all_run("v1.1.0");
}

#[test]
#[ignore = "needs a control plane (cargo xtask kube build)"]
fn a_chart_is_deployed_with_exactly_the_documented_rights() {
    let stage = Stage::new("cli-rights", &["eqiad"]);
    helm::write_chart(&stage);
    let groups = GROUPS.replace(", \"codfw\"", "");
    let section = "[helm]\nchart = \"chart\"\ntag = \"main_app.version\"\n\
                   values = [\"values-{{ cluster }}.yaml\"]\n";
    stage.configure(&groups.replace("[workload]\nname = \"deployment/mathoid\"\n", section));
    grant(&stage, "eqiad", FOR_HELM, &[]);
    grant(&stage, "eqiad", FOR_WORKLOADS, &["Role", "RoleBinding"]);
    become_deployer(&stage, "eqiad");
    for tag in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        stage.push(tag);
    }
    stage.deploy("v1.0.0").exits(0);
    let plan = stage.deploy_cli(&["plan", "v1.1.0"]).exits(0);
    plan.says("will change").never_says("forbidden");
    stage.deploy("v1.1.0").exits(0).never_says("forbidden");
    stage.deploy_cli(&["status"]).exits(0).says("v1.1.0");
    stage.deploy_cli(&["doctor"]).exits(0).never_says("forbidden");
    stage.deploy_cli(&["service", "restart", "--yes"]).exits(0);
    stage.kubelet.show(":v1.2.0", PodLook::Crashing);
    stage.deploy("v1.2.0").exits(3).says("main has crashed 3 times");
    stage.all_run("v1.1.0");
    stage.deploy_cli(&["rollback", "--yes"]).exits(0);
    stage.all_run("v1.0.0");

    allow(&stage, "eqiad", ("deploy-helm", "deployments"), &["get", "create", "delete"]);
    let ran = stage.deploy("v1.1.0").says("cannot patch resource \"deployments\"");
    ran.says("User \"deployer\"").never_says("unknown");
    stage.all_run("v1.0.0");
    allow(&stage, "eqiad", ("deploy-helm", "secrets"), &["get"]);
    let ran = stage.deploy("v1.1.0").exits(1);
    ran.says("cannot list resource \"secrets\"").says("kubernetes-rights");
    stage.all_run("v1.0.0");
}
