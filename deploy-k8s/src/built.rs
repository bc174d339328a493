//! Versions of a repository on clusters: the images that were built of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use deploy_core::{
    backend::{
        BackendError, Checker, Closing, ErrorKind, FileDiff, Live, Preview, Scope, Situation,
        Transport, Verdict, VersionSource,
    },
    model::{Release, ReleaseId, Target, Version, VersionId, VersionRef},
    plan::{Change, Noun},
};

use tokio::time::{Instant, timeout_at};

use crate::registry::RegistrySource;

/// How long `live` waits for the registry, which only names what runs.
const NOTE: Duration = Duration::from_secs(10);

/// The images that were built of the versions of a repository, so that hosts and clusters can be brought
/// one version by one run.
///
/// What acts on clusters knows images only. Around it, this turns each release's version into the image that it
/// stands for, and back into the commit that the image says it was built of
/// (`org.opencontainers.image.revision`).
#[derive(Debug, Clone)]
pub struct BuiltImages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: RegistrySource,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The image of each commit.
    images: HashMap<VersionId, Version>,
    /// The image of each release.
    releases: HashMap<ReleaseId, Version>,
    /// The images that a cluster remembers as good.
    good: BTreeMap<VersionId, Version>,
    /// The commit of each image, where it tells.
    commits: HashMap<VersionId, Option<Version>>,
}

impl BuiltImages {
    /// The images that `registry` has.
    pub fn new(registry: RegistrySource) -> Self {
        Self(Arc::new(Inner { registry, known: Mutex::default() }))
    }

    /// Looks for the image of `version`, which is called `tag`. Nothing of a version can be brought to
    /// clusters before.
    ///
    /// # Errors
    /// `NotFound` where there is no such tag; `Conflict` where the image says that it was built of another
    /// commit; else as the registry answers, also where it does not tell what the image was built of.
    pub async fn find(&self, version: &Version, tag: &str) -> Result<(), BackendError> {
        let image = self.0.registry.resolve(&VersionRef::Named(tag.to_owned())).await?;
        let commit = self.0.registry.commit(&image.id).await?;
        if let Some(commit) = commit.as_ref().filter(|commit| **commit != version.id) {
            let attempted = format!("find the image of {version}");
            return Err(BackendError::new(ErrorKind::Conflict, attempted)
                .with_source(format!(
                    "the image {tag} was built of {}, and {version} is {}",
                    commit.short(),
                    version.id.short()
                ))
                .with_hint("build the image of this version, or say which tag it has"));
        }
        let mut known = self.known();
        known.images.insert(version.id.clone(), image.clone());
        known.commits.insert(image.id, Some(version.clone()));
        Ok(())
    }

    /// Takes for the image of `version` the one that clusters remember as good, if they were asked before: the
    /// one that was built of it, or that was called `tag` and does not tell. Returns whether there is one.
    ///
    /// # Errors
    /// `Conflict` where they remember several.
    pub fn recall(&self, version: &Version, tag: &str) -> Result<bool, BackendError> {
        let mut known = self.known();
        let is_it = |image: &&Version| match known.commits.get(&image.id) {
            Some(Some(commit)) => commit.id == version.id,
            _ => image.name.as_deref() == Some(tag),
        };
        let mut found: Vec<Version> = known.good.values().filter(is_it).cloned().collect();
        if found.len() > 1 {
            let ids: Vec<&str> = found.iter().map(|image| image.id.as_str()).collect();
            let attempted = format!("find the image of {version}");
            return Err(BackendError::new(ErrorKind::Conflict, attempted)
                .with_source(format!("clusters remember several: {}", ids.join(" and "))));
        }
        let Some(image) = found.pop() else { return Ok(false) };
        known.images.insert(version.id.clone(), image.clone());
        known.commits.insert(image.id, Some(version.clone()));
        Ok(true)
    }

