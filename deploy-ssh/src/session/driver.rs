//! One task owns one libssh2 session, from the login to the last drop.
//!
//! A session is not thread-safe, nor are its channels, nor their drops: nothing outside of this
//! task ever touches them. Work arrives as jobs; bytes travel through in-memory pipes whose other
//! ends are polled here, together with the socket. The session never blocks: closing or dropping a
//! channel of a blocking session waits for ever. What may block, from the name of the host to the
//! login, is done before, in a thread that ends with it.

mod channel;
mod guarded;
mod room;
mod socket;
mod starting;

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    io,
    os::fd::BorrowedFd,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    thread,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, Session};
use tokio::{
    io::duplex,
    sync::{mpsc, oneshot},
    time::{Sleep, sleep},
};

pub(crate) use self::{channel::would_block as is_waiting, guarded::Guarded};
use self::{
    channel::{Ends, Pump, Turn, would_block},
    room::Room,
    socket::Socket,
    starting::{Job, Starting, is_channels_own},
};
use super::{
    connect::{Opened, Proxy, Recipe},
    dial::{DialError, Dialed},
    error::ConnectError,
    link::ShellIo,
};

/// How much an in-memory pipe holds. It keeps its room for as long as the connection lasts.
const PIPE: usize = 16 * 1024;
/// The stack of a thread that connects: libssh2 and OpenSSL need little, getaddrinfo some more.
const STACK: usize = 512 * 1024;
/// How long until a close that is not answered is looked at again.
const CLOSING: Duration = Duration::from_millis(100);

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

/// A connection that is open: the handle of its task. Dropped, it is closed in good order.
pub(crate) struct Connection {
    /// Nothing is an order to look what has changed.
    jobs: mpsc::UnboundedSender<Option<Job>>,
    shared: Arc<Shared>,
    socket: Arc<Socket>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("loss", &self.loss()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects as `recipe` says, in a thread of its own. Then a task serves the connection.
    ///
    /// Dropping the future gives up; the thread ends soon after.
    pub(crate) async fn open(recipe: Recipe) -> Result<Self, ConnectError> {
        let (reply, opened) = oneshot::channel();
        thread::Builder::new()
            .name("ssh-connect".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let opened = recipe.follow(&|| reply.is_closed());
                // Nobody waits any more: it is closed as it is dropped.
                let _ = reply.send(opened);
            })
            .map_err(|error| ConnectError::Local(format!("cannot start a thread: {error}")))?;
        let opened = opened.await.unwrap_or_else(|_| {
            Err(ConnectError::Protocol("the thread that connects has panicked".to_owned()))
        })?;
        Self::serve(opened).map_err(|error| ConnectError::Local(error.to_string()))
    }

    /// Hands a session over to its task.
    fn serve(opened: Opened) -> io::Result<Self> {
        let Opened { session, wire, proxy } = opened;
        let socket = Arc::new(Socket::new(wire)?);
        let (lost, heard) = (OnceLock::new(), AtomicU64::new(0));
        let shared = Arc::new(Shared { since: Instant::now(), heard, lost });
        let (jobs, queue) = mpsc::unbounded_channel();
        let driver = Driver {
            pumps: Vec::new(),
            starting: None,
            session,
            socket: socket.clone(),
            _proxy: proxy,
            queue,
            waiting: VecDeque::new(),
            is_over: false,
            fresh: true,
            nap: None,
            shared: shared.clone(),
        };
        tokio::spawn(driver.serve());
        Ok(Self { jobs, shared, socket })
    }

    /// Starts `command` on a new channel.
    pub(crate) async fn exec(&self, command: &str) -> Result<ShellIo, String> {
        let (io, other_io) = duplex(PIPE);
        let (err, other_err) = duplex(PIPE);
        let (guard, gone) = oneshot::channel();
        let (reply, opened) = oneshot::channel();
        let ends = Ends { io: other_io, err: Some(other_err), gone };
        let job = Job::Exec { command: command.to_owned(), ends, reply };
        self.jobs.send(Some(job)).map_err(|_| self.why_lost())?;
        opened.await.map_err(|_| self.why_lost())??;
        let (stdout, stdin) = tokio::io::split(Guarded::new(io, guard));
        Ok(ShellIo { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: Box::new(err) })
    }

    /// Opens a stream to `host` and `port` as the other side sees them.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<Dialed, DialError> {
        let (io, other_io) = duplex(PIPE);
        let (guard, gone) = oneshot::channel();
        let (reply, opened) = oneshot::channel();
        let ends = Ends { io: other_io, err: None, gone };
        let lost = |()| DialError::Lost(self.why_lost());
        let job = Job::Dial { host: host.to_owned(), port, ends, reply };
        self.jobs.send(Some(job)).map_err(|_| lost(()))?;
        opened.await.map_err(|_| lost(()))??;
        Ok(Dialed::channel(Guarded::new(io, guard)))
    }

    /// Shuts the socket down, whatever is going on.
    pub(crate) fn cut(&self) {
        let _ = self.shared.lost.set("given up".to_owned());
        self.socket.shut_down();
        let _ = self.jobs.send(None);
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

struct Driver {
    // Channels are dropped before the session, the session before its socket: keep this order.
    pumps: Vec<Pump>,
    starting: Option<Starting>,
    session: Session,
    socket: Arc<Socket>,
    _proxy: Option<Proxy>,
    queue: mpsc::UnboundedReceiver<Option<Job>>,
    waiting: VecDeque<Job>,
    /// Whether there will be no more jobs.
    is_over: bool,
    /// Whether the socket, or what libssh2 has read from it, may hold something new.
    fresh: bool,
    /// Until when a close that is not answered may wait.
    nap: Option<Pin<Box<Sleep>>>,
    shared: Arc<Shared>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.shared.lost.set("the connection is closed".to_owned());
        // Every call of libssh2 then fails at once, drops included.
        self.socket.shut_down();
    }
}

