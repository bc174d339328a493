//! What an API server adds to objects, and nobody deploys.

use serde_json::Value;

/// What the API server keeps in the metadata of each object.
const METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// What controllers and tools note for themselves, or for us.
const ANNOTATIONS: &[&str] = &[
    "deploy/by",
    "deploy/image",
    "deploy/run",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
];

/// `object` without it.
pub(super) fn stripped(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return object;
    };
    METADATA.iter().for_each(|name| drop(metadata.remove(*name)));
    if let Some(notes) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        ANNOTATIONS.iter().for_each(|name| drop(notes.remove(*name)));
        if notes.is_empty() {
            metadata.remove("annotations");
        }
    }
    // Made by the API server where a template has none.
    let template = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut);
    if let Some(template) = template
        && template.get("creationTimestamp").is_some_and(Value::is_null)
    {
        template.remove("creationTimestamp");
    }
    object
}

/// `object` as it is applied: a field that is null is one that is not there.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_and_controllers_note_is_no_change() {
        let object = json!({
            "metadata": {
                "name": "x", "uid": "1", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2024-01-01T00:00:00Z", "managedFields": [{}],
                "annotations": { "deployment.kubernetes.io/revision": "3", "deploy/run": "r1" },
            },
            "spec": { "template": { "metadata": { "creationTimestamp": null, "labels": {"a": "b"} } } },
            "status": { "replicas": 1 },
        });
        let stripped = stripped(object);
        assert_eq!(
            stripped,
            json!({
                "metadata": { "name": "x" },
                "spec": { "template": { "metadata": { "labels": {"a": "b"} } } },
            })
        );
        let notes = json!({ "metadata": { "annotations": { "mine": "1", "deploy/by": "ann" } } });
        let left = super::stripped(notes);
        assert_eq!(left, json!({ "metadata": { "annotations": { "mine": "1" } } }));
    }

    #[test]
    fn a_null_field_is_none() {
        let value = without_nulls(json!({ "a": null, "b": [{ "c": null, "d": 1 }], "e": false }));
        assert_eq!(value, json!({ "b": [{ "d": 1 }], "e": false }));
    }
}
