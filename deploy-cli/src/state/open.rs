//! Files in a directory that others may write to: never through a symlink, never without bound.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::fcntl::OFlag;

/// Who may use a file that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Its owner; the group may read it.
    Own,
    /// The group of a shared repository.
    Group,
}

impl Mode {
    fn bits(self) -> u32 {
        match self {
            Self::Own => 0o640,
            Self::Group => 0o660,
        }
    }
}

/// Opens a file for reading and writing, makes it where it is missing, follows no symlink.
pub(super) fn read_write(path: &Path, mode: Mode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    existing_or_new(&options, path, mode)
}

/// Makes a new file; fails where there is one.
pub(super) fn new(path: &Path, mode: Mode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode.bits()).custom_flags(flags());
    let file = options.open(path)?;
    // The umask of one user must not keep the others of a shared repository out.
    if mode == Mode::Group {
        file.set_permissions(Permissions::from_mode(mode.bits()))?;
    }
    Ok(file)
}

/// Opens a file to add to it.
pub(super) fn append(path: &Path, mode: Mode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true);
    existing_or_new(&options, path, mode)
}

fn existing_or_new(options: &OpenOptions, path: &Path, mode: Mode) -> io::Result<File> {
    let mut existing = options.clone();
    existing.custom_flags(flags());
    match existing.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return regular(found?),
    }
    match new(path, mode) {
        // Another made it in between. What has the access that was asked for is opened again.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => drop(made?),
    }
    regular(existing.open(path)?)
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
