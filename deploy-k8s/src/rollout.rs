//! Whether a workload has come to run what it was told to.

pub(crate) mod evidence;
mod fault;
mod pods;
mod witness;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::{Release, Target},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams, core::DynamicObject};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    cluster::Cluster,
    failure::{self, Effect},
    image::Image,
    place::{WorkloadName, WorkloadPlace},
};
use fault::Fault;
use pods::PodView;
pub(crate) use witness::Witness;

/// How long a pod may wait for a node before that counts as a fault: a node may be on its way.
pub(crate) const SCHEDULING: Duration = Duration::from_secs(30);
/// The event of a pod whose probe has failed.
const PROBE_FAILED: &str = "Unhealthy";
/// The event that an autoscaler leaves at a pod for which it adds a node.
const NODE_ON_ITS_WAY: &str = "TriggeredScaleUp";
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(30);
/// How many pods are asked for at a time.
const PAGE: u32 = 200;
/// How many pods of a workload are looked at.
const PODS: usize = 2000;

/// Checks that a workload runs what was promoted: every pod of the newest template, all of them
/// available, and none of the old ones left.
///
/// What cannot become well by waiting is told at once, with evidence: an image that cannot be
/// pulled, a container that crashes again and again, a quota, a pod that no node takes, a deadline
/// of the workload's own. So is a container that was ready and has crashed since, though all is up
/// again by now: in a soak that is the only sign.
#[derive(Debug)]
pub struct RolloutCheck {
    places: BTreeMap<Target, WorkloadPlace>,
    scheduling: Duration,
    witness: Witness,
}

/// What a workload says of itself.
#[derive(Debug, Clone, PartialEq)]
struct Stand {
    wanted: i64,
    updated: i64,
    available: i64,
    present: i64,
    is_seen: bool,
    container: String,
    image: String,
    selector: String,
    /// Conditions that say why it does not go on.
    complaint: Option<Fault>,
}

impl RolloutCheck {
    /// Checks the workloads at `places`.
    pub fn new(places: BTreeMap<Target, WorkloadPlace>) -> Self {
        Self { places, scheduling: SCHEDULING, witness: Witness::default() }
    }

    /// How long a pod may wait for a node.
    #[must_use]
    pub fn scheduling_within(mut self, span: Duration) -> Self {
        self.scheduling = span;
        self
    }

    /// How far the workload is, whatever it runs.
    pub(crate) async fn verdict(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        self.judge(target, None, scope).await
    }

    /// How far the workload is, which is to run `release`.
    async fn judge(
        &self,
        target: &Target,
        release: Option<&Release>,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let attempted = format!("watch the rollout on {target}");
        let Some(place) = self.places.get(target) else { return Ok(Verdict::Healthy) };
        let watched = Watched {
            cluster: &place.cluster,
            namespace: &place.namespace,
            workload: &place.workload,
            container: Some(&place.container),
            release,
            scheduling: self.scheduling,
            witness: &self.witness,
        };
        watched.verdict(scope, &attempted).await
    }
}

/// A workload whose rollout is watched.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    pub cluster: &'a Cluster,
    pub namespace: &'a str,
    pub workload: &'a WorkloadName,
    /// The container whose image is the app's; else the first one's tells the newest pods.
    pub container: Option<&'a str>,
    /// What that container is to run.
    pub release: Option<&'a Release>,
    /// How long a pod may wait for a node.
    pub scheduling: Duration,
    /// What was seen of its containers before.
    pub witness: &'a Witness,
}

impl Watched<'_> {
    /// How far it is.
    ///
    /// # Errors
    /// `NotFound` when it, or its container, is not there; else as any call.
    pub(crate) async fn verdict(
        &self,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Verdict, BackendError> {
        let client = self.cluster.client(scope).await?;
        let resource = self.workload.kind.resource();
        let objects: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), self.namespace, &resource);
        let got = objects.get(&self.workload.name);
        let object = failure::within(got, Effect::Asks, scope, attempted).await?;
        let Some(stand) = Stand::of(&object, self.container) else {
            let container = self.container.unwrap_or("at all");
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(format!("{} has no container {container}", self.workload)));
        };
        if let Some(release) =
            self.release.filter(|it| !Image::parse(&stand.image).is_of(&it.version))
        {
            let reason = format!("it runs {} by now, and not {release}", stand.image);
            return Ok(Verdict::Unhealthy { reason, evidence: None });
        }
        if stand.is_done() && stand.wanted == 0 {
            let note = "it has no pods: nothing was proven".to_owned();
            return Ok(Verdict::HealthyBut { note });
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), self.namespace);
        let pods = pods(&api, &stand.selector, scope, attempted).await?;
        let views: Vec<PodView> = pods.iter().filter_map(PodView::of).collect();
        let ours = pods::newest(&views, &stand.container, &stand.image);
        // Before its controller has looked, what it complains of is the rollout before; and before it
        // has made pods, so are those that are there.
        let (complaint, ours) = match (stand.is_seen, stand.updated) {
            (false, _) => (None, Vec::new()),
            (true, 0) => (stand.complaint.clone(), Vec::new()),
            (true, _) => (stand.complaint.clone(), ours),
        };
        let fault = complaint.or_else(|| {
            let now = Timestamp::now();
            ours.iter().find_map(|pod| pod.fault(now, self.scheduling))
        });
        // Where all is up, it may have been down since the last look.
        let fault = fault.filter(|_| !stand.is_done());
        let fault = fault.or_else(|| self.witness.relapse(&scope.run, &ours));
        let place = (&client, self.namespace);
        let Some(fault) = fault else {
            if stand.is_done() {
                return Ok(Verdict::Healthy);
            }
            let probed = match ours.iter().find_map(|pod| pod.unready()) {
                Some(pod) => evidence::event(place, (pod, PROBE_FAILED), scope).await,
                None => None,
            };
            let waiting = probed.or_else(|| ours.iter().find_map(|pod| pod.waiting_for()));
            return Ok(Verdict::NotYet { seen: stand.told(waiting.as_deref()) });
        };
        if let Fault::Unschedulable { pod, .. } = &fault
            && evidence::event(place, (pod, NODE_ON_ITS_WAY), scope).await.is_some()
        {
            let seen = stand.told(Some(&format!("{pod}: a node is being added for it")));
            return Ok(Verdict::NotYet { seen });
        }
        let evidence = evidence::of(place, &self.workload.name, &fault, scope).await;
        Ok(Verdict::Unhealthy { reason: fault.to_string(), evidence })
    }
}

