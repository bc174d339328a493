//! One at a time may change a fleet.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
};

use super::{FleetError, name::Name};

/// Held while hosts are added to a fleet or it is removed; freed on drop, or when the process ends.
/// Its file goes with the fleet.
#[derive(Debug)]
pub(super) struct ChangeLock {
    name: Name,
    _held: File,
}

impl ChangeLock {
    /// Waits until no other process changes the fleet.
    pub(super) fn take(name: &Name) -> Result<Self, FleetError> {
        Self::wait(name).map_err(FleetError::io(format!("lock fleet `{name}`")))
    }

    fn wait(name: &Name) -> io::Result<Self> {
        let path = name.lock_file();
        loop {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let file = match File::create(&path) {
                // The directory was removed in between, by the end of another fleet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            file.lock()?;
            // Whoever held it before may have removed the file with the fleet.
            if fs::metadata(&path)
                .is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()))
            {
                return Ok(Self { name: name.clone(), _held: file });
            }
        }
    }
}

impl Drop for ChangeLock {
    fn drop(&mut self) {
        if !self.name.dir().exists() {
            let path = self.name.lock_file();
            // Best effort; the directory goes with the last fleet only.
            let _ = fs::remove_file(&path);
            let _ = path.parent().map(fs::remove_dir);
        }
    }
}
