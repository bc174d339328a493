//! Files in a directory that others may write to: never through a symlink, never without bound.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::fcntl::OFlag;

/// Opens a file for reading and writing, makes it where it is missing, follows no symlink.
pub(super) fn read_write(path: &Path, mode: u32) -> io::Result<File> {
    regular(
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode)
            .custom_flags(flags())
            .open(path)?,
    )
}

/// Makes a new file; fails where there is one.
pub(super) fn new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(flags()).open(path)
}

/// Opens a file to add to it.
pub(super) fn append(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(mode).custom_flags(flags());
    regular(options.open(path)?)
}

/// Opens a file that somebody else may have written.
pub(super) fn read(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).custom_flags(flags()).open(path)?)
}

/// Reads at most `limit` bytes.
pub(super) fn bounded(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn flags() -> i32 {
    // Without O_NONBLOCK a fifo put in the place of a file would hold us up for ever.
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}
