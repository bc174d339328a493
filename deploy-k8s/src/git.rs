//! The `git` command, so that credentials and hooks are as the user's own git has them.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
};

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use tokio::{io::AsyncWriteExt, process::Command};

/// How much is told of what git said.
const SAID: usize = 4000;

/// A bare repository of our own.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    dir: PathBuf,
    settings: Vec<String>,
}

/// What git said, whether it succeeded or not.
#[derive(Debug)]
pub(crate) struct Said {
    pub is_ok: bool,
    pub out: Vec<u8>,
    pub err: String,
}

impl Git {
    pub(crate) fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), settings: Vec::new() }
    }

    /// Sets `NAME=VALUE` for each call. It is no place for secrets: others see the arguments.
    #[must_use]
    pub(crate) fn with_setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs git with `words`, more `environment` and `input`.
    ///
    /// # Errors
    /// When it cannot be run; `TimedOut` and `Cancelled` by the scope, and git is killed.
    pub(crate) async fn ask<S: AsRef<OsStr>>(
        &self,
        words: &[S],
        environment: &[(&str, String)],
        input: &[u8],
        scope: &Scope,
        attempted: &str,
    ) -> Result<Said, BackendError> {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(&self.dir);
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        command.args(words);
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            command.env_remove(name);
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        // A Ctrl-C at the terminal is for the run.
        command.process_group(0);
        let failed = |error: std::io::Error| {
            BackendError::new(ErrorKind::Broken, attempted).with_source(format!("run git: {error}"))
        };
        let mut child = command.spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let talk = async {
            if let Some(mut stdin) = stdin {
                // It may end without reading: what it says then tells more than a broken pipe.
                let _ = stdin.write_all(input).await;
            }
            child.wait_with_output().await
        };
        tokio::select! {
            output = talk => {
                let output = output.map_err(failed)?;
                let err = String::from_utf8_lossy(&output.stderr).into_owned();
                Ok(Said { is_ok: output.status.success(), out: output.stdout, err })
            }
            () = tokio::time::sleep_until(scope.deadline) => {
                Err(BackendError::new(ErrorKind::TimedOut, attempted))
            }
            () = scope.cancel.cancelled() => Err(BackendError::new(ErrorKind::Cancelled, attempted)),
        }
    }
}

impl Said {
    /// Its complaint, in one line.
    pub(crate) fn told(&self) -> String {
        let lines = self.err.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut told = lines.collect::<Vec<_>>().join("; ");
        if let Some((end, _)) = told.char_indices().nth(SAID) {
            told.truncate(end);
        }
        if told.is_empty() { "git failed".to_owned() } else { told }
    }
}
