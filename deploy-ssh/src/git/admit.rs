//! Whether a version may be deployed at all (rule 8).

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::{Version, VersionRef},
};

use super::{Git, GitOptions, Oid};

/// How many modified files an error names.
const NAMED: usize = 3;

/// What a version is to be admitted to, in words: `deploy "v1"`, `cannot tag HEAD`; and what that
/// leaves out of modified files.
#[derive(Debug, Clone)]
pub(super) struct Purpose {
    attempted: String,
    leaves_out: &'static str,
}

impl Purpose {
    /// It is to be deployed.
    pub(super) fn deploy(version: &Version) -> Self {
        let attempted = format!("deploy {:?}", version.to_string());
        Self { attempted, leaves_out: "only what is committed is deployed" }
    }

    /// It is to get a tag.
    pub(super) fn tag(at: &VersionRef) -> Self {
        let attempted = format!("cannot tag {at}");
        Self { attempted, leaves_out: "a tag is of what is committed" }
    }

    fn refused(&self) -> BackendError {
        BackendError::new(ErrorKind::Rejected, self.attempted.clone())
    }
}

/// Refuses modified tracked files, and commits that the branch or the remote does not have.
pub(super) async fn check(
    git: &Git,
    options: &GitOptions,
    version: &Version,
    purpose: &Purpose,
) -> Result<(), BackendError> {
    if !options.allow_dirty {
        refuse_modified(git, purpose).await?;
    }
    if options.require_pushed {
        refuse_unpushed(git, options, version, purpose).await?;
    }
    Ok(())
}

/// The modified tracked files. A bare repository has none.
pub(super) async fn modified(git: &Git) -> Result<Vec<String>, BackendError> {
    let attempted = "look for modified files";
    let args = ["status", "--porcelain", "-z", "--untracked-files=no", "--no-renames"];
    let status = git.ask(attempted, &args).await?;
    if !status.ok {
        let bare = git.line("read the repository", &["rev-parse", "--is-bare-repository"]).await?;
        if bare == "true" {
            return Ok(Vec::new());
        }
    }
    let output = status.require(attempted)?;
    Ok(output
        .split(|b| *b == 0)
        .filter(|entry| entry.len() > 3)
        .map(|entry| String::from_utf8_lossy(&entry[3..]).into_owned())
        .collect())
}

async fn refuse_modified(git: &Git, purpose: &Purpose) -> Result<(), BackendError> {
    let modified = modified(git).await?;
    if modified.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = modified.iter().take(NAMED).map(|path| format!("{path:?}")).collect();
    let more = modified.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(purpose
        .refused()
        .with_source(format!("tracked files are modified: {}{more}", named.join(", ")))
        .with_hint(format!("commit or undo them, or pass --allow-dirty: {}", purpose.leaves_out)))
}

async fn refuse_unpushed(
    git: &Git,
    options: &GitOptions,
    version: &Version,
    purpose: &Purpose,
) -> Result<(), BackendError> {
    let Some(commit) = Oid::of(&version.id) else {
        return Err(purpose.refused().with_source("its id is not that of a commit"));
    };
    let remotes = git.line("list the remotes", &["remote"]).await?;
    let remote = (!remotes.is_empty()).then_some(options.remote.as_str());
    if let Some(remote) = remote
        && !remotes.lines().any(|known| known == remote)
    {
        return Err(purpose
            .refused()
            .with_source(format!("this repository has no remote {remote:?}"))
            .with_hint("name the right one in the configuration"));
    }
    match (&options.branch, remote) {
        (Some(branch), Some(remote)) => {
            let place = format!("refs/remotes/{remote}/{branch}");
            on_branch(git, purpose, &commit, (&place, &format!("{remote}/{branch}"))).await
        }
        (Some(branch), None) => {
            on_branch(git, purpose, &commit, (&format!("refs/heads/{branch}"), branch)).await
        }
        (None, Some(remote)) => on_remote(git, purpose, &commit, remote).await,
        (None, None) => Ok(()),
    }
}

async fn on_branch(
    git: &Git,
    purpose: &Purpose,
    commit: &Oid,
    (place, name): (&str, &str),
) -> Result<(), BackendError> {
    let Some(tip) = super::names::commit(git, place).await? else {
        return Err(purpose
            .refused()
            .with_source(format!("the branch it must be on, {name:?}, is not known here"))
            .with_hint("`git fetch`, or name the right branch in the configuration"));
    };
    let args = ["merge-base", "--is-ancestor", commit.as_str(), tip.as_str()];
    if git.ask("compare with the branch", &args).await?.ok {
        return Ok(());
    }
    Err(purpose.refused().with_source(format!("{} is not on {name:?}", commit.short())).with_hint(
        "`branch` in [version] allows only what is on that branch: merge and push it there \
             (`git fetch` if it is there already), or change that key",
    ))
}

async fn on_remote(
    git: &Git,
    purpose: &Purpose,
    commit: &Oid,
    remote: &str,
) -> Result<(), BackendError> {
    let contains = format!("--contains={commit}");
    let place = format!("refs/remotes/{remote}/");
    let args = ["for-each-ref", "--count=1", &contains, "--format=%(refname)", &place];
    if !git.line("look for it on the remote", &args).await?.is_empty() {
        return Ok(());
    }
    Err(purpose
        .refused()
        .with_source(format!("{} is on no branch of {remote:?}", commit.short()))
        .with_hint("push it first, or `git fetch` if it is there"))
}
