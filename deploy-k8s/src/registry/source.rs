//! The tags of an image as versions.

use std::{cmp::Ordering, collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Changes, ErrorKind, Listed, Relation, VersionSource},
    model::{Scheme, Version, VersionId, VersionRef},
};
use jiff::Timestamp;
use tokio::{
    sync::{Mutex, Semaphore},
    task::JoinSet,
};

use super::{client::Registry, manifest::About, name::ImageName};
use crate::image::{is_digest, is_tag};

/// How many questions are asked at once.
const AT_ONCE: usize = 8;
/// How many names are told when one was not found.
const NEAREST: usize = 3;

/// The tags of an image, each pinned to the digest that it stands for when it is resolved.
///
/// Where the image carries its commit (`org.opencontainers.image.revision`) and a source of commits is
/// at hand, what lies between two versions is told by that.
#[derive(Debug)]
pub struct RegistrySource {
    registry: Arc<Registry>,
    scheme: Scheme,
    commits: Option<Arc<dyn VersionSource>>,
    told: Mutex<HashMap<String, About>>,
}

impl RegistrySource {
    /// The tags of `name` that are of `scheme`.
    ///
    /// # Errors
    /// `Broken` when TLS cannot be set up here.
    pub fn new(name: ImageName, scheme: Scheme) -> Result<Self, BackendError> {
        Ok(Self::of(Registry::new(name)?, scheme))
    }

