//! Runs the user's own `git` in one repository.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use deploy_core::backend::{BackendError, ErrorKind};
use tokio::{io::AsyncWriteExt, process::Command};

/// How much of what git says on standard error is kept as evidence.
const EVIDENCE: usize = 4096;

/// The user's `git` in one repository: their configuration, credentials and hooks apply.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    dir: PathBuf,
    /// Whether `dir` is the repository itself, whatever its configuration says of its files.
    bare: bool,
}

/// What git answered.
pub(crate) struct Answer {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Its exit status, where it had one.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// The end of what it complained about.
    pub stderr: String,
}

impl Git {
    pub(crate) fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), bare: false }
    }

    /// The repository that `dir` itself is, such as that of a submodule.
    pub(crate) fn bare(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), bare: true }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command that reads objects as they are, says things in English, and asks nobody. It is in
    /// a process group of its own: a Ctrl-C at the terminal is the run's to deal with, and must not
    /// end a pack in the middle. What it starts would be stopped if it asked at the terminal, so it
    /// is told not to.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.at_terminal();
        command
            .process_group(0)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("SSH_ASKPASS_REQUIRE", "force");
        command
    }

    /// As [`command`](Self::command), but in the terminal's process group: it may ask there for a
    /// password, and a Ctrl-C ends it. For a push, which nothing on a target waits for.
    pub(crate) fn at_terminal(&self) -> Command {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(&self.dir)
            .env("LC_ALL", "C")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .kill_on_drop(true);
        if self.bare {
            // The work tree that a submodule's configuration names may be gone.
            command.args(["--git-dir=.", "--work-tree=."]);
        }
        command
    }

    /// Runs git with `args`; an exit status other than 0 is an answer.
    ///
    /// # Errors
    /// `Broken` when git cannot be run, `Rejected` when it does not trust the repository.
    pub(crate) async fn ask<S: AsRef<OsStr>>(
        &self,
        attempted: &str,
        args: &[S],
    ) -> Result<Answer, BackendError> {
        let mut command = self.command();
        command.args(args);
        run(command, None, attempted).await
    }

    /// Runs git with `args` and demands that it succeeds; returns what it wrote.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); also `Rejected` with git's words when it failed.
    pub(crate) async fn output<S: AsRef<OsStr>>(
        &self,
        attempted: &str,
        args: &[S],
    ) -> Result<Vec<u8>, BackendError> {
        self.ask(attempted, args).await?.require(attempted)
    }

    /// As [`output`](Self::output), as trimmed text.
    pub(crate) async fn line<S: AsRef<OsStr>>(
        &self,
        attempted: &str,
        args: &[S],
    ) -> Result<String, BackendError> {
        let bytes = self.output(attempted, args).await?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
    }
}

impl Answer {
    /// What git wrote, if it succeeded.
    pub(crate) fn require(self, attempted: &str) -> Result<Vec<u8>, BackendError> {
        if self.ok {
            return Ok(self.stdout);
        }
        let status =
            self.code.map_or_else(|| "a signal ended it".into(), |c| format!("exit status {c}"));
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source(format!("git: {status}: {}", first_complaint(&self.stderr)))
            .with_evidence(self.stderr))
    }
}

/// Runs `command`, which is git's, feeds it `input`, and collects what it writes.
pub(crate) async fn run(
    command: Command,
    input: Option<&[u8]>,
    attempted: &str,
) -> Result<Answer, BackendError> {
    run_program("git", command, input, attempted).await
}

/// As [`run`], for the command of another `program`.
pub(crate) async fn run_program(
    program: &str,
    mut command: Command,
    input: Option<&[u8]>,
    attempted: &str,
) -> Result<Answer, BackendError> {
    let broken = |error: std::io::Error| {
        BackendError::new(ErrorKind::Broken, attempted)
            .with_source(format!("{program} cannot be run: {error}"))
            .with_hint(format!("install {program} on this machine"))
    };
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(broken)?;
    let stdin = child.stdin.take();
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A git that stops reading says why on standard error.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(broken)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut from = stderr.len().saturating_sub(EVIDENCE);
    while !stderr.is_char_boundary(from) {
        from += 1;
    }
    let stderr = stderr[from..].to_owned();
    if !output.status.success() {
        distrust(&stderr, attempted)?;
    }
    Ok(Answer {
        ok: output.status.success(),
        code: output.status.code(),
        stdout: output.stdout,
        stderr,
    })
}

/// Recognises git's refusal to work in another user's repository.
fn distrust(stderr: &str, attempted: &str) -> Result<(), BackendError> {
    if !stderr.contains("dubious ownership") {
        return Ok(());
    }
    let advice = stderr
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("git config --global --add safe.directory"))
        .unwrap_or("git config --global --add safe.directory <the repository>");
    Err(BackendError::new(ErrorKind::Rejected, attempted)
        .with_source("the repository belongs to another user, so git does not trust it")
        .with_hint(format!("if you trust it: {advice}"))
        .with_evidence(stderr))
}

/// The line that says what went wrong.
fn first_complaint(stderr: &str) -> &str {
    stderr
        .lines()
        .find(|line| line.starts_with("fatal:") || line.starts_with("error:"))
        .or_else(|| stderr.lines().next())
        .unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ctrl_c_at_the_terminal_reaches_a_push_alone() {
        let git = Git::new("/");
        let show = ["-c", "alias.group=!ps -o pgid= -p $$", "group"];
        let ours = nix::unistd::getpgrp().to_string();
        for (mut command, is_ours) in [(git.command(), false), (git.at_terminal(), true)] {
            command.args(show);
            let answer = run(command, None, "look").await.unwrap();
            let group = String::from_utf8(answer.stdout).unwrap();
            assert_eq!(group.trim() == ours, is_ours, "{group} {ours} {}", answer.stderr);
        }
    }

    #[test]
    fn another_users_checkout_gets_the_way_out() {
        let stderr = "fatal: detected dubious ownership in repository at '/srv/x y'\n\
            To add an exception for this directory, call:\n\n\
            \tgit config --global --add safe.directory '/srv/x y'\n";
        let error = distrust(stderr, "read tags").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(error.hint().unwrap().ends_with("safe.directory '/srv/x y'"));
        assert!(distrust("fatal: no", "read tags").is_ok());
    }

    #[test]
    fn the_complaint_is_found_among_hints() {
        assert_eq!(first_complaint("hint: x\nfatal: y\n"), "fatal: y");
        assert_eq!(first_complaint(""), "it said nothing");
    }
}
