//! Pods that keep a StatefulSet from being rolled out again.
//!
//! Where its pods are managed in order, its controller waits for each pod to be ready, also for one
//! whose template was given up: one that never becomes ready stays for ever, whatever the template
//! says by now (in Kubernetes' own documentation: "forced rollback").

use std::time::Duration;

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Preconditions},
    core::DynamicObject,
};
use serde_json::Value;

use super::Asked;
use crate::{
    failure::{self, Effect},
    place::WorkloadKind,
    rollout::selector,
};

/// How often it is looked whether the controller has seen a change.
const LOOK: Duration = Duration::from_millis(200);
/// How many pods are looked at; one would be enough, since they are made in order.
const PODS: u32 = 500;

/// Deletes the pods that block the rollout of a StatefulSet. Does nothing for other kinds. Waits until its
/// controller has seen what was set: it would make the same pods again.
///
/// # Errors
/// `Broken` when a pod may not be deleted: then the image is set and does not get on.
pub(super) async fn free(
    asked: &Asked<'_>,
    scope: &Scope,
    attempted: &str,
) -> Result<(), BackendError> {
    if asked.place.workload.kind != WorkloadKind::StatefulSet {
        return Ok(());
    }
    let Some(object) = observed(asked, scope, attempted).await? else { return Ok(()) };
    let client = asked.place.cluster.client(scope).await?;
    let pods: Api<Pod> = Api::namespaced(client, &asked.place.namespace);
    let labels = selector(&object.data["spec"]["selector"]);
    let params = ListParams::default().labels(&labels).limit(PODS);
    let listing = pods.list(&params);
    let list = failure::within(listing, Effect::Asks, scope, attempted).await?;
    for pod in list.items.iter().filter(|pod| blocks(&object, pod)) {
        let Some(name) = &pod.metadata.name else { continue };
        let only_this = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        let deleting = pods.delete(name, &params);
        match failure::within(deleting, Effect::Changes, scope, attempted).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {}
            Err(error) if error.kind() == ErrorKind::Denied => {
                let namespace = &asked.place.namespace;
                return Err(BackendError::new(ErrorKind::Broken, attempted)
                    .with_source(format!(
                        "the image is set, and the pod {name} of a version that was given up is in \
                         its way: {}",
                        error.cause()
                    ))
                    .with_hint(format!(
                        "`kubectl -n {namespace} delete pod {name}`; docs/kubernetes-rights.yaml has \
                         the right to delete pods"
                    )));
            }
            done => drop(done?),
        }
    }
    Ok(())
}

/// The StatefulSet, once its controller has seen what was set; `None` where nothing blocks it.
async fn observed(
    asked: &Asked<'_>,
    scope: &Scope,
    attempted: &str,
) -> Result<Option<DynamicObject>, BackendError> {
    loop {
        let got = asked.objects.get(&asked.place.workload.name);
        let object = failure::within(got, Effect::Asks, scope, attempted).await?;
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        if spec["podManagementPolicy"] == "Parallel" {
            return Ok(None);
        }
        let seen = status["observedGeneration"].as_i64().unwrap_or_default();
        if object.metadata.generation.is_none_or(|generation| seen >= generation) {
            let number = |value: &Value| value.as_i64().unwrap_or_default();
            let is_ready = number(&status["readyReplicas"]) >= number(&status["replicas"]);
            return Ok((!is_ready).then_some(object));
        }
        // A call after the end of the scope says so.
        tokio::time::sleep(LOOK.min(scope.remaining())).await;
    }
}

/// Whether `pod` is of a template that is given up, and not ready.
fn blocks(object: &DynamicObject, pod: &Pod) -> bool {
    const REVISION: &str = "controller-revision-hash";
    let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION));
    let Some(revision) = revision else { return false };
    let status = &object.data["status"];
    let (Some(current), Some(update)) =
        (status["currentRevision"].as_str(), status["updateRevision"].as_str())
    else {
        return false;
    };
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    let is_ready = conditions.any(|it| it.type_ == "Ready" && it.status == "True");
    let is_given_up = revision != current && revision != update;
    is_given_up && !is_ready && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_block_that_are_of_no_template_any_more_and_not_ready() {
        let set = |current: &str, update: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "db" },
                "status": { "currentRevision": current, "updateRevision": update },
            }))
            .unwrap()
        };
        let pod = |revision: &str, ready: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "name": "db-1", "labels": { "controller-revision-hash": revision } },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            }))
            .unwrap()
        };
        let back = set("v1", "v1");
        assert!(blocks(&back, &pod("v2", "False")));
        assert!(blocks(&back, &pod("v2", "Unknown")), "its node is gone");
        assert!(!blocks(&back, &pod("v2", "True")), "it is replaced in its turn");
        assert!(!blocks(&back, &pod("v1", "False")), "it is starting");
        assert!(blocks(&set("v1", "v3"), &pod("v2", "False")), "forward over a broken version");
        assert!(!blocks(&set("v1", "v2"), &pod("v1", "False")), "it was there before");
        let mut leaving = pod("v2", "False");
        let now = serde_json::from_value(json!("2024-06-10T12:00:00Z")).unwrap();
        leaving.metadata.deletion_timestamp = Some(now);
        assert!(!blocks(&back, &leaving));
        let bare: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {},
        }))
        .unwrap();
        assert!(!blocks(&bare, &pod("v2", "False")), "nothing is told");
    }
}
