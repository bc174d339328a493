//! One thread owns one libssh2 session for its whole life.
//!
//! A session is not thread-safe, nor are its channels, nor their drops: nothing outside this
//! thread ever touches them. Work arrives as jobs; bytes travel through in-memory pipes whose
//! thread ends are polled here, with a waker that ends the thread's `poll(2)`. The session never
//! blocks: closing or dropping a channel of a blocking session waits for ever.

mod channel;
mod guarded;
mod wake;

use std::{
    collections::VecDeque,
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{Shutdown, shutdown},
};
use ssh2::{BlockDirections, Channel, Session};
use tokio::{
    io::duplex,
    sync::{mpsc, oneshot},
};

pub(crate) use self::{channel::would_block as is_waiting, guarded::Guarded};
use self::{
    channel::{Ends, Pump, would_block},
    wake::Ear,
};
use super::{
    connect::{Opened, Recipe},
    dial::{DialError, Dialed},
    error::ConnectError,
    link::ShellIo,
};

/// How much an in-memory pipe holds.
const PIPE: usize = 256 * 1024;
/// The stack of a session's thread: libssh2 and OpenSSL need little, getaddrinfo some more.
const STACK: usize = 512 * 1024;

/// What a thread is asked to do. Each is a channel to open.
enum Job {
    Exec { command: String, ends: Ends, reply: oneshot::Sender<Result<(), String>> },
    Dial { host: String, port: u16, ends: Ends, reply: oneshot::Sender<Result<(), DialError>> },
}

/// What both sides know of a connection.
#[derive(Debug)]
struct Shared {
    since: Instant,
    /// Milliseconds from `since` to the last byte that came.
    heard: AtomicU64,
    lost: OnceLock<String>,
}

impl Shared {
    fn hear(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
    }
}

/// A connection that is open: the handle of its thread. Dropped, it is closed in good order.
pub(crate) struct Connection {
    jobs: mpsc::UnboundedSender<Job>,
    shared: Arc<Shared>,
    socket: OwnedFd,
    waker: std::task::Waker,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("loss", &self.loss()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects as `recipe` says, in a thread of its own that then serves the connection.
    ///
    /// Dropping the future gives up; the thread ends soon after.
    pub(crate) async fn open(recipe: Recipe) -> Result<Self, ConnectError> {
        let (reply, opened) = oneshot::channel();
        thread::Builder::new()
            .name("ssh-session".to_owned())
            .stack_size(STACK)
            .spawn(move || live(recipe, reply))
            .map_err(|error| ConnectError::Local(format!("cannot start a thread: {error}")))?;
        opened.await.unwrap_or_else(|_| {
            Err(ConnectError::Protocol("the session's thread has panicked".to_owned()))
        })
    }

    /// Starts `command` on a new channel.
    pub(crate) async fn exec(&self, command: &str) -> Result<ShellIo, String> {
        let (io, thread_io) = duplex(PIPE);
        let (err, thread_err) = duplex(PIPE);
        let (guard, gone) = oneshot::channel();
        let (reply, opened) = oneshot::channel();
        let ends = Ends { io: thread_io, err: Some(thread_err), gone };
        let job = Job::Exec { command: command.to_owned(), ends, reply };
        self.jobs.send(job).map_err(|_| self.why_lost())?;
        opened.await.map_err(|_| self.why_lost())??;
        let (stdout, stdin) = tokio::io::split(Guarded::new(io, guard));
        Ok(ShellIo { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(err) })
    }

    /// Opens a stream to `host` and `port` as the other side sees them.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<Dialed, DialError> {
        let (io, thread_io) = duplex(PIPE);
        let (guard, gone) = oneshot::channel();
        let (reply, opened) = oneshot::channel();
        let ends = Ends { io: thread_io, err: None, gone };
        let lost = |()| DialError::Lost(self.why_lost());
        let job = Job::Dial { host: host.to_owned(), port, ends, reply };
        self.jobs.send(job).map_err(|_| lost(()))?;
        opened.await.map_err(|_| lost(()))??;
        Ok(Dialed::channel(Guarded::new(io, guard)))
    }

    /// Shuts the socket down, whatever is going on.
    pub(crate) fn cut(&self) {
        let _ = self.shared.lost.set("given up".to_owned());
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        self.waker.wake_by_ref();
    }

