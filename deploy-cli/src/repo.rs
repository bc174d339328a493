//! The repository one stands in, as the user's own git sees it.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::CommandError;

/// A git checkout.
#[derive(Debug, Clone)]
pub struct Repo {
    /// Its top directory.
    pub top: PathBuf,
    /// Where all its worktrees keep what they share.
    pub common_dir: PathBuf,
    /// Whether several users share it (`core.sharedRepository`).
    pub shared: bool,
}

impl Repo {
    /// Finds the checkout around `directory`.
    ///
    /// # Errors
    /// Refused where there is none, or git does not trust it.
    pub fn find(directory: &Path) -> Result<Self, CommandError> {
        let ask = ["rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir"];
        let paths = git_bytes(directory, &ask)?;
        // A path is bytes; one with a line break in it cannot be told from two.
        let mut paths =
            paths.split(|byte| *byte == b'\n').map(OsStr::from_bytes).map(PathBuf::from);
        let (Some(top), Some(common_dir), Some(_), None) =
            (paths.next(), paths.next(), paths.next(), paths.next())
        else {
            return Err(CommandError::refused("the path of the checkout has a line break"));
        };
        let shared = git(directory, &["config", "--get", "core.sharedRepository"])
            .is_ok_and(|value| !matches!(value.trim(), "" | "0" | "false" | "umask" | "0600"));
        Ok(Self { top, common_dir, shared })
    }

    /// The name of the remote's repository or of the directory: a first guess at the app's name.
    pub fn name(&self) -> String {
        let remote = git(&self.top, &["config", "--get", "remote.origin.url"]).unwrap_or_default();
        let name = remote.trim().trim_end_matches('/').trim_end_matches(".git");
        let name = name.rsplit(['/', ':']).next().unwrap_or_default();
        let directory = || self.top.file_name().map(|n| n.to_string_lossy().into_owned());
        if name.is_empty() { directory().unwrap_or_default() } else { name.to_owned() }
    }

    /// Where a remote is, as others would reach it; `None` where there is no such remote.
    pub fn remote_url(&self, remote: &str) -> Option<String> {
        let url = git(&self.top, &["config", "--get", &format!("remote.{remote}.url")]).ok()?;
        Some(url.trim().to_owned()).filter(|url| !url.is_empty())
    }

    /// Who commits here, as `Name <mail>`, where git was told.
    pub fn author(&self) -> Option<String> {
        let of = |key| git(&self.top, &["config", "--get", key]).ok();
        let (name, mail) = (of("user.name")?, of("user.email")?);
        Some(format!("{} <{}>", name.trim(), mail.trim()))
    }

    /// The branch that is checked out, if any.
    pub fn branch(&self) -> Option<String> {
        let branch = git(&self.top, &["symbolic-ref", "--short", "HEAD"]).ok()?;
        Some(branch.trim().to_owned()).filter(|branch| !branch.is_empty())
    }

    /// Whether there is any remote to push to.
    pub fn has_remote(&self) -> bool {
        git(&self.top, &["remote"]).is_ok_and(|remotes| !remotes.trim().is_empty())
    }

    /// The first line of a commit's message; `None` where there is no such commit.
    pub fn subject(&self, commit: &str) -> Option<String> {
        let log = ["log", "-1", "--format=%s", "--end-of-options", commit];
        let subject = git(&self.top, &log).ok()?;
        Some(subject.trim().to_owned()).filter(|subject| !subject.is_empty())
    }

    /// All tags, as git lists them; none where git cannot say.
    pub fn tags(&self) -> Vec<String> {
        let tags = git(&self.top, &["for-each-ref", "--format=%(refname:short)", "refs/tags"]);
        tags.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn git(directory: &Path, arguments: &[&str]) -> Result<String, CommandError> {
    git_bytes(directory, arguments).map(|said| String::from_utf8_lossy(&said).into_owned())
}

fn git_bytes(directory: &Path, arguments: &[&str]) -> Result<Vec<u8>, CommandError> {
    let output = Command::new("git")
        // What it complains about is looked at below.
        .env("LC_ALL", "C")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .map_err(|error| CommandError::because("run git", error).hint("install git"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let error = CommandError::because(format!("git {}", arguments[0]), said.clone());
    Err(if said.contains("dubious ownership") {
        error.hint(format!(
            "the checkout is another user's: `git config --global --add safe.directory {}` trusts \
             it, for you alone",
            directory.display()
        ))
    } else if said.contains("not a git repository") {
        error.hint("change into the repository of what you deploy")
    } else if said.contains("must be run in a work tree") {
        error.hint("this is a bare repository: change into a checkout of it, or a worktree")
    } else {
        error
    })
}
