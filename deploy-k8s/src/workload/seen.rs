//! What was seen of a workload.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use super::BY;

/// What was seen of a workload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// The image of the container.
    pub image: String,
    /// The version of the object.
    pub version: Option<String>,
    /// Who set the image, where it was one of us.
    pub by: Option<String>,
    /// Whether all of its pods are of its newest template, and up.
    pub is_up: bool,
    /// Since when the object is there.
    pub since: Timestamp,
    /// What keeps it from being rolled out at all, and the cure.
    pub obstacle: Option<&'static str>,
}

impl Seen {
    /// What `object` says of its container `container`; `None` when it has no such container.
    pub(super) fn of(object: &DynamicObject, container: &str) -> Option<Self> {
        let containers = object.data.pointer("/spec/template/spec/containers")?.as_array()?;
        let container = containers.iter().find(|it| it["name"] == container)?;
        let notes = object.metadata.annotations.as_ref();
        Some(Self {
            image: container["image"].as_str()?.to_owned(),
            version: object.metadata.resource_version.clone(),
            by: notes.and_then(|notes| notes.get(BY)).cloned(),
            is_up: is_up(object),
            obstacle: obstacle(&object.data["spec"]),
            since: object
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        })
    }
}

fn obstacle(spec: &Value) -> Option<&'static str> {
    let strategy = &spec["updateStrategy"];
    if spec["paused"] == true {
        return Some("it is paused: `kubectl rollout resume` lets it go on");
    }
    if strategy["type"] == "OnDelete" {
        return Some(
            "its update strategy is OnDelete: a new version would wait for its pods to be deleted",
        );
    }
    let partition = strategy["rollingUpdate"]["partition"].as_i64().unwrap_or_default();
    (partition > 0).then_some("its partition keeps pods at the old version: set it to 0")
}

fn is_up(object: &DynamicObject) -> bool {
    let (spec, status) = (&object.data["spec"], &object.data["status"]);
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    // A DaemonSet counts its own way.
    let (wanted, updated, ready) = if status.get("desiredNumberScheduled").is_some() {
        let keys = ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"];
        let [wanted, updated, ready] = keys.map(|key| number(&status[key]));
        (wanted, updated, ready)
    } else {
        let wanted = spec["replicas"].as_i64().unwrap_or(1);
        (wanted, number(&status["updatedReplicas"]), number(&status["readyReplicas"]))
    };
    let seen = number(&status["observedGeneration"]);
    let is_seen = object.metadata.generation.is_none_or(|generation| seen >= generation);
    is_seen && wanted > 0 && updated >= wanted && ready >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(status: Value) -> DynamicObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "x", "generation": 2, "resourceVersion": "7" },
            "spec": { "replicas": 2, "template": { "spec": {
                "containers": [{ "name": "side", "image": "s" }, { "name": "main", "image": "m:1" }],
            }}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_workload_is_up_when_all_pods_are_new_and_ready() {
        let up = |status| Seen::of(&object(status), "main").unwrap().is_up;
        let status = |seen, updated, ready| {
            serde_json::json!({
                "observedGeneration": seen, "updatedReplicas": updated, "readyReplicas": ready
            })
        };
        assert!(up(status(2, 2, 2)));
        assert!(!up(status(1, 2, 2)), "not seen by its controller yet");
        assert!(!up(status(2, 1, 2)) && !up(status(2, 2, 1)) && !up(serde_json::json!({})));
        let daemons = |wanted| {
            serde_json::json!({
                "observedGeneration": 2, "desiredNumberScheduled": wanted,
                "updatedNumberScheduled": 3, "numberAvailable": 3
            })
        };
        assert!(up(daemons(3)) && !up(daemons(4)));
        assert_eq!(Seen::of(&object(status(2, 2, 2)), "other"), None);
    }

    #[test]
    fn what_is_never_rolled_out_is_told() {
        let told = |spec: Value| obstacle(&spec).unwrap_or_default();
        assert!(told(serde_json::json!({ "paused": true })).contains("resume"));
        let strategy = |value: Value| told(serde_json::json!({ "updateStrategy": value }));
        assert!(strategy(serde_json::json!({ "type": "OnDelete" })).contains("OnDelete"));
        let partition = |n: i64| serde_json::json!({ "rollingUpdate": { "partition": n } });
        assert!(strategy(partition(1)).contains("partition"));
        assert_eq!(strategy(partition(0)), "");
    }
}