    /// The same, with the credentials that `docker_config` keeps, instead of those in `DOCKER_CONFIG` or
    /// `~/.docker`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_docker_config(
        name: ImageName,
        scheme: Scheme,
        docker_config: impl Into<PathBuf>,
    ) -> Result<Self, BackendError> {
        let mut registry = Registry::new(name)?;
        registry.set_docker_config(docker_config.into());
        Ok(Self::of(registry, scheme))
    }

    fn of(registry: Registry, scheme: Scheme) -> Self {
        Self { registry: Arc::new(registry), scheme, commits: None, told: Mutex::default() }
    }

    /// Gives each question to the registry this long, instead of 30 seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        // Nobody else has it before it is used.
        if let Some(registry) = Arc::get_mut(&mut self.registry) {
            registry.set_patience(patience);
        }
        self
    }

    /// Lets `commits` tell what lies between the commits that two images were built of.
    #[must_use]
    pub fn with_commits(mut self, commits: Arc<dyn VersionSource>) -> Self {
        self.commits = Some(commits);
        self
    }

    /// The tags of the scheme, newest first.
    async fn ordered(&self) -> Result<Vec<String>, BackendError> {
        let mut tags = self.registry.tags().await?;
        tags.retain(|tag| is_tag(tag) && self.scheme.matches(tag));
        tags.sort_by(|a, b| self.scheme.compare(b, a));
        Ok(tags)
    }

    async fn pinned(&self, tag: &str) -> Result<Version, BackendError> {
        let digest = self.registry.digest(tag).await?;
        version(&digest, Some(tag))
    }

    /// The version that `tag` was when `digest` was planned, if it still is.
    async fn as_planned(&self, tag: &str, digest: &str) -> Result<Version, BackendError> {
        let found = match self.registry.digest(tag).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(self.missing(tag, error).await);
            }
            found => found?,
        };
        if found == digest {
            return version(digest, Some(tag));
        }
        Err(BackendError::new(ErrorKind::Conflict, format!("resolve the tag {tag:?}"))
            .with_source(format!("the tag {tag} was {digest} when it was planned, and is {found}"))
            .with_hint("plan again"))
    }

    async fn about(&self, digest: &str) -> Result<About, BackendError> {
        if let Some(about) = self.told.lock().await.get(digest) {
            return Ok(about.clone());
        }
        let about = self.registry.about(digest).await?;
        self.told.lock().await.insert(digest.to_owned(), about.clone());
        Ok(about)
    }

    /// The commit that an image was built of, where it tells. What is gone, or tells nothing, has none.
    ///
    /// # Errors
    /// Where the registry did not answer, or not us.
    pub(crate) async fn commit(&self, id: &VersionId) -> Result<Option<VersionId>, BackendError> {
        match self.about(id.as_str()).await {
            Ok(about) => Ok(about.revision.and_then(|commit| VersionId::new(commit).ok())),
            Err(error) if is_odd(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How two versions stand to each other by their tags, where both are of a scheme that has an order.
    fn by_tags(&self, from: &Version, to: &Version) -> Relation {
        let of_scheme = |version: &Version| {
            let tag = version.name.clone().filter(|_| self.scheme != Scheme::Any)?;
            self.scheme.matches(&tag).then_some(tag)
        };
        let (Some(from), Some(to)) = (of_scheme(from), of_scheme(to)) else {
            return Relation::Unknown;
        };
        match self.scheme.compare(&from, &to) {
            Ordering::Less => Relation::Forward,
            Ordering::Greater => Relation::Backward,
            // One tag, which was moved: nobody can tell which of the two is newer.
            Ordering::Equal => Relation::Unknown,
        }
    }

    async fn missing(&self, name: &str, error: BackendError) -> BackendError {
        let Ok(tags) = self.ordered().await else { return error };
        let mut near: Vec<(usize, &String)> =
            tags.iter().map(|tag| (strsim::levenshtein(tag, name), tag)).collect();
        near.sort_by_key(|(distance, _)| *distance);
        let near: Vec<&str> = near.iter().take(NEAREST).map(|(_, tag)| tag.as_str()).collect();
        let missing = BackendError::new(ErrorKind::NotFound, error.attempted())
            .with_source(format!("{} has no tag {name:?}", self.registry.name()));
        match near.is_empty() {
            true => missing,
            false => missing.with_hint(format!("there is {}", near.join(", "))),
        }
    }
}

#[async_trait]
impl VersionSource for RegistrySource {
    async fn resolve(&self, wanted: &VersionRef) -> Result<Version, BackendError> {
        let name = self.registry.name();
        match wanted {
            VersionRef::Previous => {
                Err(BackendError::new(ErrorKind::Rejected, "resolve \"previous\"")
                    .with_source("only the clusters know what was good before"))
            }
            VersionRef::Latest => {
                let tags = self.ordered().await?;
                let Some(newest) = tags.first() else {
                    return Err(BackendError::new(ErrorKind::NotFound, "resolve \"latest\"")
                        .with_source(format!("{name} has no tag of the scheme")));
                };
                self.pinned(newest).await
            }
            VersionRef::Named(digest) if is_digest(digest) => {
                // It must be there.
                self.registry.digest(digest).await?;
                version(digest, None)
            }
            VersionRef::Named(tag) if is_tag(tag) => match self.pinned(tag).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    Err(self.missing(tag, error).await)
                }
                resolved => resolved,
            },
            VersionRef::Named(planned) => match planned.split_once('@') {
                Some((tag, digest)) if is_tag(tag) && is_digest(digest) => {
                    self.as_planned(tag, digest).await
                }
                _ => Err(BackendError::new(ErrorKind::NotFound, format!("resolve {planned:?}"))
                    .with_source("it is neither a tag nor a digest")),
            },
        }
    }

    async fn list(&self, limit: usize) -> Result<Vec<Listed>, BackendError> {
        let tags = self.ordered().await?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut asking = JoinSet::new();
        for (place, tag) in tags.into_iter().take(limit).enumerate() {
            let (registry, turns) = (Arc::clone(&self.registry), Arc::clone(&turns));
            asking.spawn(async move {
                let _turn = turns.acquire_owned().await;
                let digest = match registry.digest(&tag).await {
                    // It was deleted since the tags were listed.
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    digest => digest?,
                };
                let about = match registry.about(&digest).await {
                    // A chart, an old kind of manifest, what is deleted in this moment.
                    Err(error) if is_odd(error.kind()) => About::default(),
                    about => about?,
                };
                Ok::<_, BackendError>(Some((place, listed(&tag, &digest, about)?)))
            });
        }
        let mut found = Vec::new();
        for answer in asking.join_all().await {
            found.extend(answer?);
        }
        found.sort_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, listed)| listed).collect())
    }

    async fn changes(&self, from: &Version, to: &Version) -> Result<Changes, BackendError> {
        if from.id == to.id {
            return Ok(Changes { relation: Relation::Same, commits: Vec::new() });
        }
        if let Some(commits) = &self.commits
            && let (Ok(Some(old)), Ok(Some(new))) =
                (self.commit(&from.id).await, self.commit(&to.id).await)
        {
            let of = |id, version: &Version| Version { id, name: version.name.clone() };
            let changes = commits.changes(&of(old, from), &of(new, to)).await?;
            if changes.relation != Relation::Unknown {
                return Ok(changes);
            }
        }
        Ok(Changes { relation: self.by_tags(from, to), commits: Vec::new() })
    }
}

/// Whether a failure is of one image, and not of the registry.
fn is_odd(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Broken | ErrorKind::NotFound | ErrorKind::Rejected)
}

fn version(digest: &str, tag: Option<&str>) -> Result<Version, BackendError> {
    let id = VersionId::new(digest).map_err(|error| {
        BackendError::new(ErrorKind::Broken, format!("resolve {digest:?}")).with_source(error)
    })?;
    Ok(Version { id, name: tag.map(str::to_owned) })
}

fn listed(tag: &str, digest: &str, about: About) -> Result<Listed, BackendError> {
    Ok(Listed {
        version: version(digest, Some(tag))?,
        author: about.author,
        date: about.created.unwrap_or(Timestamp::UNIX_EPOCH),
        subject: about.title,
    })
}
