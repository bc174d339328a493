//! The session with one target.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope},
    model::Target,
};
use tokio::{
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    time::timeout_at,
};

use super::{
    captured::Output,
    destination::Destination,
    dial::{DialError, Dialed},
    error::{ConnectError, ShellRefused},
    link::Link,
    mask::Mask,
    road::Roads,
    script::Script,
    shell::{Failure, MISSED, Shell, Stopped},
    slot::Slot,
    ssh_config::HostConfig,
};

/// The session with one target: one connection, opened at first use, and the shells on it.
///
/// Cheap to clone; clones share the connection. After a loss the next use connects anew; it does
/// not repeat by itself what was lost.
#[derive(Debug, Clone)]
pub struct Session(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    target: Target,
    roads: Arc<Roads>,
    host: OnceCell<Arc<HostConfig>>,
    slot: Slot,
    turns: Semaphore,
    idle: Mutex<Vec<Shell>>,
    mask: Mutex<Mask>,
}

impl Session {
    pub(crate) fn new(target: Target, roads: Arc<Roads>) -> Self {
        let turns = Semaphore::new(roads.config().max_shells.max(1));
        Self(Arc::new(Inner {
            target,
            roads,
            host: OnceCell::new(),
            slot: Slot::default(),
            turns,
            idle: Mutex::default(),
            mask: Mutex::default(),
        }))
    }

    /// The target it is with.
    pub fn target(&self) -> &Target {
        &self.0.target
    }

    /// Runs `script` to its end. Its output goes to `scope.output` as it comes; what the answer
    /// keeps of it is bounded.
    ///
    /// # Guarantees
    /// An answer means that the script's own last frame has come: its exit status is its own. The
    /// call ends within seconds of `scope.deadline` or `scope.cancel`, which kill the script's
    /// process group. Dropped, it leaves the script to what its
    /// [`OnStdinEnd`](super::OnStdinEnd) says; the session stays usable.
    ///
    /// # Errors
    /// `Unreachable`, or `Denied` for a host key or a login: nothing was begun. `Lost`, `TimedOut`
    /// or `Cancelled`: how far it came is unknown. `Rejected`: the script cannot be sent. An exit
    /// status other than 0 is an answer, see [`Output::require_success`].
    pub async fn run(&self, script: &Script, scope: &Scope) -> Result<Output, BackendError> {
        let within = self.within(scope, self.0.turns.acquire());
        let _turn = within.await.map_err(|error| error.about(self.target()))?;
        let mask = self.mask();
        let mut stale = true;
        loop {
            let shell = self.within(scope, self.shell()).await.and_then(|shell| shell);
            let shell = shell.map_err(|error| error.about(self.target()))?;
            let link = shell.link().clone();
            let (result, shell) = shell.execute(script, (self.target(), &mask), scope).await;
            if let Some(shell) = shell {
                self.idle().push(shell);
            }
            match result {
                Ok(output) => return Ok(output),
                // An old shell may have died since its last step: once more, with a new one.
                Err(Failure::NotBegun(_)) if std::mem::take(&mut stale) => {
                    self.idle().clear();
                }
                Err(failure) => return Err(self.explain(failure, script, &link)),
            }
        }
    }

    /// Shows these texts no more in what steps of this session say to people: each with what stands
    /// in its place. [Answers](Script::answers) stay as they are.
    pub(crate) fn hide(&self, texts: impl IntoIterator<Item = (String, String)>) {
        let mut mask = self.0.mask.lock().unwrap_or_else(PoisonError::into_inner);
        *mask = mask.and(texts);
    }

    /// What is not to be shown of this target.
    pub(crate) fn mask(&self) -> Mask {
        self.0.mask.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens a stream to `host` and `port` as the target sees them.
    ///
    /// # Errors
    /// [`DialError::Refused`] when nothing answers there, [`DialError::Forbidden`] when the
    /// target's sshd does not forward; else the target could not be asked.
    pub async fn dial(&self, host: &str, port: u16, scope: &Scope) -> Result<Dialed, DialError> {
        let link = self.within(scope, self.link()).await.and_then(|link| link);
        let link = link.map_err(|error| error.about(self.target()))?;
        let dialing = async {
            match &link {
                Link::Ssh(connection) => connection.dial(host, port).await,
                Link::Local => match TcpStream::connect((host, port)).await {
                    Ok(stream) => Ok(Dialed::tcp(stream)),
                    Err(_) => Err(DialError::Refused { address: format!("{host}:{port}") }),
                },
            }
        };
        let late =
            |kind| BackendError::new(kind, format!("dial {host}:{port} from {}", self.target()));
        tokio::select! {
            dialed = dialing => dialed,
            () = tokio::time::sleep_until(scope.deadline) => {
                Err(late(ErrorKind::TimedOut).with_source("the time was up").into())
            }
            () = scope.cancel.cancelled() => Err(late(ErrorKind::Cancelled).into()),
        }
    }

    /// Connects, if there is no connection yet.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn connect(&self, scope: &Scope) -> Result<(), BackendError> {
        let link = self.within(scope, self.link()).await.and_then(|link| link);
        link.map(drop).map_err(|error| error.about(self.target()))
    }

