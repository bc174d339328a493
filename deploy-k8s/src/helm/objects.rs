//! The objects of a release that run something.

use crate::{
    manifest::{self, Key, ManifestError},
    place::{WorkloadName, is_object_name},
};

/// An object of a release that runs something.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    pub namespace: String,
    pub what: What,
}

/// What it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// It is rolled out by its controller.
    Workload(WorkloadName),
    /// It runs once.
    Job(String),
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Workload(name) => name.fmt(f),
            What::Job(name) => write!(f, "job/{name}"),
        }
    }
}

/// Those of `manifest` (YAML documents), in its order; in `namespace`, unless they say otherwise.
///
/// # Errors
/// When it cannot be read. What it says is not told: it may hold secrets.
pub(super) fn of(manifest: &str, namespace: &str) -> Result<Vec<Object>, ManifestError> {
    let object = |it: manifest::Object| {
        let Key { kind, name, namespace, .. } = it.key;
        let what = match kind.as_str() {
            "Job" if is_object_name(&name) => What::Job(name),
            "Deployment" | "StatefulSet" | "DaemonSet" => {
                What::Workload(format!("{}/{name}", kind.to_ascii_lowercase()).parse().ok()?)
            }
            _ => return None,
        };
        Some(Object { namespace, what })
    };
    Ok(manifest::objects(manifest, namespace)?.into_iter().filter_map(object).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_something_is_found_among_the_rest() {
        let manifest = "\
---
# Source: mathoid/templates/service.yaml
apiVersion: v1
kind: Service
metadata: {name: mathoid}
---
# nothing
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: mathoid
  labels: {a: b}
spec: {replicas: 1, template: {spec: {containers: [{name: main, image: \"a:1\"}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: other}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: Not-A-Name}
";
        let found = of(manifest, "here").unwrap();
        let told: Vec<_> = found.iter().map(|it| format!("{} {it}", it.namespace)).collect();
        assert_eq!(told, ["here deployment/mathoid", "other job/migrate"]);
        assert_eq!(of("", "here"), Ok(Vec::new()));
        let broken = of("kind: [Secret\npassword: hunter2", "here");
        assert!(!broken.unwrap_err().to_string().contains("hunter2"));
    }
}
