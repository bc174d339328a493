//! Versions on clusters, by helm.

mod apply;
mod pending;
mod promote;
mod served;
mod tag;
mod way;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Closing, ErrorKind, Live, Scope, Serving, Transport, VersionSource},
    model::{Release, Target, Version},
    plan::{Change, Noun},
};
use kube::Client;

use super::{command::Helm, history, place::HelmPlace, running::Running};
use crate::{
    claim::{self, Claims},
    lease::{Lease, LeaseTerms},
    record::{RecordPlace, demand_served, good_of},
    release,
};
use pending::Pending;
use tag::Tags;
pub(super) use way::Way;

/// How many good versions are remembered, unless it is said.
const KEPT: usize = 10;
/// When an operation of somebody else counts as broken off, unless it is said.
const STALE: Duration = Duration::from_secs(600);

/// Makes image tags what charts are rendered with.
///
/// Each revision that we make is described by the release that it is, so that what runs is told by helm's
/// own history, whoever made it. Without helm's `--wait`: whether the pods come up is a check's question,
/// and an upgrade that is not waited for is not left pending when the deployer dies. Where a helmfile makes
/// the releases ([`Chart::of_helmfile`](super::Chart::of_helmfile)), a record tells which revision is what.
#[derive(Debug)]
pub struct HelmTransport {
    app: String,
    pub(super) image: String,
    places: BTreeMap<Target, HelmPlace>,
    terms: LeaseTerms,
    pub(super) helm: Helm,
    keep: usize,
    stale_after: Duration,
    tags: Option<Tags>,
    claims: Claims,
}

impl HelmTransport {
    /// Brings versions of `image` (its name, without tag) to `places`, in the name of the app `app`.
    /// `helm` is found in the `PATH`.
    pub fn new(
        app: impl Into<String>,
        image: impl Into<String>,
        places: BTreeMap<Target, HelmPlace>,
        terms: LeaseTerms,
    ) -> Self {
        let helm = Helm { program: "helm".into(), helmfile: "helmfile".into() };
        let (app, image, claims) = (app.into(), image.into(), Claims::default());
        let (keep, stale_after, tags) = (KEPT, STALE, None);
        Self { app, image, places, terms, helm, keep, stale_after, tags, claims }
    }

    /// Runs this program as `helm`.
    #[must_use]
    pub fn program(mut self, helm: impl Into<PathBuf>) -> Self {
        self.helm.program = helm.into();
        self
    }

    /// Runs this program as `helmfile`, where one makes the releases.
    #[must_use]
    pub fn helmfile(mut self, helmfile: impl Into<PathBuf>) -> Self {
        self.helm.helmfile = helmfile.into();
        self
    }

    /// Takes an operation of somebody else's helm for broken off when it is older than this. A younger
    /// one is waited for.
    #[must_use]
    pub fn stale_after(mut self, span: Duration) -> Self {
        self.stale_after = span;
        self
    }

    /// Asks `tags` (a [`RegistrySource`](crate::RegistrySource)), before a release is fetched and once more
    /// just before it is promoted, whether its tag still means the image that was planned: a chart is given
    /// only the tag.
    #[must_use]
    pub fn pinned_by(mut self, tags: Arc<dyn VersionSource>) -> Self {
        self.tags = Some(Tags::new(tags));
        self
    }

    /// Remembers this many good versions of each target, at least one.
    #[must_use]
    pub fn keep(mut self, versions: usize) -> Self {
        self.keep = versions;
        self
    }

    /// The lease by which a run claims `target`, where that is one of the places.
    pub fn claim_on(&self, target: &Target) -> Option<Lease> {
        self.places.get(target).map(|place| self.lease(place))
    }

    pub(super) fn place(&self, target: &Target) -> Result<&HelmPlace, BackendError> {
        self.places.get(target).ok_or_else(|| {
            BackendError::new(ErrorKind::NotFound, format!("find {target}"))
                .with_source("it is no cluster of the configuration")
        })
    }

    fn lease(&self, place: &HelmPlace) -> Lease {
        let name = release::object_name(&[&self.app, "helm", &place.release]);
        Lease::new(place.cluster.clone(), &place.namespace, name, self.terms.clone())
    }

    pub(super) fn record(&self, client: &Client, place: &HelmPlace) -> RecordPlace {
        let parts = [&self.app, "helm", place.release.as_str()];
        RecordPlace::new(client.clone(), &place.namespace, &parts)
    }

    async fn hold(
        &self,
        target: &Target,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let lease = self.lease(self.place(target)?);
        self.claims.hold(target, &lease, scope, attempted).await
    }
}