    /// Why it was lost, if it was.
    pub(crate) fn loss(&self) -> Option<String> {
        self.shared.lost.get().cloned()
    }

    /// How long nothing has come from the other side.
    pub(crate) fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.shared.heard.load(Ordering::Relaxed));
        self.shared.since.elapsed().saturating_sub(heard)
    }

    fn why_lost(&self) -> String {
        self.loss().unwrap_or_else(|| "the connection is closed".to_owned())
    }
}

/// The life of a session's thread: connect, serve, close.
fn live(recipe: Recipe, reply: oneshot::Sender<Result<Connection, ConnectError>>) {
    let opened = match recipe.follow(&|| reply.is_closed()) {
        Ok(opened) => opened,
        Err(error) => return drop(reply.send(Err(error))),
    };
    let shared =
        Arc::new(Shared { since: Instant::now(), heard: AtomicU64::new(0), lost: OnceLock::new() });
    let (jobs, queue) = mpsc::unbounded_channel();
    let prepared = Ear::new().and_then(|ear| Ok((opened.wire.as_fd().try_clone_to_owned()?, ear)));
    let (socket, ear) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return drop(reply.send(Err(ConnectError::Local(error.to_string())))),
    };
    let connection = Connection { jobs, shared: shared.clone(), socket, waker: ear.waker() };
    let driver = Driver {
        opened,
        ear,
        queue,
        waiting: VecDeque::new(),
        starting: None,
        pumps: Vec::new(),
        shared: shared.clone(),
    };
    if reply.send(Ok(connection)).is_ok() {
        driver.serve();
    }
}

/// A channel on its way to being open.
struct Starting {
    job: Job,
    channel: Option<Channel>,
}

struct Driver {
    // Channels are dropped before the session, the session before its socket: keep this order.
    pumps: Vec<Pump>,
    starting: Option<Starting>,
    opened: Opened,
    ear: Ear,
    queue: mpsc::UnboundedReceiver<Job>,
    waiting: VecDeque<Job>,
    shared: Arc<Shared>,
}

impl Driver {
    fn serve(mut self) {
        let waker = self.ear.waker();
        let mut cx = Context::from_waker(&waker);
        let reason = loop {
            self.ear.clear();
            let closed = self.take_jobs(&mut cx);
            let mut busy = match self.pump(&mut cx) {
                Ok(busy) => busy,
                Err(reason) => break reason,
            };
            match self.start() {
                Ok(progress) => busy |= progress,
                Err(reason) => break reason,
            }
            if closed && self.pumps.is_empty() && self.starting.is_none() {
                self.say_goodbye();
                break "closed".to_owned();
            }
            match self.wait(busy) {
                Ok(()) => {}
                Err(reason) => break reason,
            }
            if let Some(reason) = self.shared.lost.get() {
                break reason.clone();
            }
        };
        let _ = self.shared.lost.set(reason);
        // A socket that is shut down makes every libssh2 call fail at once, drops included.
        let _ = shutdown(self.opened.wire.as_fd().as_raw_fd(), Shutdown::Both);
    }

