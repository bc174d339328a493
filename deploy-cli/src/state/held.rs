//! Locks on open files, which the kernel frees when the last handle is closed.
//!
//! These are locks of the open file (F_OFD), not of the process, and they can be looked at without
//! being taken: a reader never makes a writer believe that somebody is at work.

use std::{fs::File, io};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

/// Takes the lock of `file`, once and without waiting; `false` when another open file has it.
pub(super) fn try_hold(file: &File) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives the lock of `file` up. Closing it would too, but only once every process that was just
/// forked off has let go of its copy.
pub(super) fn let_go(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole(libc::F_UNLCK)))?;
    Ok(())
}

/// Whether another open file has the lock. Takes nothing.
pub(super) fn is_held(file: &File) -> io::Result<bool> {
    let mut asked = whole(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked))?;
    Ok(i32::from(asked.l_type) != libc::F_UNLCK)
}

fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
