//! How versions come onto targets.

use std::sync::Arc;

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::Version,
};

use super::{SshTransport, commit_of};
use crate::{
    archive::{ArchiveOptions, Archives},
    layout::MadeOf,
    told::Told,
};

/// How versions come onto targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FetchMethod {
    /// The deployer packs the tree of a version, and sends it to all.
    #[default]
    Push,
    /// Each target fetches the commit from this URL, with its own credentials.
    Pull(PullUrl),
    /// A command on the deployer's machine builds an archive, which is sent to all.
    Archive(ArchiveOptions),
}

/// Where targets pull from: an URL as git takes it, of `https`, `http`, `ssh`, `git` or `file`, or
/// `user@host:path`. It holds no password, and no query, where tokens hide: everybody on the targets
/// can see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullUrl(String);

/// Why targets cannot pull from an URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PullUrlError(&'static str);

impl PullUrl {
    /// Checks an URL.
    ///
    /// # Errors
    /// When it is empty, could be taken for an option, runs a helper of git (`ext::`), or holds a
    /// password, a query or a fragment.
    pub fn new(url: impl Into<String>) -> Result<Self, PullUrlError> {
        let url = url.into();
        if url.trim().is_empty() {
            return Err(PullUrlError("is empty"));
        }
        if url.starts_with('-') || url.chars().any(char::is_control) {
            return Err(PullUrlError("is not an URL"));
        }
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let is_known = |scheme| {
            ["https", "http", "ssh", "git+ssh", "ssh+git", "git", "file"].contains(&scheme)
        };
        if url.contains("::") || scheme.is_some_and(|scheme| !is_known(scheme)) {
            return Err(PullUrlError("must be one of https, http, ssh, git or file"));
        }
        let authority = url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        let who = authority.rsplit_once('@').map_or("", |(who, _)| who);
        // Over HTTP a name alone is often a token.
        let is_http = scheme.is_some_and(|scheme| scheme.starts_with("http"));
        if who.contains(':') || (is_http && !who.is_empty()) {
            return Err(PullUrlError(
                "holds credentials: those belong on the hosts (a key, or git's credential helper)",
            ));
        }
        // In a path of this machine these are letters like others.
        if scheme.is_some_and(|scheme| scheme != "file") && url.contains(['?', '#']) {
            return Err(PullUrlError(
                "has a query or a fragment: everybody on the hosts could see a token in it, and it \
                 names no repository; credentials belong on the hosts (a key, or git's credential \
                 helper)",
            ));
        }
        Ok(Self(url))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A method, with what it needs.
#[derive(Debug)]
pub(super) enum Method {
    Push,
    Pull(PullUrl),
    Archive(Box<Archives>),
}

impl SshTransport {
    /// Brings versions by `method`; without this, by [`FetchMethod::Push`].
    #[must_use]
    pub fn fetch_by(mut self, method: FetchMethod) -> Self {
        self.method = match method {
            FetchMethod::Push => Method::Push,
            FetchMethod::Pull(url) => Method::Pull(url),
            FetchMethod::Archive(options) => {
                let shared = self.layout.shared().to_vec();
                let archives = Archives::new(options, self.repository.clone(), shared);
                Method::Archive(Box::new(archives))
            }
        };
        self
    }

    /// Tells `somebody` what is done on this machine before any target is touched, line by line:
    /// large files that are fetched, and what a build says. Call it after
    /// [`fetch_by`](Self::fetch_by).
    #[must_use]
    pub fn tell(mut self, somebody: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        let told = Told::to(somebody);
        if let Method::Archive(archives) = &mut self.method {
            archives.tell(told.clone());
        }
        self.packs.tell(told);
        self
    }

    /// What a release of `version` would be made of.
    pub(super) fn made_of(&self, version: &Version) -> Result<MadeOf, BackendError> {
        let archives = match &self.method {
            Method::Push => return Ok(MadeOf::Tree),
            Method::Pull(_) => return Ok(MadeOf::Pulled),
            Method::Archive(archives) => archives,
        };
        let archive = archives.known(&commit_of(version)?).ok_or_else(|| {
            BackendError::new(ErrorKind::Rejected, format!("lay out {}", version.id.short()))
                .with_source("its archive is not built, or not kept any more")
                .with_hint("deploy the version: that builds it")
        })?;
        Ok(MadeOf::Archive(archive.digest.clone()))
    }

    /// Where targets pull from, where they do.
    pub(super) fn pull_url(&self) -> Option<&PullUrl> {
        match &self.method {
            Method::Pull(url) => Some(url),
            Method::Push | Method::Archive(_) => None,
        }
    }

    /// The archives, where releases are built here.
    pub(super) fn archives(&self) -> Option<&Archives> {
        match &self.method {
            Method::Archive(archives) => Some(archives),
            Method::Push | Method::Pull(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_credentials_or_commands_are_refused() {
        for good in [
            "https://git.example.org/app.git",
            "ssh://deploy@git.example.org:2222/app.git",
            "deploy@git.example.org:app.git",
            "git.example.org:app.git",
            "file:///srv/git/a b.git",
            "/srv/git/app.git",
            "/srv/git/what?.git",
            "file:///srv/git/c#.git",
        ] {
            assert_eq!(PullUrl::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            " ",
            "--upload-pack=touch x",
            "ext::sh -c touch% x",
            "transport::address",
            "gopher://x",
            "https://user:secret@git.example.org/app.git",
            "https://token@git.example.org/app.git",
            "ssh://user:secret@git.example.org/app.git",
            "https://git.example.org/app.git?private_token=secret",
            "https://git.example.org/app.git#secret",
            "ssh://git@git.example.org/app.git?token=secret",
            "https://git.example.org/\nx",
        ] {
            assert!(PullUrl::new(bad).is_err(), "{bad:?}");
        }
    }
}
