//! Whether a release of helm has come to run what it was told to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::{Release, Target},
};
use kube::Client;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    history::{self, Revision},
    hook, job,
    objects::{self, Object, What},
    place::HelmPlace,
    running::Running,
};
use crate::{
    cluster::Cluster,
    rollout::{SCHEDULING, Watched, Witness, one_look, or_not_yet},
};

/// How many objects of a release are looked at together.
const TOGETHER: usize = 8;

/// Checks that a release of helm runs what was promoted: its deployed revision is that one, every
/// Deployment, StatefulSet and DaemonSet of it is rolled out (as [`RolloutCheck`] judges), its Jobs
/// have ended well, and none of its hooks has failed.
///
/// What cannot become well by waiting is told at once, with the name of what is at fault and evidence.
///
/// [`RolloutCheck`]: crate::RolloutCheck
#[derive(Debug)]
pub struct ReleaseCheck {
    places: BTreeMap<Target, HelmPlace>,
    scheduling: Duration,
    witness: Arc<Witness>,
}

impl ReleaseCheck {
    /// Checks the releases at `places`.
    pub fn new(places: BTreeMap<Target, HelmPlace>) -> Self {
        Self { places, scheduling: SCHEDULING, witness: Arc::default() }
    }

    /// How long a pod may wait for a node.
    #[must_use]
    pub fn scheduling_within(mut self, span: Duration) -> Self {
        self.scheduling = span;
        self
    }

    async fn judge(
        &self,
        place: &HelmPlace,
        release: Option<&Release>,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Verdict, BackendError> {
        let client = place.cluster.client(scope).await?;
        let running = Running::read(&client, place, scope, attempted).await?;
        if let Some(number) = running.history.failed() {
            return failure(&client, place, number, scope, attempted).await;
        }
        match (&running.deployed, release) {
            (None, None) => Ok(Verdict::Healthy),
            (None, Some(release)) => {
                let reason = format!("{} is not deployed, and so not {release}", place.release);
                Ok(Verdict::Unhealthy { reason, evidence: None })
            }
            (Some(deployed), Some(release)) if !deployed.is(release, place) => {
                let reason = format!("it runs {} by now, and not {release}", deployed.told());
                Ok(Verdict::Unhealthy { reason, evidence: None })
            }
            (Some(deployed), _) => {
                let (scheduling, witness) = (self.scheduling, &self.witness);
                let parts = Parts { place, scheduling, witness };
                parts.verdict(&deployed.revision, scope, attempted).await
            }
        }
    }
}

#[async_trait]
impl Checker for ReleaseCheck {
    fn describe(&self) -> String {
        "all of the release runs the new version".to_owned()
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let Some(place) = self.places.get(target) else { return Ok(Verdict::Healthy) };
        let attempted = format!("watch the release on {target}");
        let look = one_look(scope);
        or_not_yet(self.judge(place, situation.release.as_ref(), &look, &attempted).await, scope)
    }
}

/// What is told of a revision that failed.
async fn failure(
    client: &Client,
    place: &HelmPlace,
    number: u32,
    scope: &Scope,
    attempted: &str,
) -> Result<Verdict, BackendError> {
    let release = (place.namespace.as_str(), place.release.as_str());
    let revision = history::revision(client, release, number, scope, attempted).await?;
    let told = &revision.info.description;
    let mut reason = format!("the revision {number} has failed ({told}), and may be there in part");
    let mut evidence = None;
    if let Some((hook, shown)) = hook::failed((client, &place.namespace), &revision, scope).await {
        reason = format!("{reason}: {hook}");
        evidence = shown;
    }
    Ok(Verdict::Unhealthy { reason, evidence })
}

/// What a release consists of.
pub(super) struct Parts<'a> {
    pub place: &'a HelmPlace,
    pub scheduling: Duration,
    /// What was seen of its containers before.
    pub witness: &'a Arc<Witness>,
}

