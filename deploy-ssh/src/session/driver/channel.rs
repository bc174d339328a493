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

/// How much is taken from either side at a time.
const CHUNK: usize = 64 * 1024;
/// How many chunks one channel may move before the others have their turn.
const TURN: usize = 8;
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
    up: Buffer,
    up_ended: bool,
    eof_sent: bool,
    down: Buffer,
    down_err: Buffer,
    remote_ended: bool,
    gone: bool,
    closing: Option<Instant>,
    closed: bool,
}

impl Pump {
    pub(super) fn new(channel: Channel, ends: Ends) -> Self {
        Self {
            channel,
            ends,
            up: Buffer::new(),
            up_ended: false,
            eof_sent: false,
            down: Buffer::new(),
            down_err: Buffer::new(),
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

    /// Whether it wants to hear from the other side.
    pub(super) fn wants_input(&self) -> bool {
        self.is_closing()
            || !self.up.is_empty()
            || (self.down.is_empty() && self.down_err.is_empty())
    }

    /// Moves what can be moved without waiting. Says whether there is more to do at once.
    pub(super) fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, Fatal> {
        let mut busy = false;
        if self.closing.is_none() {
            busy |= self.move_up(cx)?;
            busy |= self.move_down(cx)?;
            self.gone = self.gone || Pin::new(&mut self.ends.gone).poll(cx).is_ready();
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

    fn move_up(&mut self, cx: &mut Context<'_>) -> Result<bool, Fatal> {
        for _ in 0..TURN {
            if self.up.is_empty() && !self.up_ended {
                match self.up.fill_from(&mut self.ends.io, cx) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => self.up_ended = true,
                    Poll::Pending => return Ok(false),
                }
            }
            if self.up.is_empty() {
                if !self.eof_sent {
                    match self.channel.send_eof() {
                        Ok(()) => self.eof_sent = true,
                        Err(error) if would_block(&error) => {}
                        Err(_) => self.eof_sent = true,
                    }
                }
                return Ok(false);
            }
            match self.channel.write(self.up.rest()) {
                Ok(written) => self.up.consume(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(_) => {
                    // The channel takes no more; whether the session does is seen when it is read.
                    self.up.clear();
                    self.up_ended = true;
                    self.eof_sent = true;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn move_down(&mut self, cx: &mut Context<'_>) -> Result<bool, Fatal> {
        let mut out = self.channel.stream(0);
        let busy = move_stream(&mut out, &mut self.down, &mut self.ends.io, cx)?;
        let mut err_busy = false;
        if let Some(end) = &mut self.ends.err {
            let mut err = self.channel.stream(ssh2::EXTENDED_DATA_STDERR);
            err_busy = move_stream(&mut err, &mut self.down_err, end, cx)?;
        }
        let drained = self.down.is_empty() && self.down_err.is_empty() && !busy && !err_busy;
        self.remote_ended = drained && self.channel.eof();
        Ok(busy || err_busy)
    }
}

/// Reads from `stream` into `end` until either has had enough. Says whether there may be more.
fn move_stream(
    stream: &mut ssh2::Stream,
    buffer: &mut Buffer,
    end: &mut DuplexStream,
    cx: &mut Context<'_>,
) -> Result<bool, Fatal> {
    for _ in 0..TURN {
        if !buffer.drain_to(end, cx) {
            return Ok(false);
        }
        match buffer.read_from(stream) {
            Ok(0) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(Fatal),
        }
    }
    Ok(true)
}

pub(crate) fn would_block(error: &ssh2::Error) -> bool {
    io::Error::from(ssh2::Error::from_errno(error.code())).kind() == io::ErrorKind::WouldBlock
}

/// Bytes on their way.
struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: Box::default(), start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn room(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = vec![0; CHUNK].into_boxed_slice();
        }
        &mut self.bytes
    }

    /// Fills an empty buffer. `Ready(false)` is the end.
    fn fill_from(&mut self, from: &mut DuplexStream, cx: &mut Context<'_>) -> Poll<bool> {
        let mut room = ReadBuf::new(self.room());
        match Pin::new(from).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) => {
                (self.start, self.end) = (0, room.filled().len());
                Poll::Ready(self.end > 0)
            }
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }

    fn read_from(&mut self, from: &mut ssh2::Stream) -> io::Result<usize> {
        let read = from.read(self.room())?;
        (self.start, self.end) = (0, read);
        Ok(read)
    }

    /// Hands on what it holds; says whether it is empty then. What nobody takes is dropped.
    fn drain_to(&mut self, to: &mut DuplexStream, cx: &mut Context<'_>) -> bool {
        while !self.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, self.rest()) {
                Poll::Ready(Ok(written)) => self.consume(written),
                Poll::Ready(Err(_)) => self.clear(),
                Poll::Pending => return false,
            }
        }
        true
    }
}
