//! One channel of a session: bytes between libssh2 and the ends that callers hold.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ssh2::Channel;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::oneshot,
};

/// How many chunks one channel may move before the others have their turn.
const CHUNKS: usize = 8;
/// How long the other side may take to agree to a close.
const CLOSING: Duration = Duration::from_secs(2);

/// The thread's ends of what a caller holds.
pub(super) struct Ends {
    /// Input and output.
    pub(super) io: DuplexStream,
    /// Standard error, for a command.
    pub(super) err: Option<DuplexStream>,
    /// Ends when the caller has dropped its ends.
    pub(super) gone: oneshot::Receiver<()>,
}

/// An error that belongs to the whole session, not to this channel.
#[derive(Debug)]
pub(super) struct Fatal;

/// A channel that is open.
pub(super) struct Pump {
    channel: Channel,
    ends: Ends,
    up: Backlog,
    up_ended: bool,
    eof_sent: bool,
    down: Backlog,
    down_err: Backlog,
    remote_ended: bool,
    gone: bool,
    closing: Option<Instant>,
    closed: bool,
}

/// What a pump works with in its turn.
pub(super) struct Turn<'a, 'b> {
    pub(super) cx: &'a mut Context<'b>,
    /// Room for what is on its way, as much as is moved at a time.
    pub(super) room: &'a mut [u8],
    /// Whether the socket may hold something new. One read takes all of that, for all channels of
    /// the session: whoever reads first clears it.
    pub(super) fresh: bool,
}

impl Pump {
    pub(super) fn new(channel: Channel, ends: Ends) -> Self {
        Self {
            channel,
            ends,
            up: Backlog::default(),
            up_ended: false,
            eof_sent: false,
            down: Backlog::default(),
            down_err: Backlog::default(),
            remote_ended: false,
            gone: false,
            closing: None,
            closed: false,
        }
    }

    /// Whether nothing more will happen here.
    pub(super) fn is_done(&self) -> bool {
        self.closed
    }

    /// Whether it waits for the other side to agree to a close.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether it would read what comes from the other side.
    pub(super) fn wants_input(&self) -> bool {
        self.is_closing() || (self.down.is_empty() && self.down_err.is_empty())
    }

    /// Moves what can be moved without waiting. Says whether there is more to do at once.
    pub(super) fn turn(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Fatal> {
        let mut busy = false;
        if self.closing.is_none() {
            busy |= self.move_up(turn);
            busy |= self.move_down(turn)?;
            self.gone = self.gone || Pin::new(&mut self.ends.gone).poll(turn.cx).is_ready();
            // What was written before the ends were dropped is still sent, but not waited for.
            if self.remote_ended || (self.gone && (self.eof_sent || !self.up.is_empty())) {
                self.closing = Some(Instant::now() + CLOSING);
            }
        }
        if let Some(until) = self.closing {
            self.closed = match self.channel.close() {
                Ok(()) => true,
                Err(error) => !would_block(&error) || Instant::now() >= until,
            };
        }
        Ok(busy)
    }

    fn move_up(&mut self, turn: &mut Turn<'_, '_>) -> bool {
        if !self.up.is_empty() && !self.send_up(None) {
            return false;
        }
        for _ in 0..CHUNKS {
            if self.up_ended {
                break;
            }
            let mut room = ReadBuf::new(turn.room);
            match Pin::new(&mut self.ends.io).poll_read(turn.cx, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                    if !self.send_up(Some(room.filled())) {
                        return false;
                    }
                }
                Poll::Ready(_) => self.up_ended = true,
                Poll::Pending => return false,
            }
        }
        if !self.up_ended {
            return true;
        }
        if !self.eof_sent {
            let waits = self.channel.send_eof().is_err_and(|error| would_block(&error));
            self.eof_sent = !waits;
        }
        false
    }