impl Parts<'_> {
    /// How far the objects of `revision` are, all of them, and how its hooks went.
    ///
    /// # Errors
    /// As any call; `Broken` when its manifest cannot be read.
    pub(super) async fn verdict(
        &self,
        revision: &Revision,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Verdict, BackendError> {
        let client = self.place.cluster.client(scope).await?;
        let hooks = (&client, self.place.namespace.as_str());
        if let Some((reason, evidence)) = hook::failed(hooks, revision, scope).await {
            return Ok(Verdict::Unhealthy { reason, evidence });
        }
        let objects = objects::of(&revision.manifest, &self.place.namespace)
            .map_err(|why| BackendError::new(ErrorKind::Broken, attempted).with_source(why))?;
        let together = Arc::new(Semaphore::new(TOGETHER));
        let mut looks = JoinSet::new();
        for (place, object) in objects.iter().cloned().enumerate() {
            let (together, scope) = (Arc::clone(&together), scope.clone());
            let (cluster, attempted) = (self.place.cluster.clone(), attempted.to_owned());
            let (scheduling, witness) = (self.scheduling, Arc::clone(self.witness));
            looks.spawn(async move {
                let _permit = together.acquire().await;
                let with = (scheduling, &*witness);
                (place, look(&cluster, &object, with, &scope, &attempted).await)
            });
        }
        let mut seen = Vec::new();
        while let Some(look) = looks.join_next().await {
            let broken = |error| BackendError::new(ErrorKind::Broken, attempted).with_source(error);
            let (place, verdict) = look.map_err(broken)?;
            seen.push((place, verdict?));
        }
        seen.sort_by_key(|(place, _)| *place);
        let named = seen.into_iter().map(|(place, seen)| (objects[place].to_string(), seen));
        Ok(together_are(named.collect()))
    }
}

async fn look(
    cluster: &Cluster,
    object: &Object,
    (scheduling, witness): (Duration, &Witness),
    scope: &Scope,
    attempted: &str,
) -> Result<Verdict, BackendError> {
    let namespace = object.namespace.as_str();
    match &object.what {
        What::Job(name) => {
            let client = cluster.client(scope).await?;
            job::verdict((&client, namespace), name, scope, attempted).await
        }
        What::Workload(workload) => {
            let (container, release) = (None, None);
            let watched =
                Watched { cluster, namespace, workload, container, release, scheduling, witness };
            match watched.verdict(scope, attempted).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Ok(Verdict::Unhealthy { reason: error.cause(), evidence: None })
                }
                verdict => verdict,
            }
        }
    }
}

/// What several verdicts come to: the first fault, else whoever is waited for.
fn together_are(seen: Vec<(String, Verdict)>) -> Verdict {
    let (mut waits, mut notes) = (Vec::new(), Vec::new());
    if seen.is_empty() {
        notes.push("the release has nothing that runs: nothing was proven".to_owned());
    }
    for (name, verdict) in seen {
        match verdict {
            Verdict::Unhealthy { reason, evidence } => {
                return Verdict::Unhealthy { reason: format!("{name}: {reason}"), evidence };
            }
            Verdict::NotYet { seen } => waits.push(format!("{name}: {seen}")),
            Verdict::HealthyBut { note } => notes.push(format!("{name}: {note}")),
            Verdict::Healthy => {}
        }
    }
    match (waits.is_empty(), notes.is_empty()) {
        (false, _) => Verdict::NotYet { seen: waits.join("; ") },
        (true, false) => Verdict::HealthyBut { note: notes.join("; ") },
        (true, true) => Verdict::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_verdicts_are_told_by_the_worst() {
        let waits = || Verdict::NotYet { seen: "1 of 2".into() };
        let broken = || Verdict::Unhealthy { reason: "crashes".into(), evidence: None };
        let but = || Verdict::HealthyBut { note: "no pods".into() };
        let told = |seen: Vec<Verdict>| {
            let names = ["a", "b", "c"].map(str::to_owned);
            together_are(names.into_iter().zip(seen).collect())
        };
        assert_eq!(told(vec![Verdict::Healthy, Verdict::Healthy]), Verdict::Healthy);
        assert_eq!(
            told(vec![waits(), Verdict::Healthy, waits()]),
            Verdict::NotYet { seen: "a: 1 of 2; c: 1 of 2".into() }
        );
        let Verdict::Unhealthy { reason, .. } = told(vec![waits(), broken(), broken()]) else {
            panic!("a fault is told at once")
        };
        assert_eq!(reason, "b: crashes");
        assert_eq!(told(vec![but()]), Verdict::HealthyBut { note: "a: no pods".into() });
        assert!(matches!(told(vec![]), Verdict::HealthyBut { .. }), "nothing was proven");
    }
}
