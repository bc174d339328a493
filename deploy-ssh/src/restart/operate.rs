//! Operates a service at a person's word.

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, ErrorKind, Instance, Operator, Scope, ServiceState, Situation},
    model::Target,
    plan::Action,
};

use super::{Answer, Method, Seen, ServiceRestarter, done};
use crate::session::{OnStdinEnd, Script};

const OPERATE: &str = on_unit!("restart/act.sh", "restart/operate.sh");
const STATE: &str = on_unit!("restart/state.sh");

/// What one action comes to with a method.
struct Way {
    /// What the script is told to do.
    how: &'static str,
    words: String,
}

impl ServiceRestarter {
    fn way(&self, action: Action) -> Result<Way, BackendError> {
        let method = &self.options.method;
        let refused = |why: &str, hint: &str| {
            Err(BackendError::new(ErrorKind::Rejected, format!("{action} {}", self.what()))
                .with_source(why.to_owned())
                .with_hint(hint))
        };
        match (method, action) {
            (Method::Command { command, .. }, Action::Restart) => {
                Ok(Way { how: "command", words: format!("run {command}") })
            }
            (Method::Command { service: None, .. }, _) => refused(
                "[restart] has a command that restarts, and names no service",
                "name it there, as `service`, beside the command",
            ),
            (Method::Hup(_), Action::Reload) => Ok(self.named("hup", "send SIGHUP to")),
            (Method::HupPidFile(_), Action::Reload) => {
                Ok(Way { how: "hup", words: format!("send SIGHUP to {}", self.what()) })
            }
            (Method::HupPidFile(_), _) => refused(
                "a process that is known by its pid file can only be told to reload",
                "name the `service` in [restart] instead",
            ),
            _ => Ok(self.named(action.as_str(), action.as_str())),
        }
    }

    fn named(&self, how: &'static str, verb: &str) -> Way {
        let by = if self.options.sudo { " by sudo" } else { "" };
        Way { how, words: format!("{verb} {}{by}", self.what()) }
    }
}

#[async_trait]
impl Operator for ServiceRestarter {
    fn describe_action(&self, action: Action) -> Result<String, BackendError> {
        self.way(action).map(|way| way.words)
    }

    async fn state(&self, target: &Target, scope: &Scope) -> Result<ServiceState, BackendError> {
        let attempted = format!("ask how {} is on {target}", self.what());
        let output = self.sessions.run(target, &self.told(Script::new(STATE)), scope).await?;
        match Answer::read(&output, &attempted)? {
            Answer::State(seen, since) => {
                let known = self.options.service().is_some() || self.options.pid_file().is_some();
                let unknown = || "unknown".to_owned();
                Ok(ServiceState {
                    service: self.what(),
                    instance: seen.instance(),
                    state: if known { seen.state() } else { unknown() },
                    sub: seen.sub(),
                    since,
                })
            }
            other => Err(other.into_error(attempted, &output)),
        }
    }

    async fn operate(
        &self,
        target: &Target,
        action: Action,
        before: &Instance,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let way = self.way(action)?;
        let (id, process) = Seen::marks(before);
        let command = match &self.options.method {
            Method::Command { command, .. } => command.as_str(),
            _ => "",
        };
        let place = self.surroundings.release_path(situation).unwrap_or_default();
        let script = self
            .told(Script::new(OPERATE))
            .args([way.how, &scope.attempt.to_string(), id, process, command, &place])
            .on_stdin_end(OnStdinEnd::RunToEnd);
        let variables = self.surroundings.variables(target, situation);
        let script =
            variables.into_iter().fold(script, |script, (name, value)| script.env(name, value));
        let output = self.sessions.run(target, &script, scope).await?;
        done(&output, format!("{} on {target}", way.words))
    }
}
