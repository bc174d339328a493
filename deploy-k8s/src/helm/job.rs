//! Jobs of a release: whether they have come to their end, and what a person would look at.

use deploy_core::backend::{BackendError, ErrorKind, Scope, Verdict};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStateTerminated, Pod},
};
use kube::{Api, Client};

use crate::{
    failure::{self, Effect},
    rollout::{self, evidence},
};

/// How far a Job is. One that is gone has ended: its time to live was over, or somebody tidied up.
///
/// # Errors
/// As any call.
pub(super) async fn verdict(
    (client, namespace): (&Client, &str),
    name: &str,
    scope: &Scope,
    attempted: &str,
) -> Result<Verdict, BackendError> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let got = failure::within(jobs.get(name), Effect::Asks, scope, attempted).await;
    let job = match got {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Verdict::Healthy),
        got => got?,
    };
    Ok(match stand(&job) {
        Verdict::Unhealthy { reason, .. } => {
            let evidence = evidence((client, namespace), name, scope).await;
            Verdict::Unhealthy { reason, evidence }
        }
        stand => stand,
    })
}

/// What a Job says of itself.
fn stand(job: &Job) -> Verdict {
    let Some(status) = &job.status else { return Verdict::NotYet { seen: "has not begun".into() } };
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let find = |kind: &str| conditions.iter().find(|it| it.type_ == kind && it.status == "True");
    if let Some(failed) = find("Failed") {
        let parts = [failed.reason.as_deref(), failed.message.as_deref()];
        let why = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
        return Verdict::Unhealthy { reason: format!("has failed ({why})"), evidence: None };
    }
    if find("Complete").is_some() {
        return Verdict::Healthy;
    }
    let count = |count: Option<i32>| count.unwrap_or_default();
    let seen = format!("{} pods run, {} failed", count(status.active), count(status.failed));
    Verdict::NotYet { seen }
}

/// How the pods of a Job ended, the last lines of the newest one's log, and the Job's last events;
/// `None` where nothing can be had.
pub(super) async fn evidence(place: (&Client, &str), name: &str, scope: &Scope) -> Option<String> {
    let pods: Api<Pod> = Api::namespaced(place.0.clone(), place.1);
    let selector = format!("job-name={name}");
    // It is a help only: where pods may not be read, the failure is told without.
    let mut pods =
        rollout::pods(&pods, &selector, scope, "read the pods").await.unwrap_or_default();
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let mut shown = Vec::new();
    if let Some(pod) = pods.last() {
        let ended = ended(pod);
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        for (container, ended) in &ended {
            shown.push(format!("{name}: {container} ended with {}", told(ended)));
        }
        if let Some((container, _)) = ended.first() {
            shown.extend(evidence::log(place, (name, container), false, scope).await);
        }
    }
    shown.extend(evidence::events(place, name, scope).await);
    (!shown.is_empty()).then(|| shown.join("\n"))
}

/// The containers of a pod that ended badly.
fn ended(pod: &Pod) -> Vec<(&str, &ContainerStateTerminated)> {
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.init_container_statuses.as_deref());
    let then = status.and_then(|status| status.container_statuses.as_deref());
    let all = first.unwrap_or_default().iter().chain(then.unwrap_or_default());
    let ended = all.filter_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then_some((container.name.as_str(), ended))
    });
    ended.collect()
}

fn told(ended: &ContainerStateTerminated) -> String {
    let code = format!("exit code {}", ended.exit_code);
    let parts = [Some(code.as_str()), ended.reason.as_deref(), ended.message.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().map(str::trim).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn job(status: Value) -> Verdict {
        stand(&serde_json::from_value(json!({ "status": status })).unwrap())
    }

    #[test]
    fn a_job_has_ended_when_it_says_so() {
        let condition = |kind: &str, status: &str| {
            json!({ "conditions": [{
                "type": kind, "status": status,
                "reason": "BackoffLimitExceeded", "message": "it is enough",
            }]})
        };
        assert_eq!(job(condition("Complete", "True")), Verdict::Healthy);
        let Verdict::Unhealthy { reason, .. } = job(condition("Failed", "True")) else { panic!() };
        assert_eq!(reason, "has failed (BackoffLimitExceeded: it is enough)");
        for waits in [json!({}), json!({ "active": 1 }), condition("Failed", "False")] {
            assert!(matches!(job(waits), Verdict::NotYet { .. }));
        }
        let Verdict::NotYet { seen } = job(json!({ "active": 1, "failed": 2 })) else { panic!() };
        assert_eq!(seen, "1 pods run, 2 failed");
    }
}
