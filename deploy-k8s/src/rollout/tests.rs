use serde_json::json;

use super::*;

const IMAGE: &str = "r/mathoid:v2";

fn workload(kind: &str, status: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": { "name": "mathoid", "generation": 3 },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "mathoid" } },
            "template": { "spec": { "containers": [{ "name": "main", "image": IMAGE }] } },
        },
        "status": status,
    }))
    .unwrap()
}

fn stand(status: Value) -> Stand {
    Stand::of(&workload("Deployment", status), Some("main")).unwrap()
}

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "mathoid-1" },
        "spec": { "containers": [{ "name": "main", "image": IMAGE }] },
        "status": status,
    }))
    .unwrap()
}

fn waiting(reason: &str, more: Value) -> Value {
    let mut container = json!({
        "name": "main", "image": IMAGE, "imageID": "", "ready": false, "restartCount": 3,
        "state": { "waiting": { "reason": reason, "message": "because" } },
    });
    if let (Some(container), Some(more)) = (container.as_object_mut(), more.as_object()) {
        container.extend(more.clone());
    }
    json!({ "phase": "Pending", "containerStatuses": [container] })
}

fn fault(status: Value) -> Option<String> {
    let pod = pod(status);
    let view = PodView::of(&pod).unwrap();
    let now = "2024-06-10T12:00:00Z".parse().unwrap();
    view.fault(now, SCHEDULING).map(|fault| fault.to_string())
}

#[test]
fn a_rollout_is_done_when_all_pods_are_new_and_available_and_none_is_old() {
    let status = |seen, replicas, updated, available| {
        json!({
            "observedGeneration": seen, "replicas": replicas, "updatedReplicas": updated,
            "availableReplicas": available,
        })
    };
    assert!(stand(status(3, 2, 2, 2)).is_done());
    for (unfinished, why) in [
        (status(2, 2, 2, 2), "the change was not seen yet"),
        (status(3, 2, 1, 2), "an old pod is in place of a new one"),
        (status(3, 2, 2, 1), "one is not available"),
        (status(3, 3, 2, 2), "an old one is still there"),
        (json!({}), "nothing is told"),
    ] {
        assert!(!stand(unfinished).is_done(), "{why}");
    }
    let old_server = json!({
        "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
    });
    assert!(Stand::of(&workload("StatefulSet", old_server), Some("main")).unwrap().is_done());
    let daemons = json!({
        "observedGeneration": 3, "desiredNumberScheduled": 4, "currentNumberScheduled": 4,
        "updatedNumberScheduled": 4, "numberAvailable": 4,
    });
    assert!(Stand::of(&workload("DaemonSet", daemons), Some("main")).unwrap().is_done());
}

#[test]
fn what_does_not_pass_is_a_fault_and_what_may_pass_is_not() {
    for (status, words) in [
        (
            waiting("ImagePullBackOff", json!({})),
            "the image cannot be pulled (ImagePullBackOff): because",
        ),
        (waiting("CreateContainerConfigError", json!({})), "main cannot be started"),
        (
            waiting(
                "CrashLoopBackOff",
                json!({ "lastState": { "terminated": { "exitCode": 2, "reason": "Error" } } }),
            ),
            "main has crashed 3 times: exit code 2",
        ),
        (
            waiting(
                "CrashLoopBackOff",
                json!({ "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }),
            ),
            "exit code 137, OOMKilled",
        ),
    ] {
        let told = fault(status).unwrap_or_default();
        assert!(told.contains(words), "{told:?} has not {words:?}");
    }
    for reason in ["ContainerCreating", "PodInitializing", "ErrImagePull"] {
        assert_eq!(fault(waiting(reason, json!({}))), None, "{reason}");
    }
}

#[test]
fn a_pod_may_wait_for_a_node_for_a_while() {
    let since = |time: &str| {
        json!({ "phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available", "lastTransitionTime": time,
        }]})
    };
    assert_eq!(fault(since("2024-06-10T11:59:40Z")), None);
    let told = fault(since("2024-06-10T11:59:20Z")).unwrap();
    assert_eq!(told, "no node takes a pod: 0/3 nodes are available");
}

#[test]
fn the_workload_itself_complains_of_quotas_and_deadlines() {
    let told = |kind: &str, status: &str, reason: &str, message: &str| {
        let condition =
            json!({ "type": kind, "status": status, "reason": reason, "message": message });
        stand(json!({ "conditions": [condition] })).complaint.map(|fault| fault.to_string())
    };
    let quota = told("ReplicaFailure", "True", "FailedCreate", "exceeded quota: pods");
    assert_eq!(quota.unwrap(), "the quota allows no more pods: exceeded quota: pods");
    let denied = told("ReplicaFailure", "True", "FailedCreate", "admission webhook denied it");
    assert!(denied.unwrap().starts_with("pods cannot be created: admission"));
    let stuck = told("Progressing", "False", "ProgressDeadlineExceeded", "has timed out");
    assert!(stuck.unwrap().contains("own deadline: has timed out"));
    assert_eq!(told("Progressing", "True", "ReplicaSetUpdated", "x"), None);
    assert_eq!(told("Available", "False", "MinimumReplicasUnavailable", "x"), None);
}

#[test]
fn selectors_are_written_as_queries() {
    let query = selector(&json!({
        "matchLabels": { "app": "x" },
        "matchExpressions": [
            { "key": "tier", "operator": "In", "values": ["a", "b"] },
            { "key": "old", "operator": "DoesNotExist" },
        ],
    }));
    assert_eq!(query, "app=x,tier in (a,b),!old");
}

#[test]
fn only_pods_of_the_wanted_image_that_stay_count() {
    let pod = pod(json!({}));
    assert!(PodView::of(&pod).unwrap().runs("main", IMAGE));
    assert!(!PodView::of(&pod).unwrap().runs("main", "r/mathoid:v1"));
    assert!(!PodView::of(&pod).unwrap().runs("side", IMAGE));
    let mut leaving = pod.clone();
    leaving.metadata.deletion_timestamp =
        serde_json::from_value(json!("2024-06-10T12:00:00Z")).unwrap();
    assert!(PodView::of(&leaving).is_none());
}

#[test]
fn the_pods_of_the_newest_template_count() {
    let pod = |name: &str, template: &str, image: &str, minute: u32| -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "labels": { "pod-template-hash": template },
                "creationTimestamp": format!("2024-06-10T12:{minute:02}:00Z"),
            },
            "spec": { "containers": [{ "name": "main", "image": image }] },
            "status": { "phase": "Failed", "reason": "Evicted" },
        }))
        .unwrap()
    };
    let pods = [
        pod("old", "a", IMAGE, 1),
        pod("new", "b", IMAGE, 2),
        // One of the version before, which its controller has made again.
        pod("other", "c", "r/mathoid:v1", 3),
    ];
    let views: Vec<PodView> = pods.iter().filter_map(PodView::of).collect();
    let told = |image: &str| -> Vec<String> {
        pods::newest(&views, "main", image).iter().filter_map(|pod| pod.waiting_for()).collect()
    };
    assert_eq!(told(IMAGE), ["new has failed: Evicted"]);
    assert_eq!(told("a name that somebody rewrites"), ["other has failed: Evicted"]);
    let now = "2024-06-10T12:59:00Z".parse().unwrap();
    assert!(views.iter().all(|pod| pod.fault(now, SCHEDULING).is_none()), "they are replaced");
}