    /// `inner`, which is brought versions of the repository.
    pub fn transport(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Built { images: self.clone(), inner })
    }

    /// `inner`, which is asked of versions of the repository.
    pub fn checker(&self, inner: Arc<dyn Checker>) -> Arc<dyn Checker> {
        Arc::new(Built { images: self.clone(), inner })
    }

    /// `inner`, which is asked what versions of the repository would change.
    pub fn preview(&self, inner: Arc<dyn Preview>) -> Arc<dyn Preview> {
        Arc::new(Built { images: self.clone(), inner })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same release, of the commit that its image was built of; as it is where that is not known, and the
    /// first time that this cannot be asked until `deadline`, `trouble` has why.
    async fn told(
        &self,
        release: Release,
        (deadline, trouble): (Instant, &mut Option<String>),
    ) -> Release {
        let image = release.version;
        self.known().releases.insert(release.id.clone(), image.clone());
        let known = self.known().commits.get(&image.id).cloned();
        let version = match known {
            Some(version) => version,
            None if trouble.is_some() => None,
            None => {
                let asked = timeout_at(deadline, self.0.registry.commit(&image.id)).await;
                match asked.map_err(|_| "no answer in time".to_owned()) {
                    Ok(Ok(commit)) => {
                        let version = commit.map(|id| Version { id, name: image.name.clone() });
                        self.known().commits.insert(image.id.clone(), version.clone());
                        version
                    }
                    // It may be asked again.
                    failed => {
                        let why = failed.map_or_else(
                            |why| why,
                            |answer| answer.err().map(|error| error.cause()).unwrap_or_default(),
                        );
                        *trouble =
                            Some(format!("of which commit {image} was built is not known: {why}"));
                        None
                    }
                }
            }
        };
        Release { id: release.id, version: version.unwrap_or(image) }
    }

    /// The same release, of the image.
    fn meant(&self, release: &Release) -> Release {
        let known = self.known();
        let image = known.releases.get(&release.id);
        let image = image.or_else(|| known.images.get(&release.version.id));
        let version = image.unwrap_or(&release.version).clone();
        Release { id: release.id.clone(), version }
    }

    fn change(&self, change: &Change) -> Change {
        let meant = |release: &Option<Release>| release.as_ref().map(|release| self.meant(release));
        Change {
            target: change.target.clone(),
            from: meant(&change.from),
            to: meant(&change.to),
            back: meant(&change.back),
            work: change.work,
        }
    }
}

/// What knows images only, among versions of a repository.
#[derive(Debug)]
struct Built<T: ?Sized> {
    images: BuiltImages,
    inner: Arc<T>,
}

#[async_trait]
impl Transport for Built<dyn Transport> {
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError> {
        let image = self.images.known().images.get(&version.id).cloned();
        let image = image.ok_or_else(|| {
            BackendError::new(ErrorKind::Rejected, format!("bring {version} to {target}"))
                .with_source("no image of it was looked for")
        })?;
        let release = self.inner.release(target, &image)?;
        self.images.known().releases.insert(release.id.clone(), image);
        Ok(Release { id: release.id, version: version.clone() })
    }

    fn noun(&self) -> Noun {
        self.inner.noun()
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let mut live = self.inner.live(target, scope).await?;
        let deadline = Instant::now() + NOTE.min(scope.remaining() / 2);
        let mut trouble = None;
        if let Some(serving) = &mut live.serving {
            let release = serving.release.clone();
            serving.release = self.images.told(release, (deadline, &mut trouble)).await;
        }
        for good in &mut live.good {
            let image = good.release.version.clone();
            self.images.known().good.insert(image.id.clone(), image);
            let release = good.release.clone();
            good.release = self.images.told(release, (deadline, &mut trouble)).await;
        }
        live.notes.extend(trouble);
        Ok(live)
    }

    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.inner.fetch(target, &self.images.change(change), scope).await
    }

    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.inner.promote(target, &self.images.change(change), scope).await
    }

    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let meant = |release: &Option<Release>| release.as_ref().map(|it| self.images.meant(it));
        let closing = Closing { good: meant(&closing.good), back: meant(&closing.back) };
        self.inner.finalize(target, &closing, scope).await
    }
}

#[async_trait]
impl Checker for Built<dyn Checker> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn note(&self, target: &Target, scope: &Scope) -> Result<Option<String>, BackendError> {
        self.inner.note(target, scope).await
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let meant = |release: &Option<Release>| release.as_ref().map(|it| self.images.meant(it));
        let situation = Situation {
            release: meant(&situation.release),
            previous: meant(&situation.previous),
            ..situation.clone()
        };
        self.inner.check(target, &situation, scope).await
    }
}

#[async_trait]
impl Preview for Built<dyn Preview> {
    async fn diffs(&self, change: &Change, scope: &Scope) -> Result<Vec<FileDiff>, BackendError> {
        self.inner.diffs(&self.images.change(change), scope).await
    }
}