    /// Takes new jobs; says whether there will be no more.
    fn take_jobs(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.queue.poll_recv(cx) {
                Poll::Ready(Some(job)) => self.waiting.push_back(job),
                Poll::Ready(None) => return self.waiting.is_empty(),
                Poll::Pending => return false,
            }
        }
    }

    fn pump(&mut self, cx: &mut Context<'_>) -> Result<bool, String> {
        let mut busy = false;
        for pump in &mut self.pumps {
            match pump.turn(cx) {
                Ok(more) => busy |= more,
                Err(channel::Fatal) => return Err(self.last_error()),
            }
        }
        self.pumps.retain(|pump| !pump.is_done());
        Ok(busy)
    }

    /// Opens the next channel, one at a time: libssh2 keeps that state in the session. Says
    /// whether one was finished.
    fn start(&mut self) -> Result<bool, String> {
        let Some(mut starting) = self
            .starting
            .take()
            .or_else(|| self.waiting.pop_front().map(|job| Starting { job, channel: None }))
        else {
            return Ok(false);
        };
        match starting.advance(&self.opened.session) {
            Ok(channel) => {
                self.pumps.push(starting.succeed(channel));
                Ok(true)
            }
            Err(error) if would_block(&error) => {
                self.starting = Some(starting);
                Ok(false)
            }
            Err(error) => {
                let fatal = !is_channels_own(&error);
                let reason = error.message().to_owned();
                starting.fail(&error);
                if fatal { Err(reason) } else { Ok(true) }
            }
        }
    }

    /// Waits until the socket or a caller has something new.
    fn wait(&self, busy: bool) -> Result<(), String> {
        let mut wanted = PollFlags::empty();
        let blocked = self.opened.session.block_directions();
        if matches!(blocked, BlockDirections::Outbound | BlockDirections::Both) {
            wanted |= PollFlags::POLLOUT;
        }
        let closing = self.pumps.iter().any(Pump::is_closing);
        if self.starting.is_some() || self.pumps.iter().any(Pump::wants_input) {
            wanted |= PollFlags::POLLIN;
        }
        let wire = self.opened.wire.as_fd();
        let ear = self.ear.fd();
        let mut fds = [PollFd::new(wire, wanted), PollFd::new(ear.as_fd(), PollFlags::POLLIN)];
        let timeout = match (busy, closing) {
            (true, _) => PollTimeout::ZERO,
            (false, true) => PollTimeout::from(100_u8),
            (false, false) => PollTimeout::from(30_000_u16),
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(format!("poll: {error}")),
        }
        let happened = fds[0].revents().unwrap_or(PollFlags::empty());
        if happened.contains(PollFlags::POLLIN) {
            self.shared.hear();
        } else if happened.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL)
        {
            return Err("the connection was closed".to_owned());
        }
        Ok(())
    }

    fn last_error(&self) -> String {
        ssh2::Error::last_session_error(&self.opened.session)
            .map_or_else(|| "the connection was closed".to_owned(), |e| e.message().to_owned())
    }

    /// Tells the server that this is the end, if that needs no waiting.
    fn say_goodbye(&self) {
        let _ = self.opened.session.disconnect(None, "done", None);
    }
}

impl Starting {
    /// Goes on as far as possible; "would block" is an error here.
    fn advance(&mut self, session: &Session) -> Result<Channel, ssh2::Error> {
        let channel = match (self.channel.take(), &self.job) {
            (Some(channel), _) => channel,
            (None, Job::Exec { .. }) => session.channel_session()?,
            (None, Job::Dial { host, port, .. }) => {
                return session.channel_direct_tcpip(host, *port, None);
            }
        };
        let Job::Exec { command, .. } = &self.job else { return Ok(channel) };
        let mut channel = channel;
        match channel.exec(command) {
            Ok(()) => Ok(channel),
            Err(error) => {
                self.channel = Some(channel);
                Err(error)
            }
        }
    }

    fn succeed(self, channel: Channel) -> Pump {
        match self.job {
            Job::Exec { ends, reply, .. } => {
                let _ = reply.send(Ok(()));
                Pump::new(channel, ends)
            }
            Job::Dial { ends, reply, .. } => {
                let _ = reply.send(Ok(()));
                Pump::new(channel, ends)
            }
        }
    }

    fn fail(self, error: &ssh2::Error) {
        match self.job {
            Job::Exec { reply, .. } => {
                let _ = reply.send(Err(error.message().to_owned()));
            }
            Job::Dial { host, port, reply, .. } => {
                let _ = reply.send(Err(DialError::refused(&host, port, error.message())));
            }
        }
    }
}

/// Whether an error leaves the session itself whole: the server refused the channel or the command.
fn is_channels_own(error: &ssh2::Error) -> bool {
    const REFUSED: [i32; 3] = [-21, -22, -23]; // CHANNEL_FAILURE, REQUEST_DENIED, CHANNEL_UNKNOWN
    matches!(error.code(), ssh2::ErrorCode::Session(code) if REFUSED.contains(&code))
}

/// Waits until `wire` is ready for what the session waits for, or until `deadline`.
pub(crate) fn wait_for(
    wire: BorrowedFd<'_>,
    blocked: &BlockDirections,
    deadline: Instant,
) -> io::Result<()> {
    let mut wanted = PollFlags::POLLIN;
    if matches!(blocked, BlockDirections::Outbound | BlockDirections::Both) {
        wanted |= PollFlags::POLLOUT;
    }
    // Short naps, so that a start that nobody waits for any more is given up soon.
    let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(250));
    let timeout = PollTimeout::from(u8::try_from(left.as_millis()).unwrap_or(250));
    poll(&mut [PollFd::new(wire, wanted)], timeout)?;
    Ok(())
}
