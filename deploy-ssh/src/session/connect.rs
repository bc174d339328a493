//! How a session comes to be, step by step, in a thread of its own: names are resolved, and agents
//! and people's tokens asked, by calls that block.

use std::{
    fs::File,
    io,
    net::{TcpStream, ToSocketAddrs},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{fs::FileExt, net::UnixStream, process::CommandExt},
    },
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use ssh2::{MethodType, Session};

use super::{
    auth::{self, is_hang_up},
    distrust::Distrust,
    driver::{is_waiting, wait_for},
    error::ConnectError,
    file_memo::FileMemo,
    key_file::KeyFile,
    known_hosts::{KnownHost, KnownHosts},
    ssh_config::{AddressFamily, HostConfig},
};

/// What the bytes of a session travel over.
#[derive(Debug)]
pub(crate) enum Wire {
    Tcp(TcpStream),
    /// To a jump host's channel, or to a ProxyCommand.
    Pair(UnixStream),
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Pair(stream) => stream.as_fd(),
        }
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Which way a connection takes.
#[derive(Debug)]
pub(crate) enum Route {
    Direct,
    /// Over a stream that a jump host has opened.
    Through(UnixStream),
    /// Over the input and output of this command line.
    Command(String),
}

/// All that is needed to connect.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub host: Arc<HostConfig>,
    pub route: Route,
    pub ground: Arc<Ground>,
    pub timeout: Duration,
}

/// What all connections read: each file once.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    known_hosts: FileMemo<Result<KnownHosts, Distrust>>,
    keys: FileMemo<KeyFile>,
}

impl Ground {
    fn known_hosts(&self, host: &HostConfig) -> Arc<Result<KnownHosts, Distrust>> {
        let mut files = host.known_hosts.clone();
        files.extend(host.revoked_keys.clone());
        let read = || KnownHosts::read(&host.known_hosts, host.revoked_keys.as_deref());
        self.known_hosts.get(&files, read)
    }
}

/// A session that is logged in. It has no channels yet.
pub(crate) struct Opened {
    // The session is dropped before its wire: keep this order.
    pub session: Session,
    pub wire: Wire,
    pub proxy: Option<Proxy>,
}

/// The socket that a session uses, and does not own: its owner outlives it.
struct Lent(RawFd);

impl AsRawFd for Lent {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Recipe {
    /// Connects, checks the host's key and logs in. Blocks for at most twice the timeout;
    /// `given_up` ends it sooner.
    pub(crate) fn follow(self, given_up: &dyn Fn() -> bool) -> Result<Opened, ConnectError> {
        let Self { host, route, ground, timeout } = self;
        let deadline = Instant::now() + timeout;
        let (wire, proxy) = match route {
            Route::Direct => (Wire::Tcp(dial(&host, deadline)?), None),
            Route::Through(stream) => (Wire::Pair(stream), None),
            Route::Command(line) => {
                let (stream, proxy) = Proxy::start(&line)?;
                (Wire::Pair(stream), Some(proxy))
            }
        };
        let broken = |error: io::Error| ConnectError::Local(error.to_string());
        set_nonblocking(wire.as_fd()).map_err(broken)?;
        let mut session = Session::new().map_err(|e| ConnectError::Protocol(e.to_string()))?;
        session.set_tcp_stream(Lent(wire.as_raw_fd()));
        session.set_blocking(false);

        let known = ground.known_hosts(&host);
        let known = known.as_ref().as_ref().map_err(Clone::clone)?;
        let identity = host.identity();
        let known = known.about(&identity.known_as);
        prefer(&session, &host, &known)?;
        let address = host.address();
        let patience =
            Patience { wire: &wire, session: &session, address, timeout, deadline, given_up };
        let mut greeting = session.clone();
        patience.wait_until("the SSH handshake", || greeting.handshake()).map_err(
            |stop| match (stop, &proxy) {
                (Stop::Failed(error), Some(proxy)) if is_hang_up(&error) => {
                    ConnectError::Proxy(proxy.last_words().unwrap_or(error.message().to_owned()))
                }
                (stop, _) => patience.error(stop),
            },
        )?;
        drop(greeting);
        let Some((blob, _)) = session.host_key() else {
            return Err(ConnectError::Protocol("the host showed no key".to_owned()));
        };
        known.verify(&identity, blob)?;
        // An agent may ask a person to touch a token: that has a time of its own.
        let patience = Patience { deadline: Instant::now() + timeout, ..patience };
        auth::log_in(&session, &host, &ground.keys, &patience)?;
        drop(patience);
        Ok(Opened { session, wire, proxy })
    }
}

/// How long to wait for what, and what to say when it does not come.
pub(crate) struct Patience<'a> {
    wire: &'a Wire,
    session: &'a Session,
    address: String,
    timeout: Duration,
    deadline: Instant,
    given_up: &'a dyn Fn() -> bool,
}

/// Why something was not waited for any longer.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(ssh2::Error),
    Late { phase: &'static str },
    GivenUp,
}