#[async_trait]
impl Transport for HelmTransport {
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError> {
        let place = self.place(target)?;
        let rest = [self.image.as_str(), &place.namespace, &place.release, place.chart.digest()];
        release::of(target, version, &rest)
    }

    fn noun(&self) -> Noun {
        Noun::Cluster
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let attempted = format!("ask {target} what it serves");
        let place = self.place(target)?;
        let client = place.cluster.client(scope).await?;
        let running = Running::read(&client, place, scope, &attempted).await?;
        let stored = self.record(&client, place).read(scope, &attempted).await?;
        let record = &stored.record;
        let whole = self.served(target, &running, record)?;
        let mut live = Live { good: record.good.clone(), ..Live::default() };
        if served::is_first(record, &running) {
            let found = whole.as_ref().map(|whole| served::found(whole, &running));
            live.good.extend(found.transpose()?);
        }
        let since = running.deployed.as_ref().and_then(|it| it.revision.info.last_deployed);
        let known = (&running, record.operation.as_ref());
        let pending = Pending::read(&client, place, known, scope, &attempted).await?;
        live.torn = running.is_torn() || pending.as_ref().is_some_and(Pending::is_ours);
        live.serving = if live.torn {
            let torn = served::torn(whole.as_ref(), (&running, record))?;
            torn.map(|release| Serving { release, since, by: None, run: None })
        } else {
            whole.map(|release| {
                let known = record.serving.clone().filter(|known| known.release == release);
                known.unwrap_or(Serving { release, since, by: None, run: None })
            })
        };
        live.notes.extend(pending.map(|pending| pending.note(self.stale_after)));
        if let Some(number) = running.history.failed() {
            let release = (place.namespace.as_str(), place.release.as_str());
            let failed = history::revision(&client, release, number, scope, &attempted).await?.info;
            let told = failed.description;
            live.notes.push(format!(
                "the revision {number} has failed ({told:?}): what is there may be a part of it"
            ));
        }
        live.foreign = live.serving.is_none() && running.deployed.is_some();
        live.claim = claim::seen(&self.lease(place), scope).await?;
        Ok(live)
    }

    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let Some(to) = &change.to else { return Ok(()) };
        let attempted = format!("fetch {:?} to {target}", to.to_string());
        self.hold(target, scope, &attempted).await?;
        let place = self.place(target)?;
        let client = place.cluster.client(scope).await?;
        let record = self.record(&client, place);
        let running = self.at_rest((target, place), (&client, &record), scope, &attempted).await?;
        let stored = record.read(scope, &attempted).await?;
        let known = (&running, &stored.record);
        // What does not render, and what the cluster would refuse, is told now.
        if self.way((target, place), &client, known, to, scope, &attempted).await? == Way::Upgrade {
            if let Some(tags) = &self.tags {
                tags.demand(&self.image, to, scope, &attempted).await?;
            }
            let rendered = self.apply((target, place), to, true, scope, &attempted).await?;
            self.demand_image(&rendered, to, &attempted)?;
        }
        let whole = self.served(target, &running, &stored.record)?;
        let found = whole.as_ref().map(|whole| served::found(whole, &running)).transpose()?;
        record
            .change(scope, &attempted, |stored| {
                let record = &mut stored.record;
                // What somebody else has deployed is what one goes back to.
                if let Some(deployed) =
                    running.deployed.as_ref().filter(|_| served::is_first(record, &running))
                {
                    let found = found.clone();
                    record.origin = Some(deployed.origin.to_string());
                    let id = found.as_ref().map(|found| found.release.id.clone());
                    record.revisions.extend(id.map(|id| (deployed.origin, id)));
                    record.good.extend(found);
                }
                record.fetched = Some(to.clone());
            })
            .await
    }

    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let to = change.to.as_ref();
        let name = to.map_or_else(|| "nothing".to_owned(), |to| format!("{:?}", to.to_string()));
        let attempted = format!("promote {name} on {target}");
        self.hold(target, scope, &attempted).await?;
        self.bring(self.place(target)?, change, scope, &attempted).await
    }

    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("finalize {target}");
        if let Some(good) = &closing.good {
            self.hold(target, scope, &attempted).await?;
            let place = self.place(target)?;
            let client = place.cluster.client(scope).await?;
            let running = Running::read(&client, place, scope, &attempted).await?;
            let stored = self.record(&client, place).read(scope, &attempted).await?;
            let served = self.served(target, &running, &stored.record)?;
            demand_served(good, served.as_ref(), &attempted)?;
            let good = good_of(good, scope);
            let back = closing.back.as_ref();
            self.record(&client, place)
                .change(scope, &attempted, |stored| {
                    stored.record.fetched = None;
                    stored.record.remember(good.clone(), self.keep, back);
                })
                .await?;
        }
        self.claims.give_up(target, &attempted).await
    }
}
