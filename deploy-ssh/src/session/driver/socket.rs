//! The socket of a session, and when it is ready.

use std::{
    future::Future,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    pin::pin,
    task::{Context, Poll, ready},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{Shutdown, shutdown},
};
use tokio::{
    io::Interest,
    net::{TcpStream, UnixStream},
};

use crate::session::connect::Wire;

/// What a session's bytes travel over, watched by the runtime. libssh2 does the reading and the
/// writing.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Pair(UnixStream),
}

impl Socket {
    /// Must be called within a runtime.
    pub(super) fn new(wire: Wire) -> io::Result<Self> {
        Ok(match wire {
            Wire::Tcp(stream) => Self::Tcp(TcpStream::from_std(stream)?),
            Wire::Pair(stream) => Self::Pair(UnixStream::from_std(stream)?),
        })
    }

    /// Ready when there is something to read, be it the end.
    pub(super) fn poll_input(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            match self.look(Interest::READABLE, PollFlags::POLLIN) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                found => return Poll::Ready(found.map(drop)),
            }
        }
    }

    /// Ready when the other side has closed. For a socket that nobody reads.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            match self.look(Interest::READABLE, PollFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                found => return Poll::Ready(found.map(drop)),
            }
            // What has come was forgotten; an end is not.
            let state = match self {
                Self::Tcp(stream) => pin!(stream.ready(Interest::READABLE)).poll(cx),
                Self::Pair(stream) => pin!(stream.ready(Interest::READABLE)).poll(cx),
            };
            if matches!(state, Poll::Ready(Ok(state)) if state.is_read_closed()) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Ready when more can be written.
    pub(super) fn poll_output(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(match self {
                Self::Tcp(stream) => stream.poll_write_ready(cx),
                Self::Pair(stream) => stream.poll_write_ready(cx),
            })?;
            match self.look(Interest::WRITABLE, PollFlags::POLLOUT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                found => return Poll::Ready(found.map(drop)),
            }
        }
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Pair(stream) => stream.poll_read_ready(cx),
        }
    }

    /// What of `wanted`, or of its end, can be seen on the socket now. "Would block" when nothing
    /// can: then the runtime waits for the next event.
    ///
    /// The runtime hears of changes alone, and that libssh2 would block does not mean that it has
    /// read everything: it says so in the middle of a packet, too.
    fn look(&self, interest: Interest, wanted: PollFlags) -> io::Result<PollFlags> {
        let look = || {
            let mut fds = [PollFd::new(self.as_fd(), wanted)];
            poll(&mut fds, PollTimeout::ZERO)?;
            match fds[0].revents() {
                Some(found) if !found.is_empty() => Ok(found),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        };
        match self {
            Self::Tcp(stream) => stream.try_io(interest, look),
            Self::Pair(stream) => stream.try_io(interest, look),
        }
    }

    /// Ends it in both directions, whoever is using it.
    pub(super) fn shut_down(&self) {
        let _ = shutdown(self.as_raw_fd(), Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Pair(stream) => stream.as_fd(),
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
