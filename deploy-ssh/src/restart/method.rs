//! How a service is made to use a new release.

use super::ServiceName;

/// How a service is made to use what was promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// It is restarted. Done when another start of it is active, and still is a second later.
    Restart(ServiceName),
    /// It is told to reload. Done when that was accepted and the same process is alive a second
    /// later. One that is not active is started.
    Reload(ServiceName),
    /// Its processes get SIGHUP (`systemctl kill -s HUP`). Done as for a reload.
    Hup(ServiceName),
    /// The process that this pid file names gets SIGHUP. Without sudo only: the file must hold one
    /// number above 1, and the process must belong to the login user.
    HupPidFile(String),
    /// A command of one's own, which `sh` runs in the release's directory. Done when it succeeded
    /// and the service, where one is named, is active and still is a second later.
    Command {
        /// The command.
        command: String,
        /// The service that it is about, if that is to be looked at.
        service: Option<ServiceName>,
    },
}

/// Which service is restarted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartOptions {
    /// How it is made to use what was promoted.
    pub method: Method,
    /// Whether systemctl and `service` are called by `sudo -n`. A command brings its own sudo, and
    /// a pid file is never used with it.
    pub sudo: bool,
}

impl RestartOptions {
    /// Restarts `service`, without sudo.
    pub fn restart(service: ServiceName) -> Self {
        Self { method: Method::Restart(service), sudo: false }
    }

    pub(crate) fn service(&self) -> Option<&ServiceName> {
        match &self.method {
            Method::Restart(service) | Method::Reload(service) | Method::Hup(service) => {
                Some(service)
            }
            Method::HupPidFile(_) => None,
            Method::Command { service, .. } => service.as_ref(),
        }
    }

    pub(crate) fn pid_file(&self) -> Option<&str> {
        match &self.method {
            Method::HupPidFile(path) => Some(path),
            _ => None,
        }
    }
}