/// The pods that a label selector finds.
///
/// # Errors
/// As any call.
pub(crate) async fn pods(
    api: &Api<Pod>,
    selector: &str,
    scope: &Scope,
    attempted: &str,
) -> Result<Vec<Pod>, BackendError> {
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    let mut pods = Vec::new();
    loop {
        let page = failure::within(api.list(&params), Effect::Asks, scope, attempted).await?;
        pods.extend(page.items.into_iter().map(pods::lean));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() && pods.len() < PODS => {
                params = params.continue_token(&token);
            }
            _ => return Ok(pods),
        }
    }
}

/// The scope of one look, so that an API server that gives no answer is asked again.
pub(crate) fn one_look(scope: &Scope) -> Scope {
    Scope { deadline: scope.deadline.min(Instant::now() + LOOK), ..scope.clone() }
}

/// What one look has found: where an API server was away for a moment, that is no verdict on what runs there,
/// and there is time until the deadline of `scope`.
pub(crate) fn or_not_yet(
    found: Result<Verdict, BackendError>,
    scope: &Scope,
) -> Result<Verdict, BackendError> {
    match found {
        Err(error)
            if (error.kind().is_transient() || error.kind() == ErrorKind::TimedOut)
                && !scope.remaining().is_zero() =>
        {
            Ok(Verdict::NotYet { seen: format!("could not be asked: {}", error.cause()) })
        }
        found => found,
    }
}

#[async_trait]
impl Checker for RolloutCheck {
    fn describe(&self) -> String {
        "all pods run the new version".to_owned()
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let look = one_look(scope);
        or_not_yet(self.judge(target, situation.release.as_ref(), &look).await, scope)
    }
}

impl Stand {
    fn of(object: &DynamicObject, container: Option<&str>) -> Option<Self> {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let containers = spec.pointer("/template/spec/containers")?.as_array()?;
        let mut containers = containers.iter();
        let container = containers.find(|it| container.is_none_or(|name| it["name"] == name))?;
        let (container, image) = (container["name"].as_str()?, container["image"].as_str()?);
        let number = |key: &str| status[key].as_i64().unwrap_or_default();
        let is_daemon = status.get("desiredNumberScheduled").is_some();
        let (wanted, updated, available, present) = if is_daemon {
            let present = number("currentNumberScheduled");
            (
                number("desiredNumberScheduled"),
                number("updatedNumberScheduled"),
                number("numberAvailable"),
                present,
            )
        } else {
            let wanted = spec["replicas"].as_i64().unwrap_or(1);
            // StatefulSets of older servers do not count what is available.
            let available = match status.get("availableReplicas") {
                Some(count) => count.as_i64().unwrap_or_default(),
                None if object.types.as_ref().is_some_and(|it| it.kind == "StatefulSet") => {
                    number("readyReplicas")
                }
                None => 0,
            };
            (wanted, number("updatedReplicas"), available, number("replicas"))
        };
        let generation = object.metadata.generation.unwrap_or_default();
        Some(Self {
            wanted,
            updated,
            available,
            present,
            is_seen: number("observedGeneration") >= generation,
            container: container.to_owned(),
            image: image.to_owned(),
            selector: selector(&spec["selector"]),
            complaint: complaint(&status["conditions"]),
        })
    }

    fn is_done(&self) -> bool {
        self.is_seen
            && self.updated >= self.wanted
            && self.available >= self.wanted
            && self.present <= self.updated
    }

    fn told(&self, waiting: Option<&str>) -> String {
        let Self { wanted, updated, available, .. } = self;
        let told = match self.is_seen {
            false => "its controller has not seen the change yet".to_owned(),
            true => format!("{updated} of {wanted} pods are new, {available} available"),
        };
        match waiting {
            Some(waiting) => format!("{told}; {waiting}"),
            None => told,
        }
    }
}

/// A label selector as a query writes it.
pub(crate) fn selector(selector: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(labels) = selector["matchLabels"].as_object() {
        parts.extend(
            labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))),
        );
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let values = values.join(",");
        parts.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}

/// What its conditions complain of.
fn complaint(conditions: &Value) -> Option<Fault> {
    let conditions = conditions.as_array()?;
    let find = |kind: &str, status: &str| {
        conditions.iter().find(|it| it["type"] == kind && it["status"] == status)
    };
    let text = |condition: &Value| condition["message"].as_str().unwrap_or_default().to_owned();
    if let Some(failure) = find("ReplicaFailure", "True") {
        let message = text(failure);
        return Some(match message.contains("exceeded quota") {
            true => Fault::Quota { message },
            false => Fault::NoPods { message },
        });
    }
    let stuck = find("Progressing", "False")?;
    (stuck["reason"] == "ProgressDeadlineExceeded")
        .then(|| Fault::Deadline { message: text(stuck) })
}

#[cfg(test)]
mod tests;
