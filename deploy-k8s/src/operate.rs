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

    /// Waits until it is where it should be.
    async fn settle(
        &self,
        target: &Target,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        loop {
            match self.rollout.verdict(target, scope).await? {
                Verdict::Healthy | Verdict::HealthyBut { .. } => return Ok(()),
                Verdict::Unhealthy { reason, evidence } => {
                    let error =
                        BackendError::new(ErrorKind::Rejected, attempted).with_source(reason);
                    return Err(match evidence {
                        Some(evidence) => error.with_evidence(evidence),
                        None => error,
                    });
                }
                Verdict::NotYet { seen } => tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = tokio::time::sleep_until(scope.deadline) => {
                        return Err(BackendError::new(ErrorKind::TimedOut, attempted).with_source(seen));
                    }
                    () = scope.cancel.cancelled() => {
                        return Err(BackendError::new(ErrorKind::Cancelled, attempted).with_source(seen));
                    }
                },
            }
        }
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
        let mark = object.data.pointer("/spec/template/metadata/annotations");
        let mark = mark.and_then(|notes| notes[RESTARTED].as_str()).unwrap_or("-").to_owned();
        let (state, sub) = match self.rollout.verdict(target, scope).await? {
            Verdict::Healthy | Verdict::HealthyBut { .. } => ("active", String::new()),
            Verdict::NotYet { seen } => ("progressing", seen),
            Verdict::Unhealthy { reason, .. } => ("failed", reason),
        };
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
            let patch = json!({ "spec": { "template": { "metadata": {
                "annotations": { RESTARTED: Timestamp::now().to_string() },
            }}}});
            let (options, patch) = (PatchParams::default(), Patch::Merge(&patch));
            let patching = objects.patch(&place.workload.name, &options, &patch);
            failure::within(patching, Effect::Changes, scope, &attempted).await?;
        }
        self.settle(target, scope, &attempted).await
    }
}
