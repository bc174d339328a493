//! Versions from a git repository, by the `git` command.

mod admit;
mod changes;
pub(crate) mod command;
mod examine;
pub(crate) mod files;
mod names;
pub(crate) mod oid;
mod publish;
mod tags;

use std::path::PathBuf;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Changes, ErrorKind, Listed, VersionSource},
    model::{Scheme, Version, VersionId, VersionRef},
};

use command::Git;
use oid::Oid;

/// What may be deployed from a repository, and where its versions are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitOptions {
    /// How version tags are written and ordered.
    pub scheme: Scheme,
    /// The remote that must have what is deployed, and that tags are pushed to. Where the
    /// repository has no remotes at all, nothing is demanded of one.
    pub remote: String,
    /// The branch that must contain what is deployed; `None` allows every branch of the remote.
    pub branch: Option<String>,
    /// Whether the commit must be on the branch and the remote.
    pub require_pushed: bool,
    /// Whether modified tracked files are allowed. They are not deployed either way.
    pub allow_dirty: bool,
}

impl GitOptions {
    /// The strict defaults: remote `origin`, any branch of it, nothing modified.
    pub fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            remote: "origin".into(),
            branch: None,
            require_pushed: true,
            allow_dirty: false,
        }
    }

    /// The same, allowing every commit that exists and any state of the files: for the way back,
    /// which must never be refused (rule 8).
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.require_pushed = false;
        self.allow_dirty = true;
        self
    }
}

/// A git repository as the source of versions.
///
/// It asks the local repository only: what the remote has is what the last `git fetch` saw.
#[derive(Debug, Clone)]
pub struct GitSource {
    git: Git,
    options: GitOptions,
}

impl GitSource {
    /// The repository that `dir` is in. Nothing is read yet.
    pub fn new(dir: impl Into<PathBuf>, options: GitOptions) -> Self {
        Self { git: Git::new(dir), options }
    }

    /// What may be deployed from it.
    pub fn options(&self) -> &GitOptions {
        &self.options
    }

    /// The files under version control that are modified, as git shows their paths.
    ///
    /// # Errors
    /// `Rejected` when git cannot tell.
    pub async fn modified(&self) -> Result<Vec<String>, BackendError> {
        admit::modified(&self.git).await
    }

    async fn named(&self, name: &str) -> Result<Version, BackendError> {
        if let Some(found) = names::find(&self.git, &self.options, name).await? {
            return Ok(found);
        }
        let near = names::nearest(&self.git, name).await?;
        let mut error = BackendError::new(ErrorKind::NotFound, format!("resolve {name:?}"))
            .with_source("there is no tag, branch or commit of that name here");
        error = error.with_hint(if near.is_empty() {
            "`git fetch --tags` brings what is new".to_owned()
        } else {
            format!("did you mean {}? `git fetch --tags` brings what is new", near.join(", "))
        });
        Err(error)
    }

    async fn latest(&self) -> Result<Version, BackendError> {
        let newest = tags::list(&self.git, &self.options.scheme, 1).await?;
        newest.into_iter().next().map(|listed| listed.version).ok_or_else(|| {
            BackendError::new(ErrorKind::NotFound, "resolve latest")
                .with_source("no tag here is a version of the configured scheme")
                .with_hint("`git fetch --tags`, or make one with `deploy-cli tag`")
        })
    }
}

#[async_trait]
impl VersionSource for GitSource {
    async fn resolve(&self, wanted: &VersionRef) -> Result<Version, BackendError> {
        let version = match wanted {
            VersionRef::Latest => self.latest().await?,
            VersionRef::Named(name) => self.named(name).await?,
            VersionRef::Previous => {
                return Err(BackendError::new(ErrorKind::Rejected, "resolve previous")
                    .with_source("only the targets know what they served before"));
            }
        };
        let purpose = admit::Purpose::deploy(&version);
        admit::check(&self.git, &self.options, &version, &purpose).await?;
        Ok(version)
    }

    async fn list(&self, limit: usize) -> Result<Vec<Listed>, BackendError> {
        tags::list(&self.git, &self.options.scheme, limit).await
    }

    async fn changes(&self, from: &Version, to: &Version) -> Result<Changes, BackendError> {
        changes::between(&self.git, &from.id, &to.id).await
    }
}

/// The version of a commit, under the name it was found by.
fn version(commit: &Oid, name: Option<String>) -> Result<Version, BackendError> {
    let id = VersionId::new(commit.as_str()).map_err(|error| {
        BackendError::new(ErrorKind::Broken, "read a commit id").with_source(error)
    })?;
    Ok(Version { id, name })
}
