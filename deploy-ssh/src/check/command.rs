//! Does a command succeed, or a script of the release?

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};

use crate::{
    session::{Output, Script, Sessions},
    surroundings::Surroundings,
};

/// Runs a command on the host: healthy when it succeeds.
///
/// It runs by `sh` as the login user, in the release's directory where that is there, else in the
/// home directory, with the `DEPLOY_…` variables. It is killed with its process group when its time
/// is over or the connection is cut.
#[derive(Debug)]
pub struct CommandCheck {
    /// The sessions with the hosts.
    pub sessions: Sessions,
    /// What the command is told.
    pub surroundings: Surroundings,
    /// The command.
    pub command: String,
}

#[async_trait]
impl Checker for CommandCheck {
    fn describe(&self) -> String {
        format!("`{}` succeeds", self.command)
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let release = self.surroundings.release_path(situation).unwrap_or_default();
        let script = Script::around("run_command").args([self.command.as_str(), &release, "may"]);
        let script = told(script, &self.surroundings, target, situation);
        judge(self.sessions.run(target, &script, scope).await)
    }
}

/// Runs a script that the release brings along: healthy when it succeeds.
///
/// It is run as a [`CommandCheck`]'s command is, and must be executable in the repository.
#[derive(Debug)]
pub struct ScriptCheck {
    sessions: Sessions,
    surroundings: Surroundings,
    path: String,
}

/// Why a path cannot be a script of the release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("script {0:?} is not a plain path within the release")]
pub struct ScriptPathError(String);

impl ScriptCheck {
    /// Runs the file `path` of the release.
    ///
    /// # Errors
    /// When `path` is not relative, or has a part that is empty, `.` or `..`.
    pub fn new(
        sessions: Sessions,
        surroundings: Surroundings,
        path: impl Into<String>,
    ) -> Result<Self, ScriptPathError> {
        let path = path.into();
        match crate::layout::part_problem(&path) {
            Some(_) => Err(ScriptPathError(path)),
            None => Ok(Self { sessions, surroundings, path }),
        }
    }
}

#[async_trait]
impl Checker for ScriptCheck {
    fn describe(&self) -> String {
        format!("the release's {} succeeds", self.path)
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let Some(release) = self.surroundings.release_path(situation) else {
            return Err(BackendError::new(ErrorKind::Broken, format!("run {}", self.path))
                .with_source("there is no release whose script could be run"));
        };
        let script = Script::around("run_script").args([self.path.as_str(), &release]);
        let script = told(script, &self.surroundings, target, situation);
        judge(self.sessions.run(target, &script, scope).await)
    }
}

/// The same script, told what the app's own commands are told.
pub(crate) fn told(
    script: Script,
    surroundings: &Surroundings,
    target: &Target,
    situation: &Situation,
) -> Script {
    let variables = surroundings.variables(target, situation);
    variables.into_iter().fold(script, |script, (name, value)| script.env(name, value))
}

/// A command that failed is an answer, and so is one that gave none in its time.
fn judge(ran: Result<Output, BackendError>) -> Result<Verdict, BackendError> {
    match ran {
        Ok(output) if output.success() => Ok(Verdict::Healthy),
        Ok(output) => Ok(Verdict::Unhealthy {
            reason: ending(output.status),
            evidence: Some(output.evidence()).filter(|seen| !seen.is_empty()),
        }),
        Err(error) => too_late(error),
    }
}

/// A command that gave no answer in its time is unhealthy; every other error is one.
pub(crate) fn too_late(error: BackendError) -> Result<Verdict, BackendError> {
    match error.kind() {
        ErrorKind::TimedOut => Ok(Verdict::Unhealthy {
            reason: "did not end in its time, and was killed".to_owned(),
            evidence: error.evidence().map(str::to_owned),
        }),
        _ => Err(error),
    }
}

fn ending(status: i32) -> String {
    match status {
        126 => "cannot be executed (exit status 126)".to_owned(),
        127 => "was not found (exit status 127)".to_owned(),
        129..=192 => format!("was killed by signal {} (exit status {status})", status - 128),
        _ => format!("exit status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_an_answer_is_unhealthy_and_a_lost_link_is_an_error() {
        let late = BackendError::new(ErrorKind::TimedOut, "run it").with_evidence("line");
        let Ok(Verdict::Unhealthy { evidence, .. }) = judge(Err(late)) else {
            panic!("not a verdict")
        };
        assert_eq!(evidence.as_deref(), Some("line"));
        assert!(judge(Err(BackendError::new(ErrorKind::Lost, "run it"))).is_err());
    }

    #[test]
    fn the_ending_is_told_in_words() {
        assert_eq!(ending(2), "exit status 2");
        assert_eq!(ending(137), "was killed by signal 9 (exit status 137)");
    }
}
