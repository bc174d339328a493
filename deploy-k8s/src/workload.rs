//! Versions on workloads without a chart: the image of a container, by server-side apply.

mod blocked;
mod preview;
mod seen;
mod swap;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Closing, ErrorKind, Good, Live, Scope, Serving, Transport},
    model::{Release, Target, Version},
    plan::{Change, Noun},
    record::RunId,
};
use kube::{Api, core::DynamicObject};

use crate::{
    claim::{self, Claims},
    failure::{self, Effect},
    image::Image,
    lease::{Lease, LeaseTerms},
    place::WorkloadPlace,
    record::{RecordPlace, Stored, demand_served, good_of},
    release,
};
use seen::Seen;

/// Who owns the fields that we set.
const FIELD_MANAGER: &str = "deploy";
/// Who did.
const BY: &str = "deploy/by";
/// Which one that was: others who set one leave our notes as they are.
const IMAGE: &str = "deploy/image";
/// How many good versions are remembered, unless it is said.
const KEPT: usize = 10;

/// Makes images what workloads run.
///
/// What a workload runs is what its container's image says: the digest in it is the version. What
/// was good is remembered in a ConfigMap beside it, and a Lease keeps other runs out.
#[derive(Debug)]
pub struct WorkloadTransport {
    app: String,
    image: String,
    places: BTreeMap<Target, WorkloadPlace>,
    terms: LeaseTerms,
    keep: usize,
    claims: Claims,
}

/// A target with what is needed to ask it.
struct Asked<'a> {
    target: &'a Target,
    place: &'a WorkloadPlace,
    objects: Api<DynamicObject>,
    record: RecordPlace,
}

impl WorkloadTransport {
    /// Brings versions of `image` (its name, without tag) to `places`, in the name of the app `app`.
    pub fn new(
        app: impl Into<String>,
        image: impl Into<String>,
        places: BTreeMap<Target, WorkloadPlace>,
        terms: LeaseTerms,
    ) -> Self {
        let (app, image) = (app.into(), image.into());
        Self { app, image, places, terms, keep: KEPT, claims: Claims::default() }
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

    fn place(&self, target: &Target) -> Result<&WorkloadPlace, BackendError> {
        self.places.get(target).ok_or_else(|| {
            BackendError::new(ErrorKind::NotFound, format!("find {target}"))
                .with_source("it is no cluster of the configuration")
        })
    }

    async fn asked<'a>(
        &'a self,
        target: &'a Target,
        scope: &Scope,
    ) -> Result<Asked<'a>, BackendError> {
        let place = self.place(target)?;
        let client = place.cluster.client(scope).await?;
        let resource = place.workload.kind.resource();
        let objects = Api::namespaced_with(client.clone(), &place.namespace, &resource);
        let workload = place.workload.to_string();
        let record = RecordPlace::new(client, &place.namespace, &self.parts(place, &workload));
        Ok(Asked { target, place, objects, record })
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

    /// For what its record and its lease are kept.
    fn parts<'a>(&'a self, place: &'a WorkloadPlace, workload: &'a str) -> [&'a str; 3] {
        [&self.app, workload, &place.container]
    }

    fn lease(&self, place: &WorkloadPlace) -> Lease {
        let name = release::object_name(&self.parts(place, &place.workload.to_string()));
        Lease::new(place.cluster.clone(), &place.namespace, name, self.terms.clone())
    }

    async fn get(
        &self,
        asked: &Asked<'_>,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Option<Seen>, BackendError> {
        let got = asked.objects.get_opt(&asked.place.workload.name);
        let object = failure::within(got, Effect::Asks, scope, attempted).await?;
        Ok(object.and_then(|object| Seen::of(&object, &asked.place.container)))
    }

    /// The release that an image is, where it is one of the app's.
    fn served(&self, target: &Target, image: &str) -> Result<Option<Release>, BackendError> {
        let image = Image::parse(image);
        if image.name != self.image {
            return Ok(None);
        }
        image.version().map(|version| self.release(target, &version)).transpose()
    }

    /// The image that stands for `release`, or for nothing.
    fn wanted(
        &self,
        release: Option<&Release>,
        stored: &Stored,
        attempted: &str,
    ) -> Result<String, BackendError> {
        match release {
            Some(release) => Ok(Image::of(&self.image, &release.version).written()),
            None => stored.record.origin.clone().ok_or_else(|| {
                BackendError::new(ErrorKind::NotFound, attempted)
                    .with_source("it is not remembered what it ran before the first deploy")
            }),
        }
    }
}

#[async_trait]
impl Transport for WorkloadTransport {
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError> {
        let place = self.place(target)?;
        let rest = [self.image.as_str(), &place.workload.to_string(), &place.container];
        release::of(target, version, &rest)
    }

