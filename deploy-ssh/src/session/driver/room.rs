//! Room for bytes on their way, shared by all sessions: few of them move any at the same time.

use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};

/// How much is moved at a time.
const SIZE: usize = 64 * 1024;
/// How many rooms are kept for the next turn of whoever.
const KEPT: usize = 4;

static FREE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// Room for one turn of one session; given back when dropped.
pub(super) struct Room(Box<[u8]>);

impl Room {
    pub(super) fn take() -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self(free.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()))
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.0));
        }
    }
}