impl Driver {
    /// Serves until the handle is dropped and all channels are closed, or the link is lost.
    async fn serve(mut self) {
        let reason = poll_fn(|cx| self.poll(cx)).await;
        let _ = self.shared.lost.set(reason);
    }

    /// Does what can be done now. Ready when there is nothing left to do, with the reason.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        loop {
            self.take_jobs(cx);
            let step = self.pump(cx).and_then(|moved| Ok(moved | self.start()?));
            let busy = match step {
                Ok(busy) => busy,
                Err(reason) => return Poll::Ready(reason),
            };
            if let Some(reason) = self.shared.lost.get() {
                return Poll::Ready(reason.clone());
            }
            if self.is_over && self.pumps.is_empty() && self.starting.is_none() {
                self.say_goodbye();
                return Poll::Ready("closed".to_owned());
            }
            if busy {
                // Others have their turn before there is more.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Err(reason) = ready!(self.wait(cx)) {
                return Poll::Ready(reason);
            }
        }
    }

    /// Takes new jobs.
    fn take_jobs(&mut self, cx: &mut Context<'_>) {
        while !self.is_over {
            match self.queue.poll_recv(cx) {
                Poll::Ready(Some(job)) => self.waiting.extend(job),
                Poll::Ready(None) => self.is_over = true,
                Poll::Pending => break,
            }
        }
    }

    fn pump(&mut self, cx: &mut Context<'_>) -> Result<bool, String> {
        let count = self.pumps.len();
        if count == 0 {
            return Ok(false);
        }
        let mut room = Room::take();
        let mut turn = Turn { cx, room: &mut room, fresh: self.fresh };
        let mut busy = false;
        for pump in &mut self.pumps {
            match pump.turn(&mut turn) {
                Ok(more) => busy |= more,
                Err(channel::Fatal) => return Err(self.last_error()),
            }
        }
        self.fresh = turn.fresh;
        self.pumps.retain(|pump| !pump.is_done());
        if self.pumps.len() < count {
            // A close reads until it is agreed to, and what it met on the way was others'.
            self.fresh = true;
            busy = true;
        }
        Ok(busy)
    }

    /// Opens the next channel, one at a time: libssh2 keeps that state in the session. Says
    /// whether one was finished.
    fn start(&mut self) -> Result<bool, String> {
        let Some(mut starting) =
            self.starting.take().or_else(|| self.waiting.pop_front().map(Starting::new))
        else {
            return Ok(false);
        };
        // Its answers are read among those of others.
        self.fresh = true;
        match starting.advance(&self.session) {
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

    /// Ready when the socket has something new, or takes more; callers wake the task themselves.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        let broken = |error: io::Error| Poll::Ready(Err(format!("wait for the socket: {error}")));
        let mut ready = false;
        if self.pumps.is_empty() && self.starting.is_none() {
            // Nobody reads, so nobody else would see the end.
            return self.socket.poll_end(cx).map(|_| Err("the connection was closed".to_owned()));
        }
        if self.starting.is_some() || self.pumps.iter().any(Pump::wants_input) {
            match self.socket.poll_input(cx) {
                Poll::Ready(Ok(())) => {
                    self.shared.hear();
                    ready = true;
                }
                Poll::Ready(Err(error)) => return broken(error),
                Poll::Pending => {}
            }
        }
        let blocked = self.session.block_directions();
        if matches!(blocked, BlockDirections::Outbound | BlockDirections::Both) {
            match self.socket.poll_output(cx) {
                Poll::Ready(Ok(())) => ready = true,
                Poll::Ready(Err(error)) => return broken(error),
                Poll::Pending => {}
            }
        }
        if self.pumps.iter().any(Pump::is_closing) {
            let nap = self.nap.get_or_insert_with(|| Box::pin(sleep(CLOSING)));
            if nap.as_mut().poll(cx).is_ready() {
                self.nap = None;
                ready = true;
            }
        } else {
            self.nap = None;
        }
        self.fresh |= ready;
        if ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn last_error(&self) -> String {
        ssh2::Error::last_session_error(&self.session)
            .map_or_else(|| "the connection was closed".to_owned(), |e| e.message().to_owned())
    }

    /// Tells the server that this is the end, if that needs no waiting.
    fn say_goodbye(&self) {
        let _ = self.session.disconnect(None, "done", None);
    }
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
