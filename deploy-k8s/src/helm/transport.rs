//! Versions on clusters, by helm.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Closing, ErrorKind, Live, Scope, Serving, Transport},
    model::{Release, ReleaseId, Target, Version},
    plan::Change,
};
use jiff::Timestamp;
use kube::Client;

use super::{
    chart::Chart,
    command::Helm,
    history::{self, History, Revision},
};
use crate::{
    claim::{self, Claims},
    cluster::Cluster,
    failure::Effect,
    image::Image,
    lease::{Lease, LeaseTerms},
    record::{RecordPlace, Stored, demand_served, good_of},
    release,
};

/// How many good versions are remembered, unless it is said.
const KEPT: usize = 10;
/// What a description of ours begins with.
const OURS: &str = "deploy ";
/// What helm describes a rollback with.
const ROLLBACK: &str = "Rollback to ";
/// How many rollbacks are followed to what they went back to.
const FOLLOWED: usize = 16;

/// A release of helm, and the chart that it is made of.
#[derive(Debug, Clone)]
pub struct HelmPlace {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace.
    pub namespace: String,
    /// The release's name.
    pub release: String,
    /// The chart, with the values that it is given here.
    pub chart: Arc<Chart>,
}

/// Makes image tags what charts are rendered with.
///
/// Each revision that we make is described by the release that it is, so that what runs is told by helm's
/// own history, whoever made it. Without helm's `--wait`: whether the pods come up is a check's question,
/// and an upgrade that is not waited for is not left pending when the deployer dies.
#[derive(Debug)]
pub struct HelmTransport {
    app: String,
    pub(super) image: String,
    places: BTreeMap<Target, HelmPlace>,
    terms: LeaseTerms,
    pub(super) helm: Helm,
    keep: usize,
    claims: Claims,
}

