//! A cluster with workloads in it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use deploy_core::{
    backend::{Cancel, Discard, Scope},
    model::{Release, Target, Version, VersionId},
    plan::Stage,
    record::RunId,
};
use deploy_k8s::{Cluster, ClusterOptions, Identity, LeaseTerms, WorkloadPlace};
use serde_json::{Value, json};
use tokio::time::Instant;
use xtask::Kube;

pub const NAMESPACE: &str = "mathoid";
pub const IMAGE: &str = "registry.example/mathoid";
/// The process whose leases nobody stands behind.
pub const DEAD: &str = "a process that is proven dead";

pub struct Scene {
    pub kube: Kube,
    pub cluster: Cluster,
}

impl Scene {
    pub fn new(name: &str) -> Self {
        let kube = Kube::up(name).unwrap();
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        kube.create("/api/v1/namespaces", &namespace).unwrap();
        let cluster = Cluster::new(options(&kube, name, identity(&kube)));
        Self { kube, cluster }
    }

    /// Makes a Deployment whose only container has this image.
    pub fn deployment(&self, name: &str, image: &str, replicas: u32) {
        let labels = json!({ "app": name });
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "main", "image": image }] },
                },
            },
        });
        self.kube
            .create(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments"), &object)
            .unwrap();
    }

    /// Makes a StatefulSet likewise, and says where it is.
    pub fn stateful(&self, name: &str, image: &str, replicas: u32) -> WorkloadPlace {
        let labels = json!({ "app": name });
        let object = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas, "serviceName": name,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "main", "image": image }] },
                },
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets");
        self.kube.create(&path, &object).unwrap();
        let workload = format!("statefulset/{name}").parse().unwrap();
        WorkloadPlace { workload, ..self.place(name) }
    }

    pub fn workload(&self, name: &str) -> Value {
        self.kube.get(&format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}")).unwrap()
    }

    pub fn image(&self, name: &str) -> String {
        let workload = self.workload(name);
        let image = workload.pointer("/spec/template/spec/containers/0/image").unwrap();
        image.as_str().unwrap().to_owned()
    }

    /// Whether a release is remembered on the target of this name.
    pub fn remembers(&self, target: &Target, release: &Release) -> bool {
        let list = self.kube.get(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps")).unwrap();
        let begins = [
            format!("deploy-mathoid-deployment-{target}-main-"),
            format!("deploy-mathoid-helm-{target}-"),
        ];
        // What is left of the name is a mark of eight digits.
        let has =
            |name: &str, begin: &str| name.strip_prefix(begin).is_some_and(|mark| mark.len() == 8);
        let is_of = |name: &str| begins.iter().any(|begin| has(name, begin));
        let mut maps = list["items"].as_array().unwrap().iter();
        let map = maps.find(|map| is_of(map["metadata"]["name"].as_str().unwrap())).unwrap();
        map["data"]["record.json"].as_str().unwrap().contains(release.id.as_str())
    }

    pub fn place(&self, name: &str) -> WorkloadPlace {
        WorkloadPlace {
            cluster: self.cluster.clone(),
            namespace: NAMESPACE.into(),
            workload: format!("deployment/{name}").parse().unwrap(),
            container: "main".into(),
        }
    }

    pub fn places(&self, names: &[&str]) -> BTreeMap<Target, WorkloadPlace> {
        names.iter().map(|name| (target(name), self.place(name))).collect()
    }
}

pub fn target(name: &str) -> Target {
    name.parse().unwrap()
}

pub fn terms(process: &str) -> LeaseTerms {
    LeaseTerms {
        duration: Duration::from_secs(20),
        process: process.to_owned(),
        is_dead: Arc::new(|process| process == DEAD),
    }
}

pub fn options(kube: &Kube, name: &str, identity: Identity) -> ClusterOptions {
    ClusterOptions {
        name: name.to_owned(),
        kubeconfig: Some(kube.kubeconfig()),
        context: name.to_owned(),
        identity,
    }
}

pub fn identity(kube: &Kube) -> Identity {
    let system = kube.get("/api/v1/namespaces/kube-system").unwrap();
    Identity::Uid(system["metadata"]["uid"].as_str().unwrap().to_owned())
}

/// The version `n`: a digest that no registry was asked for.
pub fn version(n: u8) -> Version {
    let digest = format!("sha256:{}", format!("{n:02x}").repeat(32));
    Version { id: VersionId::new(digest).unwrap(), name: Some(format!("v{n}")) }
}

pub fn scope(run: &str) -> Scope {
    Scope {
        run: RunId::new(run).unwrap(),
        who: "ann".into(),
        stage: Stage::Promote,
        attempt: 1,
        rolling_back: false,
        deadline: Instant::now() + Duration::from_secs(20),
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}