    /// Closes the connection, when its running steps have ended. A later use opens it again.
    pub async fn close(&self) {
        self.idle().clear();
        self.0.slot.clear().await;
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Shell>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `future`, but not past the deadline or the order to give up.
    async fn within<T>(
        &self,
        scope: &Scope,
        future: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        tokio::select! {
            done = timeout_at(scope.deadline, future) => done.map_err(|_| ConnectError::TimeUp),
            () = scope.cancel.cancelled() => Err(ConnectError::Cancelled),
        }
    }

    /// What ssh's configuration says of the target. Connects to nothing.
    pub(crate) async fn host(&self) -> Result<Arc<HostConfig>, ConnectError> {
        let ask = async {
            let destination = Destination::parse(self.target().as_str())?;
            self.0.roads.ask(&destination).await.map(Arc::new)
        };
        self.0.host.get_or_try_init(|| ask).await.cloned()
    }

    async fn link(&self) -> Result<Link, ConnectError> {
        if self.0.roads.config().is_local(self.target()) {
            return Ok(Link::Local);
        }
        let host = self.host().await?;
        let patience = self.heartbeat() * MISSED;
        // Shells give signs of life even when they are idle; without shells silence says nothing.
        let has_shells = !self.idle().is_empty();
        let usable = |connection: &super::driver::Connection| {
            connection.loss().is_none() && !(has_shells && connection.silence() > patience)
        };
        let connect = self.0.roads.connect(host);
        Ok(Link::Ssh(self.0.slot.get(usable, connect).await?))
    }

    /// A shell that waits for a step: an idle one, or a new one.
    async fn shell(&self) -> Result<Shell, ConnectError> {
        for _ in 0..2 {
            let link = self.link().await?;
            if let Some(shell) = self.take_idle(&link) {
                return Ok(shell);
            }
            match Shell::open(link.clone(), self.heartbeat()).await {
                Ok(shell) => return Ok(shell),
                // The connection had died unnoticed, with nobody on it.
                Err(_) if link.loss().is_some() => {}
                // No more channels than those in use (MaxSessions): one of them will be free.
                Err(reason) if reason.contains("Channel open failure") && self.is_busy() => {
                    if let Some(shell) = self.next_idle(&link).await {
                        return Ok(shell);
                    }
                }
                Err(reason) => {
                    return Err(ConnectError::Shell { source: ShellRefused(reason) });
                }
            }
        }
        let reason = "the connection was lost twice before a shell was open".to_owned();
        Err(ConnectError::Early { address: self.target().to_string(), reason })
    }

    /// An idle shell on `link`; those on an older link are let go.
    fn take_idle(&self, link: &Link) -> Option<Shell> {
        let mut idle = self.idle();
        idle.retain(|shell| shell.link().is_same(link));
        idle.pop()
    }

    /// Whether another step is running.
    fn is_busy(&self) -> bool {
        self.0.turns.available_permits() + 1 < self.0.roads.config().max_shells.max(1)
    }

    /// Waits for a shell as long as other steps run.
    async fn next_idle(&self, link: &Link) -> Option<Shell> {
        while link.loss().is_none() {
            if let Some(shell) = self.take_idle(link) {
                return Some(shell);
            }
            if !self.is_busy() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    fn heartbeat(&self) -> Duration {
        let wanted = self.0.roads.config().heartbeat;
        let alive = self.0.host.get().and_then(|host| host.alive_interval);
        alive.map_or(wanted, |alive| alive.min(wanted))
    }

    fn explain(&self, failure: Failure, script: &Script, link: &Link) -> BackendError {
        let attempted = format!("{} on {}", script.purpose(), self.target());
        let new = |kind| BackendError::new(kind, attempted.clone());
        match failure {
            Failure::NotBegun(reason) => new(ErrorKind::Unreachable).with_source(reason),
            Failure::Lost(reason) => {
                let reason = link.loss().filter(|loss| loss != "given up").unwrap_or(reason);
                new(ErrorKind::Lost).with_source(format!("the connection was lost: {reason}"))
            }
            Failure::Refused(reason) => new(ErrorKind::Rejected).with_source(reason),
            Failure::TimedOut(stopped) => {
                stop(new(ErrorKind::TimedOut), "the time was up", &stopped)
            }
            Failure::Cancelled(stopped) => {
                stop(new(ErrorKind::Cancelled), "told to stop", &stopped)
            }
        }
    }
}

fn stop(error: BackendError, why: &str, stopped: &Stopped) -> BackendError {
    let how = if stopped.gone {
        "its process group was killed"
    } else {
        "it could not be seen to die, and may still run"
    };
    let error = error.with_source(format!("{why}; {how}"));
    if stopped.evidence.is_empty() { error } else { error.with_evidence(stopped.evidence.clone()) }
}
