//! The app's own steps around a deploy: migrate, warm a cache.

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Scope, Situation, Step},
    model::Target,
};

use crate::{
    check::told,
    session::{OnStdinEnd, Script, Sessions},
    surroundings::Surroundings,
};

/// Runs a command on the host as a step of the deploy.
///
/// It runs by `sh` as the login user, in the release's directory, which must be there, with the
/// `DEPLOY_…` variables. When the connection is cut it runs to its end, since a migration must not
/// stop half way; at its deadline it is killed with its process group.
#[derive(Debug)]
pub struct CommandStep {
    /// The sessions with the hosts.
    pub sessions: Sessions,
    /// What the command is told.
    pub surroundings: Surroundings,
    /// The command.
    pub command: String,
}

#[async_trait]
impl Step for CommandStep {
    fn describe(&self) -> String {
        format!("run {}", self.command)
    }

    async fn run(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let release = self.surroundings.release_path(situation).unwrap_or_default();
        let script = Script::around("run_command")
            .args([self.command.as_str(), &release, "must"])
            .on_stdin_end(OnStdinEnd::RunToEnd);
        let script = told(script, &self.surroundings, target, situation);
        let output = self.sessions.run(target, &script, scope).await?;
        output.require_success(format!("run `{}` on {target}", self.command)).map(drop)
    }
}
