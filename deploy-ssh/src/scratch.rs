//! A temporary directory that outlives no run: those of killed runs are removed by the next.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

const PREFIX: &str = "deploy-pack-";
/// Locked for as long as the directory is in use.
const ALIVE: &str = "alive";

/// A temporary directory. Gone when dropped; if its process is killed, when the next one is made.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
    _alive: File,
}

impl Scratch {
    /// A new one in the system's place for temporary files.
    pub(crate) fn new() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    fn within(place: &Path) -> io::Result<Self> {
        // Packs can be large: what a killed run left is not for the next reboot to find.
        for (path, _held) in leftovers(place)? {
            let _ = fs::remove_dir_all(path);
        }
        loop {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
            let alive = File::create_new(dir.path().join(ALIVE))?;
            match alive.try_lock() {
                Ok(()) if dir.path().join(ALIVE).exists() => {
                    return Ok(Self { dir, _alive: alive });
                }
                // Before it was locked somebody took it for a leftover; it is gone, or soon will be.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Our own directories in `place` whose lock nobody held. It is held until they are removed.
fn leftovers(place: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let us = nix::unistd::geteuid().as_raw();
    let abandoned = |path: PathBuf| {
        let ours = fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir() && m.uid() == us);
        let alive = File::open(path.join(ALIVE)).ok().filter(|_| ours)?;
        alive.try_lock().is_ok().then_some((path, alive))
    };
    Ok(fs::read_dir(place)?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter_map(|entry| abandoned(entry.path()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next() {
        let place = tempfile::tempdir().unwrap();
        let dead = place.path().join("deploy-pack-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(ALIVE), "").unwrap();
        let other = place.path().join("deploy-pack-of-somebody");
        fs::create_dir(&other).unwrap();
        let living = Scratch::within(place.path()).unwrap();
        assert!(!dead.exists());
        let next = Scratch::within(place.path()).unwrap();
        assert!(living.path().exists() && next.path().exists() && other.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
