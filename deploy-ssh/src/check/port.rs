//! Is a TCP port open?

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};

use super::{one_attempt, within};
use crate::session::{DialError, Script, Sessions};

const IN_HOST: &str = include_str!("port.sh");

/// Asks whether a TCP port is open, as seen from the host itself.
///
/// Goes through the connection that stands; where the host's sshd forbids forwarding, the host asks
/// by itself (bash, nc, or the kernel's list of sockets).
#[derive(Debug)]
pub struct PortCheck {
    /// The sessions with the hosts.
    pub sessions: Sessions,
    /// The address, as the host knows it: mostly `localhost`.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl PortCheck {
    /// Asks for `port` of the host itself.
    pub fn new(sessions: Sessions, port: u16) -> Self {
        Self { sessions, host: "localhost".to_owned(), port }
    }

    fn closed(&self) -> Verdict {
        Verdict::NotYet { seen: format!("nothing answers at {}:{}", self.host, self.port) }
    }

    async fn ask_in_host(
        &self,
        target: &Target,
        attempted: &str,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let script =
            Script::new(IN_HOST).answers().args([self.host.clone(), self.port.to_string()]);
        let output = self.sessions.run(target, &script, scope).await?;
        match output.stdout.last_lines(1).as_str() {
            "result open" => Ok(Verdict::Healthy),
            "result closed" => Ok(self.closed()),
            _ => Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("sshd there forbids forwarding, and the host has no bash and no nc")
                .with_hint("allow it (AllowTcpForwarding local), or use a command check")),
        }
    }
}

#[async_trait]
impl Checker for PortCheck {
    fn describe(&self) -> String {
        match self.host.as_str() {
            "localhost" => format!("port {} is open", self.port),
            host => format!("port {} of {host} is open", self.port),
        }
    }

    async fn check(
        &self,
        target: &Target,
        _situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let attempted = format!("ask {target} for port {}", self.port);
        let attempt = one_attempt(scope);
        let dialled = self.sessions.dial(target, &self.host, self.port, &attempt);
        match within(&attempt, &attempted, dialled).await? {
            Some(Ok(_)) => Ok(Verdict::Healthy),
            Some(Err(DialError::Forbidden { .. })) => {
                self.ask_in_host(target, &attempted, scope).await
            }
            Some(Err(error)) => could_not_dial(error, attempted).map(|()| self.closed()),
            None => Ok(self.closed()),
        }
    }
}

/// Tells apart what no connection means: `Ok` when the address does not answer, an error when it
/// could not be asked.
pub(super) fn could_not_dial(error: DialError, attempted: String) -> Result<(), BackendError> {
    match error {
        DialError::Refused { .. } => Ok(()),
        DialError::Backend(error) if error.kind() == ErrorKind::TimedOut => Ok(()),
        DialError::Backend(error) => Err(error),
        DialError::Forbidden { .. } => {
            Err(BackendError::new(ErrorKind::Denied, attempted).with_source(error))
        }
        error => Err(BackendError::new(ErrorKind::Lost, attempted).with_source(error)),
    }
}
