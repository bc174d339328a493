//! Answers of `ssh -G` that are kept from run to run.
//!
//! An answer decides what is run here (`ProxyCommand`) and whom we trust (`UserKnownHostsFile`), so
//! it is only taken from a directory that nobody else can write to.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use nix::{fcntl::OFlag, unistd::Uid};
use sha2::{Digest, Sha256};

use super::ground::hex;

/// How long an answer is kept at most: for what no digest sees, such as new libraries below ssh.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long an answer may be.
const LONGEST: u64 = 256 * 1024;

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question<'a> {
    pub(super) host: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) port: Option<u16>,
}

impl Question<'_> {
    fn file_name(&self) -> String {
        let port = self.port.map(|port| port.to_string());
        let mut hash = Sha256::new();
        for part in [Some(self.host), self.user, port.as_deref()] {
            // No part holds a byte 0 or 1.
            hash.update(part.map_or("\u{1}", |part| part));
            hash.update([0]);
        }
        hex(&hash.finalize())
    }
}

/// The answers that were given on one ground.
#[derive(Debug)]
pub(super) struct Memory {
    dir: PathBuf,
}

impl Memory {
    /// The answers in `root` that belong to the ground with this digest. Makes the directories;
    /// `None` where they cannot be made, or where anybody else could write to them.
    pub(super) fn open(root: &Path, digest: &str) -> Option<Self> {
        let dir = root.join(digest);
        if !is_private(&dir) {
            // In somebody else's home, as with sudo, what we make would stand in their way.
            if !root.exists() && !root.ancestors().find(|dir| dir.exists()).is_some_and(is_own) {
                return None;
            }
            DirBuilder::new().recursive(true).mode(0o700).create(root).ok()?;
            if !is_safe_above(root.parent()?) || !is_private(root) {
                return None;
            }
            forget_old(root);
            match DirBuilder::new().mode(0o700).create(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
                _ => {}
            }
        }
        let safe = is_safe_above(root.parent()?) && is_private(root) && is_private(&dir);
        safe.then_some(Self { dir })
    }

    /// The answer that was kept, if it is whole and not old.
    pub(super) fn recall(&self, question: &Question<'_>) -> Option<String> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let file = options.open(self.dir.join(question.file_name())).ok()?;
        let meta = file.metadata().ok()?;
        let age = SystemTime::now().duration_since(meta.modified().ok()?).ok()?;
        if !meta.is_file() || meta.uid() != Uid::effective().as_raw() || age > KEPT {
            return None;
        }
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        let (sum, answer) = text.split_once('\n')?;
        (sum == hex(&Sha256::digest(answer))).then(|| answer.to_owned())
    }

    /// Keeps an answer. What cannot be kept is asked again another time.
    pub(super) fn keep(&self, question: &Question<'_>, answer: &str) {
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            write!(file, "{}\n{answer}", hex(&Sha256::digest(answer)))?;
            file.persist(self.dir.join(question.file_name()))?;
            Ok(())
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "an answer of ssh -G is not kept");
        }
    }
}

fn is_own(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.uid() == Uid::effective().as_raw())
}

/// Whether `dir` is a directory of ours that nobody else may even look into.
fn is_private(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|meta| {
        meta.is_dir() && meta.uid() == Uid::effective().as_raw() && meta.mode() & 0o077 == 0
    })
}

/// Whether nobody else can put another directory into the place of one in `dir`.
fn is_safe_above(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|meta| {
        let owners = [Uid::effective().as_raw(), 0];
        meta.is_dir() && owners.contains(&meta.uid()) && meta.mode() & 0o022 == 0
    })
}

/// Removes the answers of grounds that are long gone.
fn forget_old(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > KEPT));
        // Only what bears one of our names.
        let ours = entry.file_name().as_bytes().len() == 64;
        if old && ours {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