    fn noun(&self) -> Noun {
        Noun::Cluster
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let attempted = format!("ask {target} what it serves");
        let asked = self.asked(target, scope).await?;
        let mut live = Live::default();
        let workload = &asked.place.workload;
        let Some(seen) = self.get(&asked, scope, &attempted).await? else {
            live.lacks.push(format!(
                "{workload} with a container {} is not in the namespace {}: create it first",
                asked.place.container, asked.place.namespace
            ));
            return Ok(live);
        };
        let same = |image: &String| Image::parse(image).name == self.image && *image != seen.image;
        for (name, image) in seen.others.iter().filter(|(_, image)| same(image)) {
            live.notes.push(format!(
                "the container {name} of {workload} runs {image}, and a deploy changes {} only: a chart \
                 gives both the same tag",
                asked.place.container
            ));
        }
        if let Some(obstacle) = seen.obstacle {
            live.lacks.push(format!("{workload}: {obstacle}"));
        }
        let stored = asked.record.read(scope, &attempted).await?;
        let served = self.served(target, &seen.image)?;
        live.good = stored.record.good.clone();
        if let Some(release) = served {
            let known = stored.record.serving.clone();
            let serving = known.filter(|serving| serving.release == release);
            if is_first(&stored, &seen) {
                live.good.push(found(&release, &seen)?);
            }
            live.serving = Some(serving.unwrap_or(Serving {
                release,
                since: None,
                by: seen.by.clone(),
                run: None,
            }));
        }
        live.claim = claim::seen(&self.lease(asked.place), scope).await?;
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
        let asked = self.asked(target, scope).await?;
        let Some(seen) = self.get(&asked, scope, &attempted).await? else {
            return Err(gone(&asked, &attempted));
        };
        // The cluster says now what it would say then.
        let image = Image::of(&self.image, &to.version).written();
        let mut patch = Self::patch(&asked, &seen, &image, scope);
        patch["metadata"]["resourceVersion"].take();
        self.apply(&asked, &patch, true, scope, &attempted).await?;
        let served = self.served(target, &seen.image)?;
        let found = served.as_ref().map(|release| found(release, &seen)).transpose()?;
        asked
            .record
            .change(scope, &attempted, |stored| {
                // From here on it is not the first deploy any more.
                if is_first(stored, &seen) {
                    stored.record.good.extend(found.clone());
                }
                if served.is_none() {
                    stored.record.origin = Some(seen.image.clone());
                }
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
        let asked = self.asked(target, scope).await?;
        let Some(seen) = self.get(&asked, scope, &attempted).await? else {
            return Err(gone(&asked, &attempted));
        };
        let served = self.served(target, &seen.image)?;
        let stored = asked.record.read(scope, &attempted).await?;
        let is_there = served.as_ref() == to && (to.is_some() || is_origin(&stored, &seen));
        if !is_there {
            // Images of others are no releases: which one it was then, the record tells.
            let is_other = change.to.is_some()
                && served.is_none()
                && stored.record.fetched == change.to
                && !is_origin(&stored, &seen);
            if served != change.from || is_other || (to.is_none() && served.is_none()) {
                return Err(changed(served.as_ref(), &seen, change, &attempted));
            }
            let image = self.wanted(to, &stored, &attempted)?;
            self.announce(&asked, &seen, change, scope, &attempted).await?;
            if let Some(seen) = self.swap(&asked, seen.clone(), &image, scope, &attempted).await? {
                let served = self.served(target, &seen.image)?;
                return Err(changed(served.as_ref(), &seen, change, &attempted));
            }
        }
        // Where all was up, nothing can be in the way.
        if seen.is_up { Ok(()) } else { blocked::free(&asked, scope, &attempted).await }
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
            let asked = self.asked(target, scope).await?;
            let seen = self.get(&asked, scope, &attempted).await?;
            let served = seen.map(|seen| self.served(target, &seen.image)).transpose()?.flatten();
            demand_served(good, served.as_ref(), &attempted)?;
            let good = good_of(good, scope);
            let back = closing.back.as_ref();
            asked
                .record
                .change(scope, &attempted, |stored| {
                    stored.record.fetched = None;
                    stored.record.remember(good.clone(), self.keep, back);
                })
                .await?;
        }
        self.claims.give_up(target, &attempted).await
    }
}

/// Whether nobody has deployed yet: what runs then, all of it up, is what one goes back to.
fn is_first(stored: &Stored, seen: &Seen) -> bool {
    let record = &stored.record;
    record.serving.is_none() && record.fetched.is_none() && record.good.is_empty() && seen.is_up
}

/// Whether it runs what it ran before the first deploy; where that is not known, anything may be.
fn is_origin(stored: &Stored, seen: &Seen) -> bool {
    stored.record.origin.as_ref().is_none_or(|origin| *origin == seen.image)
}

/// What runs before the first deploy, as if it had been one.
fn found(release: &Release, seen: &Seen) -> Result<Good, BackendError> {
    let run = RunId::new("found").map_err(|error| {
        BackendError::new(ErrorKind::Broken, "take what runs for good").with_source(error)
    })?;
    let by = seen.by.clone().unwrap_or_else(|| "what was there".to_owned());
    Ok(Good { release: release.clone(), run, by, at: seen.since, present: true })
}

fn gone(asked: &Asked<'_>, attempted: &str) -> BackendError {
    let WorkloadPlace { workload, namespace, container, .. } = asked.place;
    BackendError::new(ErrorKind::NotFound, attempted).with_source(format!(
        "{workload} with a container {container} is not in the namespace {namespace}"
    ))
}

/// The error for a workload that runs something that the plan does not know of (rule 12).
fn changed(
    served: Option<&Release>,
    seen: &Seen,
    change: &Change,
    attempted: &str,
) -> BackendError {
    let what = served.map_or_else(|| seen.image.clone(), ToString::to_string);
    let by = seen.by.as_ref().map(|by| format!(" by {by:?}")).unwrap_or_default();
    let from = change.from.as_ref().map_or_else(|| "nothing".into(), ToString::to_string);
    BackendError::new(ErrorKind::Conflict, attempted)
        .with_source(format!("changed meanwhile to {what:?}{by}"))
        .with_hint(format!("the plan was made for {from:?}: plan again"))
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("place", &self.place).finish_non_exhaustive()
    }
}