/// What runs, as helm's history tells.
#[derive(Debug)]
struct Running {
    history: History,
    /// The revision that is deployed, and the id of the release that it is, where it is one of ours.
    deployed: Option<(Revision, Option<ReleaseId>)>,
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
        let helm = Helm { program: "helm".into() };
        let (app, image, claims) = (app.into(), image.into(), Claims::default());
        Self { app, image, places, terms, helm, keep: KEPT, claims }
    }

    /// Runs this program as `helm`.
    #[must_use]
    pub fn program(mut self, helm: impl Into<PathBuf>) -> Self {
        self.helm.program = helm.into();
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

    fn record(&self, client: &Client, place: &HelmPlace) -> RecordPlace {
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

    /// What helm says that runs.
    async fn running(
        &self,
        client: &Client,
        place: &HelmPlace,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Running, BackendError> {
        let release = (place.namespace.as_str(), place.release.as_str());
        let history = history::history(client, release, scope, attempted).await?;
        let Some(number) = history.deployed() else {
            return Ok(Running { history, deployed: None });
        };
        let deployed = history::revision(client, release, number, scope, attempted).await?;
        let mut told = deployed.info.description.clone();
        for _ in 0..FOLLOWED {
            let Some(earlier) = told.strip_prefix(ROLLBACK).and_then(|rest| rest.parse().ok())
            else {
                break;
            };
            if !history.has(earlier) {
                break;
            }
            told = history::revision(client, release, earlier, scope, attempted)
                .await?
                .info
                .description;
        }
        let id = told.strip_prefix(OURS).and_then(|rest| rest.split(' ').next());
        let id = id.and_then(|id| ReleaseId::new(id).ok());
        Ok(Running { history, deployed: Some((deployed, id)) })
    }

    /// The release that runs: as it is remembered, or by the tag that it was given.
    fn served(
        &self,
        target: &Target,
        running: &Running,
        stored: &Stored,
    ) -> Result<Option<Release>, BackendError> {
        let Some((revision, id)) = &running.deployed else { return Ok(None) };
        let place = self.place(target)?;
        if let Some(known) = id.as_ref().and_then(|id| stored.record.release(id)) {
            return Ok(Some(known.clone()));
        }
        let Some(tag) = place.chart.tag_in(&revision.config) else { return Ok(None) };
        let version = Image::parse(&format!("{}:{tag}", self.image)).version();
        version.map(|version| self.release(target, &version)).transpose()
    }

    /// Brings a release whose operation was broken off back to what is deployed.
    async fn repair(
        &self,
        (target, place): (&Target, &HelmPlace),
        history: &History,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let words = match history.deployed() {
            Some(deployed) => vec!["rollback".into(), place.release.clone(), deployed.to_string()],
            // It was never there as a whole.
            None => vec!["uninstall".into(), place.release.clone()],
        };
        self.helm.run((target, place), &words, Effect::Changes, scope, attempted).await.map(drop)
    }

    async fn upgrade(
        &self,
        (target, place): (&Target, &HelmPlace),
        to: &Release,
        dry_run: bool,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let broken = |error: std::io::Error| {
            BackendError::new(ErrorKind::Broken, attempted)
                .with_source(format!("write the values: {error}"))
        };
        let image = Image::of(&self.image, &to.version);
        let Some(tag) = image.tag else {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("a chart is given a tag, and this version has none")
                .with_hint("deploy it by its tag"));
        };
        let file = tempfile::Builder::new().suffix(".json").tempfile().map_err(broken)?;
        std::fs::write(file.path(), place.chart.tag_values(&tag).to_string()).map_err(broken)?;
        let mut words = vec!["upgrade".to_owned(), "--install".to_owned(), place.release.clone()];
        words.extend(place.chart.words(file.path()));
        let description = format!("{OURS}{} run {} by {}", to.id, scope.run, scope.who);
        words.extend(["--description".to_owned(), description]);
        let mut effect = Effect::Changes;
        if dry_run {
            words.push("--dry-run".to_owned());
            effect = Effect::Asks;
        }
        self.helm.run((target, place), &words, effect, scope, attempted).await.map(drop)
    }
}

#[async_trait]
impl Transport for HelmTransport {
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError> {
        let place = self.place(target)?;
        let rest = [self.image.as_str(), &place.namespace, &place.release, place.chart.digest()];
        release::of(target, version, &rest)
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let attempted = format!("ask {target} what it serves");
        let place = self.place(target)?;
        let client = place.cluster.client(scope).await?;
        let running = self.running(&client, place, scope, &attempted).await?;
        let stored = self.record(&client, place).read(scope, &attempted).await?;
        let mut live = Live { good: stored.record.good.clone(), ..Live::default() };
        if let Some(release) = self.served(target, &running, &stored)? {
            let known = stored.record.serving.clone();
            let since = running.deployed.as_ref().and_then(|(it, _)| it.info.last_deployed);
            let serving = known.filter(|serving| serving.release == release);
            live.serving = Some(serving.unwrap_or(Serving { release, since, by: None, run: None }));
        }
        if let Some((number, status)) = running.history.pending() {
            live.notes.push(format!(
                "the revision {number} of {} is {status}: an operation of helm was broken off, or is \
                 at work; a deploy repairs it once it has claimed the release",
                place.release
            ));
        }
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
        let running = self.running(&client, place, scope, &attempted).await?;
        if running.history.pending().is_some() {
            self.repair((target, place), &running.history, scope, &attempted).await?;
        }
        // What does not render, and what the cluster would refuse, is told now.
        self.upgrade((target, place), to, true, scope, &attempted).await?;
        let record = self.record(&client, place);
        record
            .change(scope, &attempted, |stored| {
                stored.record.fetched = Some(to.clone());
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
        let place = self.place(target)?;
        let client = place.cluster.client(scope).await?;
        let record = self.record(&client, place);
        let mut running = self.running(&client, place, scope, &attempted).await?;
        if running.history.pending().is_some() {
            self.repair((target, place), &running.history, scope, &attempted).await?;
            running = self.running(&client, place, scope, &attempted).await?;
        }
        let stored = record.read(scope, &attempted).await?;
        let served = self.served(target, &running, &stored)?;
        if served.as_ref() == to {
            return Ok(());
        }
        if served != change.from {
            let what = served.as_ref().map_or_else(|| "nothing".into(), ToString::to_string);
            let told = running.deployed.map(|(it, _)| it.info.description).unwrap_or_default();
            return Err(BackendError::new(ErrorKind::Conflict, attempted)
                .with_source(format!("changed meanwhile to {what:?} ({told})"))
                .with_hint("plan again"));
        }
        record
            .change(scope, &attempted, |stored| {
                stored.record.serving = to.map(|to| Serving {
                    release: to.clone(),
                    since: Some(Timestamp::now()),
                    by: Some(scope.who.clone()),
                    run: Some(scope.run.clone()),
                });
            })
            .await?;
        match to {
            Some(to) => self.upgrade((target, place), to, false, scope, &attempted).await,
            None => {
                let words = ["uninstall", &place.release];
                let gone =
                    self.helm.run((target, place), &words, Effect::Changes, scope, &attempted);
                gone.await.map(drop)
            }
        }
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
            let running = self.running(&client, place, scope, &attempted).await?;
            let stored = self.record(&client, place).read(scope, &attempted).await?;
            let served = self.served(target, &running, &stored)?;
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
