//! Wakes a session's thread from its `poll(2)`.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// The end that wakes: the thread's futures get it as their waker.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    wire: UnixStream,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // It holds one byte at most, so it is never full; a thread that is gone hears nothing.
            let _ = (&self.wire).write(&[1]);
        }
    }
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct Ear {
    bell: Arc<Bell>,
    wire: UnixStream,
}

impl Ear {
    pub(super) fn new() -> io::Result<Self> {
        let (wire, other) = UnixStream::pair()?;
        wire.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok(Self { bell: Arc::new(Bell { rung: AtomicBool::new(false), wire: other }), wire })
    }

    /// A waker that ends the thread's poll.
    pub(super) fn waker(&self) -> Waker {
        self.bell.clone().into()
    }

    /// What to poll for input.
    pub(super) fn fd(&self) -> impl AsFd + '_ {
        self.wire.as_fd()
    }

    /// Forgets the wakes so far. Whatever they were about must be looked at after this.
    pub(super) fn clear(&self) {
        let mut byte = [0; 8];
        while matches!((&self.wire).read(&mut byte), Ok(1..)) {}
        self.bell.rung.store(false, Ordering::Release);
    }
}