impl Patience<'_> {
    /// Repeats `attempt` until it no longer asks to wait.
    pub(crate) fn wait_until<T>(
        &self,
        phase: &'static str,
        mut attempt: impl FnMut() -> Result<T, ssh2::Error>,
    ) -> Result<T, Stop> {
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) if is_waiting(&error) => {}
                Err(error) => return Err(Stop::Failed(error)),
            }
            if (self.given_up)() {
                return Err(Stop::GivenUp);
            }
            if Instant::now() >= self.deadline {
                return Err(Stop::Late { phase });
            }
            // An error of poll shows in the next attempt.
            let _ = wait_for(self.wire.as_fd(), &self.session.block_directions(), self.deadline);
        }
    }

    /// The same as an error of the connection.
    pub(crate) fn error(&self, stop: Stop) -> ConnectError {
        let address = self.address.clone();
        match stop {
            Stop::Failed(error) if is_hang_up(&error) => {
                ConnectError::Early { address, reason: error.message().to_owned() }
            }
            Stop::Failed(error) => ConnectError::Protocol(error.message().to_owned()),
            Stop::Late { phase } => ConnectError::Silent { address, phase, after: self.timeout },
            Stop::GivenUp => ConnectError::Cancelled,
        }
    }
}

/// Connects to the first address of the host that answers.
fn dial(host: &HostConfig, deadline: Instant) -> Result<TcpStream, ConnectError> {
    let name = host.hostname.as_str();
    let unresolved = |reason: String| ConnectError::Resolve { host: name.to_owned(), reason };
    let addresses = (name, host.port).to_socket_addrs().map_err(|e| unresolved(e.to_string()))?;
    let addresses: Vec<_> = addresses
        .filter(|address| match host.address_family {
            AddressFamily::Any => true,
            AddressFamily::V4 => address.is_ipv4(),
            AddressFamily::V6 => address.is_ipv6(),
        })
        .collect();
    let mut last = unresolved("it has no address of the wanted family".to_owned());
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        // An address that swallows packets leaves time for the next one.
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let (address, phase) = (address.to_string(), "the TCP connection");
                last = ConnectError::Silent { address, phase, after: share };
            }
            Err(error) => {
                last =
                    ConnectError::Tcp { address: address.to_string(), reason: error.to_string() };
            }
        }
    }
    Err(last)
}

/// Says which algorithms are wanted: what ssh is configured for, as far as libssh2 knows it, with
/// the types of host key that are known first, so that a host is not taken for another one.
/// Certificates are asked for where there is an authority to check them by, and come before all.
fn prefer(session: &Session, host: &HostConfig, known: &KnownHost<'_>) -> Result<(), ConnectError> {
    let (types, certified) = (known.types(), known.has_authority());
    let mut keys = common(session, MethodType::HostKey, &host.host_key_algorithms)?;
    let is_certificate = |key: &str| key.contains("-cert-v0");
    keys.retain(|key| certified || !is_certificate(key));
    keys.sort_by_key(|key| {
        let family = if key.starts_with("rsa-sha2-") { "ssh-rsa" } else { key.as_str() };
        !is_certificate(key) && !types.contains(family)
    });
    set(session, MethodType::HostKey, &keys)?;
    let wanted = [
        (MethodType::Kex, &host.kex_algorithms),
        (MethodType::CryptCs, &host.ciphers),
        (MethodType::CryptSc, &host.ciphers),
        (MethodType::MacCs, &host.macs),
        (MethodType::MacSc, &host.macs),
    ];
    for (kind, list) in wanted {
        let list = common(session, kind, list)?;
        set(session, kind, &list)?;
    }
    Ok(())
}

/// What both the configuration and libssh2 know, in the configured order.
fn common(
    session: &Session,
    kind: MethodType,
    wanted: &[String],
) -> Result<Vec<String>, ConnectError> {
    let supported =
        session.supported_algs(kind).map_err(|e| ConnectError::Protocol(e.to_string()))?;
    if wanted.is_empty() {
        return Ok(supported.iter().map(|&name| name.to_owned()).collect());
    }
    let both: Vec<String> =
        wanted.iter().filter(|w| supported.contains(&w.as_str())).cloned().collect();
    if both.is_empty() {
        let wanted = wanted.join(",");
        return Err(ConnectError::Config(format!(
            "libssh2 knows none of the configured algorithms {wanted}"
        )));
    }
    Ok(both)
}

fn set(session: &Session, kind: MethodType, list: &[String]) -> Result<(), ConnectError> {
    session
        .method_pref(kind, &list.join(","))
        .map_err(|error| ConnectError::Protocol(error.message().to_owned()))
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// A ProxyCommand that runs, in a process group of its own: a Ctrl-C at the terminal must not cut
/// the link that the run still needs. It cannot ask anything there. Dropped, the group is killed.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    complaints: File,
}

impl Proxy {
    fn start(line: &str) -> Result<(UnixStream, Self), ConnectError> {
        let start = || -> io::Result<(UnixStream, Self)> {
            let (ours, theirs) = UnixStream::pair()?;
            let output: OwnedFd = theirs.try_clone()?.into();
            let complaints = tempfile::tempfile()?;
            let child = Command::new("/bin/sh")
                .arg("-c")
                .arg(format!("exec {line}"))
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .stdout(Stdio::from(output))
                .stderr(Stdio::from(complaints.try_clone()?))
                .process_group(0)
                .env("SSH_ASKPASS_REQUIRE", "force")
                .spawn()?;
            Ok((ours, Self { child, complaints }))
        };
        start().map_err(|e| ConnectError::Proxy(format!("cannot start it: {e}")))
    }

    /// The last line that it wrote to standard error.
    fn last_words(&self) -> Option<String> {
        let mut end = [0; 512];
        let length = self.complaints.metadata().ok()?.len();
        let start = length.saturating_sub(end.len() as u64);
        let read = self.complaints.read_at(&mut end, start).ok()?;
        let text = String::from_utf8_lossy(&end[..read]);
        text.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
