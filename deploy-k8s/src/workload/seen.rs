//! What was seen of a workload.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{BY, FIELD_MANAGER, IMAGE};

/// What was seen of a workload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// The image of the container.
    pub image: String,
    /// The version of the object.
    pub version: Option<String>,
    /// Who set the image: the deployer, where it was one of us, else the program.
    pub by: Option<String>,
    /// Whether all of its pods are of its newest template, and up.
    pub is_up: bool,
    /// Since when the object is there.
    pub since: Timestamp,
    /// What keeps it from being rolled out at all, and the cure.
    pub obstacle: Option<&'static str>,
    /// The other containers, those before the start included: name and image.
    pub others: Vec<(String, String)>,
}

impl Seen {
    /// What `object` says of its container `container`; `None` when it has no such container.
    pub(super) fn of(object: &DynamicObject, container: &str) -> Option<Self> {
        let containers = object.data.pointer("/spec/template/spec/containers")?.as_array()?;
        let container = containers.iter().find(|it| it["name"] == container)?;
        let image = container["image"].as_str()?;
        Some(Self {
            image: image.to_owned(),
            version: object.metadata.resource_version.clone(),
            by: by(object, container["name"].as_str()?, image),
            is_up: is_up(object),
            obstacle: obstacle(&object.data["spec"]),
            others: others(object, &container["name"]),
            since: object
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        })
    }
}

/// Who set `image`. What we have noted counts only for the image that we have set: others leave our
/// notes as they are.
fn by(object: &DynamicObject, container: &str, image: &str) -> Option<String> {
    let note = |key: &str| object.metadata.annotations.as_ref()?.get(key);
    if note(IMAGE).is_some_and(|ours| ours == image) {
        return note(BY).cloned();
    }
    let key = format!("k:{}", json!({ "name": container }));
    let path = ["f:spec", "f:template", "f:spec", "f:containers", &key, "f:image"];
    let has_set = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        path.iter().try_fold(fields?, |fields, part| fields.get(part)).map(drop)
    };
    let entries = object.metadata.managed_fields.iter().flatten();
    let setters = entries.filter(|entry| has_set(entry).is_some());
    let last = setters.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?;
    last.manager.clone().filter(|manager| manager != FIELD_MANAGER)
}

fn others(object: &DynamicObject, ours: &Value) -> Vec<(String, String)> {
    let pod = &object.data["spec"]["template"]["spec"];
    let all = ["initContainers", "containers"].into_iter().filter_map(|kind| pod[kind].as_array());
    let others = all.flatten().filter(|container| container["name"] != *ours);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    others.filter_map(|it| Some((text(&it["name"])?, text(&it["image"])?))).collect()
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
        let seen = Seen::of(&object(status(2, 2, 2)), "main").unwrap();
        assert_eq!(seen.others, [("side".to_owned(), "s".to_owned())]);
        assert_eq!(Seen::of(&object(status(2, 2, 2)), "other"), None);
    }

    #[test]
    fn who_set_an_image_is_who_set_this_one() {
        let mut object = object(serde_json::json!({}));
        let by = |object: &DynamicObject| Seen::of(object, "main").unwrap().by;
        assert_eq!(by(&object), None);
        let note = |object: &mut DynamicObject, image: &str| {
            let notes = [(BY.to_owned(), "ann".to_owned()), (IMAGE.to_owned(), image.to_owned())];
            object.metadata.annotations = Some(notes.into());
        };
        note(&mut object, "m:1");
        assert_eq!(by(&object).as_deref(), Some("ann"));
        note(&mut object, "m:0");
        assert_eq!(by(&object), None, "that was another image");
        let managed = |manager: &str, minute: u32, container: &str| {
            let image = serde_json::json!({ "f:image": {} });
            let containers =
                serde_json::json!({ format!("k:{{\"name\":\"{container}\"}}"): image });
            serde_json::json!({
                "manager": manager, "operation": "Update", "apiVersion": "apps/v1",
                "time": format!("2024-06-10T12:{minute:02}:00Z"), "fieldsType": "FieldsV1",
                "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:containers": containers } } } },
            })
        };
        let fields = serde_json::json!([
            managed("helm", 1, "main"),
            managed("kubectl-client-side-apply", 2, "main"),
            managed("kubectl-edit", 3, "side"),
        ]);
        object.metadata.managed_fields = serde_json::from_value(fields).unwrap();
        assert_eq!(by(&object).as_deref(), Some("kubectl-client-side-apply"));
        note(&mut object, "m:1");
        assert_eq!(by(&object).as_deref(), Some("ann"));
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
