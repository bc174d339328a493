//! Makes a service use what was promoted: systemd or `service`, SIGHUP, or a command.
//!
//! What each method does exactly, and which rights it needs, is told in `docs/health.md`.

/// A script of ours about a service: what all of them share, and the files named. For those that
/// are too rare to come with every shell.
macro_rules! on_unit {
    ($($path:literal),+) => {
        concat!(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/restart/unit.sh")),
            $(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/", $path))),+
        )
    };
}

mod answer;
mod examine;
mod method;
mod operate;
mod service_name;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, ErrorKind, Instance, Restarter, Scope, Situation},
    model::Target,
};

use crate::{
    session::{OnStdinEnd, Output, Script, Sessions},
    surroundings::Surroundings,
};

pub(crate) use answer::{Answer, Seen};
pub use method::{Method, RestartOptions};
pub use service_name::{ServiceName, ServiceNameError};

/// Looks into the journal of a service.
pub(crate) const IN_JOURNAL: &str = on_unit!("check/log/search.sh", "check/log/journal.sh");

/// How much of what a script of ours says is kept.
const HEAD: usize = 16 * 1024;
const TAIL: usize = 48 * 1024;

/// Makes one service use what was promoted, and operates it.
///
/// Several services are several restarters, in order.
///
/// # Guarantees
/// `restart` and `stop` run to their end on the target when the connection is cut. A later attempt
/// of `restart` waits for what an earlier one began, and acts only when what runs is still what was
/// noted before, or was started before the switch; a first attempt always acts. A command without a service has no mark: each attempt
/// runs it.
#[derive(Debug)]
pub struct ServiceRestarter {
    sessions: Sessions,
    surroundings: Surroundings,
    options: RestartOptions,
}

impl ServiceRestarter {
    /// A restarter as `options` say. Asks nobody yet.
    pub fn new(sessions: Sessions, surroundings: Surroundings, options: RestartOptions) -> Self {
        Self { sessions, surroundings, options }
    }

    /// Gives one of our scripts about services the first of its arguments.
    fn told(&self, script: Script) -> Script {
        let service = self.options.service().map(ServiceName::as_str);
        on_service(script, service.unwrap_or_default(), self.options.sudo)
            .arg(self.options.pid_file().unwrap_or_default())
    }

    /// What is restarted, as a person would call it.
    fn what(&self) -> String {
        match (self.options.service(), self.options.pid_file()) {
            (Some(service), _) => service.to_string(),
            (None, Some(pid_file)) => format!("the process of {pid_file}"),
            (None, None) => "the service".to_owned(),
        }
    }
}

/// Gives one of our scripts about services its first two arguments.
pub(crate) fn on_service(script: Script, service: &str, sudo: bool) -> Script {
    let sudo = if sudo { "yes" } else { "no" };
    script.answers().keep(HEAD, TAIL).arg(service).arg(sudo)
}

#[async_trait]
impl Restarter for ServiceRestarter {
    fn describe(&self) -> String {
        let by = if self.options.sudo { " by sudo" } else { "" };
        match &self.options.method {
            Method::Restart(_) => format!("restart {}{by}", self.what()),
            Method::Reload(_) => format!("reload {}{by}", self.what()),
            Method::Hup(_) => format!("send SIGHUP to {}{by}", self.what()),
            Method::HupPidFile(_) => format!("send SIGHUP to {}", self.what()),
            Method::Command { command, .. } => format!("run {command}"),
        }
    }

    async fn running(&self, target: &Target, scope: &Scope) -> Result<Instance, BackendError> {
        if self.options.service().is_none() && self.options.pid_file().is_none() {
            // Of a command alone nothing can be seen.
            return Ok(Instance { active: true, mark: Seen::NOTHING.to_owned() });
        }
        let attempted = format!("ask whether {} runs on {target}", self.what());
        let output =
            self.sessions.run(target, &self.told(Script::function("unit_running")), scope).await?;
        match Answer::read(&output, &attempted)? {
            Answer::Seen(seen) => Ok(seen.instance()),
            other => Err(other.into_error(attempted, &output)),
        }
    }

    async fn restart(
        &self,
        target: &Target,
        before: &Instance,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("{} on {target}", self.describe());
        let (id, process) = Seen::marks(before);
        let (method, command) = match &self.options.method {
            Method::Restart(_) => ("restart", ""),
            Method::Reload(_) => ("reload", ""),
            Method::Hup(_) | Method::HupPidFile(_) => ("hup", ""),
            Method::Command { command, .. } => ("command", command.as_str()),
        };
        let place = self.surroundings.release_path(situation).unwrap_or_default();
        let link = format!("{}/live", self.surroundings.layout.cache());
        let mut script = self
            .told(Script::around("unit_restart"))
            .args([method, &scope.attempt.to_string(), id, process, command, &place, &link])
            .on_stdin_end(OnStdinEnd::RunToEnd);
        for (name, value) in self.surroundings.variables(target, situation) {
            script = script.env(name, value);
        }
        let output = self.sessions.run(target, &script, scope).await?;
        done(&output, attempted)
    }

    async fn stop(
        &self,
        target: &Target,
        before: &Instance,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        if before.active {
            return Ok(());
        }
        let script = self.told(Script::around("unit_stop")).on_stdin_end(OnStdinEnd::RunToEnd);
        let output = self.sessions.run(target, &script, scope).await?;
        done(&output, format!("stop {} on {target}", self.what()))
    }

    async fn evidence(
        &self,
        target: &Target,
        _before: &Instance,
        scope: &Scope,
    ) -> Result<String, BackendError> {
        if self.options.service().is_none() {
            return Ok(String::new());
        }
        let output =
            self.sessions.run(target, &self.told(Script::function("unit_evidence")), scope).await?;
        let said = output.stdout.text().trim_end().to_owned();
        Ok(self.sessions.session(target).mask().text(said))
    }
}

fn done(output: &Output, attempted: String) -> Result<(), BackendError> {
    match Answer::read(output, &attempted)? {
        Answer::Done => Ok(()),
        Answer::Seen(_) | Answer::State(..) | Answer::Starting(_) => {
            Err(BackendError::new(ErrorKind::Broken, attempted)
                .with_source("the answer is to another question"))
        }
        other => Err(other.into_error(attempted, output)),
    }
}
