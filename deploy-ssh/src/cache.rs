//! What is kept between runs to be spared work. All of it can be removed at any time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// A directory for nobody but us.
///
/// State directories may be shared by several users. What decides what is served is never taken
/// from another user's hand, so each has a cache of their own.
#[derive(Debug, Clone)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// The cache of this user in `directory`. Nothing is made before it is needed.
    pub(crate) fn of_user(directory: &Path) -> Self {
        Self(directory.join(format!(".cache-{}", nix::unistd::geteuid())))
    }

    /// Opens a file that some run has kept.
    ///
    /// # Errors
    /// Where there is none, or it is not ours.
    pub(crate) fn open(&self, name: &str) -> io::Result<File> {
        self.ours(&fs::symlink_metadata(&self.0)?)?;
        let path = self.0.join(name);
        let file = OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path)?;
        self.ours(&file.metadata()?)?;
        Ok(file)
    }

    /// Opens a file to add to it.
    ///
    /// # Errors
    /// Where it cannot be made, or is not ours.
    pub(crate) fn append(&self, name: &str) -> io::Result<File> {
        let directory = self.make()?;
        let mut open = OpenOptions::new();
        open.append(true).create(true).mode(0o600).custom_flags(NO_FOLLOW);
        let file = open.open(directory.join(name))?;
        self.ours(&file.metadata()?)?;
        Ok(file)
    }

    /// The directory, made if need be, but not what it lies in.
    ///
    /// # Errors
    /// Where it cannot be made, or is not ours.
    pub(crate) fn make(&self) -> io::Result<&Path> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.ours(&fs::symlink_metadata(&self.0)?)?;
        Ok(&self.0)
    }

    /// Keeps `content` under `name`, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.temporary()?;
        file.write_all(content)?;
        file.persist(self.0.join(name)).map(drop).map_err(|error| error.error)
    }

    /// Keeps the content of the file `from` under `name`, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn put(&self, name: &str, from: &Path) -> io::Result<()> {
        let mut file = self.temporary()?;
        io::copy(&mut File::open(from)?, &mut file)?;
        file.persist(self.0.join(name)).map(drop).map_err(|error| error.error)
    }

    /// Removes the oldest of the files whose names begin with `prefix`, all but `keep`. What was
    /// left half written by a killed run goes too.
    pub(crate) fn prune(&self, prefix: &str, keep: usize) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let (name, Ok(meta)) = (entry.file_name(), entry.metadata()) else { continue };
            let Ok(modified) = meta.modified() else { continue };
            let name = name.to_string_lossy();
            let is_old = modified.elapsed().is_ok_and(|age| age > ABANDONED);
            if name.starts_with(prefix) {
                found.push((modified, entry.path()));
            } else if name.starts_with(HALF) && is_old {
                let _ = fs::remove_file(entry.path());
            }
        }
        found.sort();
        let spare = found.len().saturating_sub(keep);
        for (_, path) in &found[..spare] {
            let _ = fs::remove_file(path);
        }
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(HALF).tempfile_in(self.make()?)
    }

    fn ours(&self, metadata: &fs::Metadata) -> io::Result<()> {
        let is_ours = metadata.uid() == nix::unistd::geteuid().as_raw();
        if is_ours && !metadata.is_symlink() && metadata.mode() & 0o022 == 0 {
            return Ok(());
        }
        let why = format!("{} is not ours alone", self.0.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }
}

/// What the names of files begin with that are not whole yet.
const HALF: &str = ".half-";
/// After this time nobody is at such a file any more.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
const NO_FOLLOW: i32 = nix::fcntl::OFlag::O_NOFOLLOW.bits();
