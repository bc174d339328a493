//! Tags that are made and pushed: the next version, and the mark of a success.

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::{Environment, Scheme, SemverPart, Version, VersionRef},
    record::RunId,
};
use jiff::civil::Date;

use super::{GitSource, Oid, admit, command, tags, version};

impl GitSource {
    /// The tag that the next version gets: for a date scheme the next revision of `today`, for a
    /// semantic one the highest version with `part` incremented. Looks at the local tags: a
    /// colleague's newer one shows when the push is refused.
    ///
    /// # Errors
    /// `Rejected` for a scheme without an order of its own.
    pub async fn next_tag(&self, today: Date, part: SemverPart) -> Result<String, BackendError> {
        let scheme = &self.options.scheme;
        let existing = tags::names(&self.git, scheme).await?;
        let existing = existing.iter().map(String::as_str);
        match scheme {
            Scheme::Date(tags) => Ok(tags.next(existing, today)),
            Scheme::Semver(tags) => Ok(tags.next(existing, part)),
            Scheme::Timestamp(_) => {
                Err(BackendError::new(ErrorKind::Rejected, "find the next tag")
                    .with_source("timestamps are given to images where they are built")
                    .with_hint("deploy one of them; or set version.scheme to date or semver"))
            }
            Scheme::Any => Err(BackendError::new(ErrorKind::Rejected, "find the next tag")
                .with_source("the scheme \"any\" has no next version")
                .with_hint("make the tag with git, or set version.scheme to date or semver")),
        }
    }

    /// Makes the annotated version tag `name` on the commit that `at` stands for, and pushes it.
    /// When the push fails the tag is removed again, so that a repeat finds nothing in its way.
    ///
    /// # Errors
    /// As [`resolve`](deploy_core::backend::VersionSource::resolve); `Conflict` when the tag
    /// exists; `Rejected` when it is not of the scheme or the push is refused.
    pub async fn publish_tag(
        &self,
        name: &str,
        at: &VersionRef,
        message: &str,
    ) -> Result<Version, BackendError> {
        let attempted = format!("make the tag {name:?}");
        if !self.options.scheme.matches(name) {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("it is not a version of the configured scheme"));
        }
        let target = match at {
            VersionRef::Named(rev) => self.named(rev).await?,
            VersionRef::Latest => self.latest().await?,
            VersionRef::Previous => {
                return Err(BackendError::new(ErrorKind::Rejected, attempted)
                    .with_source("only the targets know what they served before"));
            }
        };
        admit::check(&self.git, &self.options, &target, &admit::Purpose::tag(at)).await?;
        let commit = Oid::of(&target.id).ok_or_else(|| {
            BackendError::new(ErrorKind::Broken, attempted.clone()).with_source("no commit id")
        })?;
        self.make_and_push(name, &commit, message, &attempted).await?;
        version(&commit, Some(name.to_owned()))
    }

    /// Marks a whole and successful run: makes and pushes `refs/tags/deploy/<env>/<run>` on what
    /// was deployed. Idempotent. A failure of it is a warning, never a failed run.
    ///
    /// # Errors
    /// `Rejected` with git's words when the tag cannot be made or pushed.
    pub async fn mark_success(
        &self,
        environment: Option<&Environment>,
        run: &RunId,
        deployed: &Version,
        message: &str,
    ) -> Result<(), BackendError> {
        let environment = environment.map_or("default", Environment::as_str);
        let name = format!("deploy/{environment}/{run}");
        let attempted = format!("push the success tag {name:?}");
        let commit = Oid::of(&deployed.id).ok_or_else(|| {
            BackendError::new(ErrorKind::Rejected, attempted.clone())
                .with_source("what was deployed is no commit")
        })?;
        match self.make_and_push(&name, &commit, message, &attempted).await {
            Err(error) if error.kind() == ErrorKind::Conflict => self.push(&name, &attempted).await,
            other => other,
        }
    }

    async fn make_and_push(
        &self,
        name: &str,
        commit: &Oid,
        message: &str,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let place = format!("refs/tags/{name}");
        let message = if message.trim().is_empty() { name } else { message };
        let message = format!("--message={message}");
        let make = ["tag", "--annotate", &message, "--", name, commit.as_str()];
        let made = self.git.ask(attempted, &make).await?;
        if !made.ok {
            // Why, is looked up only now: git tells it in words, which change.
            let valid = self.git.ask(attempted, &["check-ref-format", &place]).await?;
            if !valid.ok || name.starts_with('-') {
                return Err(BackendError::new(ErrorKind::Rejected, attempted)
                    .with_source("git does not allow such a name"));
            }
            let exists = ["show-ref", "--verify", "--quiet", "--", &place];
            if self.git.ask(attempted, &exists).await?.ok {
                return Err(
                    BackendError::new(ErrorKind::Conflict, attempted).with_source("the tag exists")
                );
            }
            made.require(attempted)?;
        }
        let pushed = self.push(name, attempted).await;
        if pushed.is_err() {
            // The push's own error is worth more than a failure to tidy up after it.
            let _ = self.git.ask(attempted, &["tag", "--delete", "--", name]).await;
        }
        pushed
    }

    /// Pushes one tag, and may ask for a password at the terminal. Without any remote there is nowhere to push to, and nothing is done.
    async fn push(&self, name: &str, attempted: &str) -> Result<(), BackendError> {
        if self.git.line(attempted, &["remote"]).await?.is_empty() {
            return Ok(());
        }
        let refspec = format!("refs/tags/{name}:refs/tags/{name}");
        let args = ["push", "--quiet", "--no-follow-tags", "--", &self.options.remote, &refspec];
        let mut push = self.git.at_terminal();
        push.args(args);
        command::run(push, None, attempted).await?.require(attempted).map(drop)
    }
}