    /// Sends `bytes`, or what was left over; says whether all of it went.
    fn send_up(&mut self, bytes: Option<&[u8]>) -> bool {
        let mut done = 0;
        loop {
            let rest = &bytes.unwrap_or(self.up.rest())[done..];
            if rest.is_empty() {
                break;
            }
            match self.channel.write(rest) {
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // The channel takes no more; whether the session does is seen when it is read.
                    self.up.clear();
                    self.up_ended = true;
                    self.eof_sent = true;
                    return false;
                }
            }
        }
        match bytes {
            Some(bytes) => self.up.put(&bytes[done..]),
            None => self.up.consume(done),
        }
        self.up.is_empty()
    }

    fn move_down(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Fatal> {
        let mut busy = false;
        let ready = self.down.drain_to(&mut self.ends.io, turn.cx);
        if ready && (turn.fresh || self.has_input()) {
            turn.fresh = false;
            let mut out = self.channel.stream(0);
            busy |= move_stream(&mut out, &mut self.down, &mut self.ends.io, turn)?;
        }
        // What the session still holds for this channel is for standard error.
        if let Some(end) = &mut self.ends.err
            && self.down_err.drain_to(end, turn.cx)
            && self.channel.read_window().available > 0
        {
            let mut err = self.channel.stream(ssh2::EXTENDED_DATA_STDERR);
            busy |= move_stream(&mut err, &mut self.down_err, end, turn)?;
        }
        let drained = self.down.is_empty() && self.down_err.is_empty() && !busy;
        self.remote_ended = drained && self.channel.eof();
        Ok(busy)
    }

    /// Whether the session holds something for this channel. Unlike a read that finds nothing,
    /// this costs no system call.
    fn has_input(&self) -> bool {
        self.channel.read_window().available > 0
    }
}

/// Reads from `stream` into `end` until either has had enough. Says whether there may be more.
fn move_stream(
    stream: &mut ssh2::Stream,
    backlog: &mut Backlog,
    end: &mut DuplexStream,
    turn: &mut Turn<'_, '_>,
) -> Result<bool, Fatal> {
    for _ in 0..CHUNKS {
        let read = match stream.read(turn.room) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(Fatal),
        };
        let whole = backlog.pass(&turn.room[..read], end, turn.cx);
        // Less than there was room for: that was all.
        if !whole || read < turn.room.len() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn would_block(error: &ssh2::Error) -> bool {
    io::Error::from(ssh2::Error::from_errno(error.code())).kind() == io::ErrorKind::WouldBlock
}

/// Bytes that the other side did not take yet.
#[derive(Default)]
struct Backlog {
    bytes: Vec<u8>,
    start: usize,
}

impl Backlog {
    fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the first `count` bytes; memory is given back when there is nothing left.
    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.is_empty() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    /// Hands `bytes` on, and keeps what is not taken; says whether all were. Those that nobody
    /// will ever take are dropped.
    fn pass(&mut self, bytes: &[u8], to: &mut DuplexStream, cx: &mut Context<'_>) -> bool {
        let taken = write_to(to, bytes, cx);
        self.put(&bytes[taken..]);
        self.is_empty()
    }

    /// Hands on what it holds; says whether it is empty then.
    fn drain_to(&mut self, to: &mut DuplexStream, cx: &mut Context<'_>) -> bool {
        if !self.is_empty() {
            let taken = write_to(to, self.rest(), cx);
            self.consume(taken);
        }
        self.is_empty()
    }
}

/// How many of `bytes` are taken now, or never will be.
fn write_to(to: &mut DuplexStream, bytes: &[u8], cx: &mut Context<'_>) -> usize {
    let mut taken = 0;
    while taken < bytes.len() {
        match Pin::new(&mut *to).poll_write(cx, &bytes[taken..]) {
            Poll::Ready(Ok(written)) => taken += written,
            Poll::Ready(Err(_)) => return bytes.len(),
            Poll::Pending => break,
        }
    }
    taken
}
