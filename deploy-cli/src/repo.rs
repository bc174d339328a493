//! The repository one stands in, as the user's own git sees it.

use std::{
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
        let paths = git(
            directory,
            &["rev-parse", "--path-format=absolute", "--show-toplevel", "--git-common-dir"],
        )?;
        let mut paths = paths.lines().map(PathBuf::from);
        let (Some(top), Some(common_dir)) = (paths.next(), paths.next()) else {
            return Err(CommandError::refused("git names no top directory: a bare repository?"));
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
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .output()
        .map_err(|error| CommandError::because("run git", error).hint("install git"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
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
    } else {
        error
    })
}
