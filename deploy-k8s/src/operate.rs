//! Workloads that are restarted without another version.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{
        BackendError, ErrorKind, Instance, Operator, Scope, ServiceState, Situation, Verdict,
    },
    model::Target,
    plan::Action,
};
use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::json;

use crate::{
    failure::{self, Effect},
    place::WorkloadPlace,
    rollout::RolloutCheck,
};

/// What makes new pods of the same template, as `kubectl rollout restart` does.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// How often it is looked how far a restart is.
const LOOK: Duration = Duration::from_secs(1);

/// Restarts workloads at a person's word, as `kubectl rollout restart` does, and waits until all pods
/// are new and available. They are neither started nor stopped: how many pods there are is not a
/// deployer's matter.
#[derive(Debug)]
pub struct WorkloadOperator {
    places: BTreeMap<Target, WorkloadPlace>,
    rollout: RolloutCheck,
}

impl WorkloadOperator {
    /// Restarts the workloads at `places`.
    pub fn new(places: BTreeMap<Target, WorkloadPlace>) -> Self {
        Self { rollout: RolloutCheck::new(places.clone()), places }
    }

    fn place(&self, target: &Target, attempted: &str) -> Result<&WorkloadPlace, BackendError> {
        self.places.get(target).ok_or_else(|| {
            BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(format!("{target} is no cluster of the configuration"))
        })
    }

    async fn objects(
        place: &WorkloadPlace,
        scope: &Scope,
    ) -> Result<Api<DynamicObject>, BackendError> {
        let client = place.cluster.client(scope).await?;
        Ok(Api::namespaced_with(client, &place.namespace, &place.workload.kind.resource()))
    }
}

/// Whether a verdict is the last one: it is where it should be. Else waits for the next look.
///
/// # Errors
/// `Rejected` when it never will be; `TimedOut` and `Cancelled` with what was seen last.
pub(crate) async fn is_settled(
    verdict: Verdict,
    scope: &Scope,
    attempted: &str,
) -> Result<bool, BackendError> {
    let seen = match verdict {
        Verdict::Healthy | Verdict::HealthyBut { .. } => return Ok(true),
        Verdict::Unhealthy { reason, evidence } => {
            let error = BackendError::new(ErrorKind::Rejected, attempted).with_source(reason);
            return Err(match evidence {
                Some(evidence) => error.with_evidence(evidence),
                None => error,
            });
        }
        Verdict::NotYet { seen } => seen,
    };
    tokio::select! {
        () = tokio::time::sleep(LOOK) => Ok(false),
        () = tokio::time::sleep_until(scope.deadline) => {
            Err(BackendError::new(ErrorKind::TimedOut, attempted).with_source(seen))
        }
        () = scope.cancel.cancelled() => {
            Err(BackendError::new(ErrorKind::Cancelled, attempted).with_source(seen))
        }
    }
}

/// Makes new pods of the same template.
///
/// # Errors
/// As any call.
pub(crate) async fn restart(
    objects: &Api<DynamicObject>,
    name: &str,
    scope: &Scope,
    attempted: &str,
) -> Result<(), BackendError> {
    let patch = json!({ "spec": { "template": { "metadata": {
        "annotations": { RESTARTED: Timestamp::now().to_string() },
    }}}});
    let (options, patch) = (PatchParams::default(), Patch::Merge(&patch));
    let patching = objects.patch(name, &options, &patch);
    failure::within(patching, Effect::Changes, scope, attempted).await.map(drop)
}

/// When it was restarted last, as the object says.
pub(crate) fn mark(object: &DynamicObject) -> &str {
    let notes = object.data.pointer("/spec/template/metadata/annotations");
    notes.and_then(|notes| notes[RESTARTED].as_str()).unwrap_or("-")
}

/// A verdict, as the state of a service.
pub(crate) fn state_of(verdict: Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Healthy | Verdict::HealthyBut { .. } => ("active", String::new()),
        Verdict::NotYet { seen } => ("progressing", seen),
        Verdict::Unhealthy { reason, .. } => ("failed", reason),
    }
}

#[async_trait]
impl Operator for WorkloadOperator {
    fn describe_action(&self, action: Action) -> Result<String, BackendError> {
        if action == Action::Restart {
            return Ok("restart the workload, pod by pod".to_owned());
        }
        let attempted = format!("{} a workload", action.as_str());
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source("workloads of a cluster can be restarted only")
            .with_hint("`kubectl scale` changes how many pods there are"))
    }

    async fn state(&self, target: &Target, scope: &Scope) -> Result<ServiceState, BackendError> {
        let attempted = format!("ask how the workload on {target} is");
        let place = self.place(target, &attempted)?;
        let objects = Self::objects(place, scope).await?;
        let got = objects.get(&place.workload.name);
        let object = failure::within(got, Effect::Asks, scope, &attempted).await?;
        let mark = mark(&object).to_owned();
        let (state, sub) = state_of(self.rollout.verdict(target, scope).await?);
        Ok(ServiceState {
            service: place.workload.to_string(),
            instance: Instance { active: state == "active", mark },
            state: state.to_owned(),
            sub,
            since: None,
        })
    }

    async fn operate(
        &self,
        target: &Target,
        action: Action,
        before: &Instance,
        _: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let what = self.describe_action(action)?;
        let attempted = format!("{what} on {target}");
        let place = self.place(target, &attempted)?;
        // A repeat after a lost answer: another mark than before is that of the earlier attempt.
        if scope.attempt == 1 || self.state(target, scope).await?.instance.mark == before.mark {
            let objects = Self::objects(place, scope).await?;
            restart(&objects, &place.workload.name, scope, &attempted).await?;
        }
        while !is_settled(self.rollout.verdict(target, scope).await?, scope, &attempted).await? {}
        Ok(())
    }
}
