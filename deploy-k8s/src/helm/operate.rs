//! Releases of helm that are restarted without another version.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use deploy_core::{
    backend::{
        BackendError, ErrorKind, Instance, Operator, Scope, ServiceState, Situation, Verdict,
    },
    model::Target,
    plan::Action,
};
use kube::{Api, core::DynamicObject};

use super::{
    check::Parts,
    objects::{self, What},
    place::HelmPlace,
    running::{Deployed, Running},
};
use crate::{
    failure::{self, Effect},
    operate::{is_settled, mark, restart, state_of},
    place::WorkloadName,
    rollout::{SCHEDULING, Witness},
};

/// Restarts all workloads of a release at a person's word, as `kubectl rollout restart` does, and
/// waits until all pods are new and available. They are neither started nor stopped.
#[derive(Debug)]
pub struct ReleaseOperator {
    places: BTreeMap<Target, HelmPlace>,
    witness: Arc<Witness>,
}

/// A workload of a release.
struct Part {
    name: WorkloadName,
    objects: Api<DynamicObject>,
    /// When it was restarted last.
    mark: String,
}

impl ReleaseOperator {
    /// Restarts the releases at `places`.
    pub fn new(places: BTreeMap<Target, HelmPlace>) -> Self {
        Self { places, witness: Arc::default() }
    }

    fn place(&self, target: &Target, attempted: &str) -> Result<&HelmPlace, BackendError> {
        self.places.get(target).ok_or_else(|| {
            BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(format!("{target} is no cluster of the configuration"))
        })
    }

    /// The revision that is deployed, and the workloads in it.
    async fn parts(
        place: &HelmPlace,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(Deployed, Vec<Part>), BackendError> {
        let client = place.cluster.client(scope).await?;
        let running = Running::read(&client, place, scope, attempted).await?;
        let Some(deployed) = running.deployed else {
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(format!("the release {} is not deployed", place.release)));
        };
        let found = objects::of(&deployed.revision.manifest, &place.namespace)
            .map_err(|why| BackendError::new(ErrorKind::Broken, attempted).with_source(why))?;
        let mut parts = Vec::new();
        for object in found {
            let What::Workload(name) = object.what else { continue };
            let objects: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), &object.namespace, &name.kind.resource());
            let got = objects.get(&name.name);
            let there = failure::within(got, Effect::Asks, scope, attempted).await?;
            parts.push(Part { name, objects, mark: mark(&there).to_owned() });
        }
        Ok((deployed, parts))
    }

    async fn verdict(
        &self,
        place: &HelmPlace,
        deployed: &Deployed,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Verdict, BackendError> {
        let parts = Parts { place, scheduling: SCHEDULING, witness: &self.witness };
        parts.verdict(&deployed.revision, scope, attempted).await
    }
}

/// The marks of several workloads as one.
fn marks(parts: &[Part]) -> String {
    let marks: Vec<_> = parts.iter().map(|it| format!("{}={}", it.name, it.mark)).collect();
    marks.join(" ")
}

/// The mark of each workload.
fn read_marks(marks: &str) -> HashMap<&str, &str> {
    marks.split(' ').filter_map(|mark| mark.split_once('=')).collect()
}

#[async_trait]
impl Operator for ReleaseOperator {
    fn describe_action(&self, action: Action) -> Result<String, BackendError> {
        if action == Action::Restart {
            return Ok("restart the workloads of the release, pod by pod".to_owned());
        }
        let attempted = format!("{} a release", action.as_str());
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source("releases of a cluster can be restarted only")
            .with_hint("`kubectl scale` changes how many pods there are"))
    }

    async fn state(&self, target: &Target, scope: &Scope) -> Result<ServiceState, BackendError> {
        let attempted = format!("ask how the release on {target} is");
        let place = self.place(target, &attempted)?;
        let (deployed, parts) = Self::parts(place, scope, &attempted).await?;
        let (state, sub) = state_of(self.verdict(place, &deployed, scope, &attempted).await?);
        Ok(ServiceState {
            service: format!("release/{}", place.release),
            instance: Instance { active: state == "active", mark: marks(&parts) },
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
        let (deployed, parts) = Self::parts(place, scope, &attempted).await?;
        let known = read_marks(&before.mark);
        for part in &parts {
            // A repeat after a lost answer: another mark than before is that of the earlier attempt.
            let is_done = scope.attempt > 1
                && known.get(part.name.to_string().as_str()) != Some(&part.mark.as_str());
            if !is_done {
                restart(&part.objects, &part.name.name, scope, &attempted).await?;
            }
        }
        loop {
            let verdict = self.verdict(place, &deployed, scope, &attempted).await?;
            if is_settled(verdict, scope, &attempted).await? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_apart_by_workload() {
        let known = read_marks("deployment/a=2024-06-10T12:00:00Z statefulset/b=-");
        assert_eq!(known.get("deployment/a"), Some(&"2024-06-10T12:00:00Z"));
        assert_eq!(known.get("statefulset/b"), Some(&"-"));
        assert_eq!(known.get("deployment/c"), None);
    }
}
