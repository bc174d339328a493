//! Ctrl-C and its relatives, noted instead of obeyed, so that what was started is cleaned up.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// Tells whether someone asked for the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
    /// Whether it was a signal that only this process got; a terminal's goes to its children too.
    alone: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to note signals.
    pub(crate) fn install() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&interrupt.asked))?;
        }
        for signal in [SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&interrupt.alone))?;
        }
        Ok(interrupt)
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether a child has to be told; true once.
    pub(crate) fn must_tell_child(&self) -> bool {
        self.alone.swap(false, Ordering::SeqCst)
    }
}
