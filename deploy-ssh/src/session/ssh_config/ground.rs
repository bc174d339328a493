//! What the answers of `ssh -G` depend on: its files, found as ssh finds them, and a digest of it
//! all.
//!
//! Whatever could change an answer without changing the digest makes answers unfit to be kept:
//! commands (`Match exec`), names that are looked up, variables. What is not understood here counts
//! as such.

use std::{
    collections::BTreeSet,
    fs::{self, Metadata},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Home, line::Line};
use crate::session::known_hosts::matches_pattern;

/// Where builds of ssh have the system's configuration.
const SYSTEM: [&str; 4] = [
    "/etc/ssh/ssh_config",
    "/usr/etc/ssh/ssh_config",
    "/usr/local/etc/ssh/ssh_config",
    "/opt/homebrew/etc/ssh/ssh_config",
];
/// How deep files may include one another, as in ssh.
const DEPTH: usize = 16;
/// How many files, and how many bytes in all.
const FILES: usize = 1024;
const BYTES: u64 = 8 << 20;
/// Raised when something else is digested, or kept.
const FORMAT: &[u8] = b"1";

/// Who asks which ssh about which files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) program: &'a Path,
    /// As with `ssh -F`, which reads no other.
    pub(super) config_file: Option<&'a Path>,
    pub(super) home: &'a Home,
}

/// What all answers of one ssh depend on, as it was at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ground {
    /// Differs whenever anything differs that an answer depends on.
    pub(super) digest: String,
    /// The real paths of all files that ssh may read.
    files: BTreeSet<PathBuf>,
    /// One of these it must have read: else it has a place for its configuration that is not
    /// known here.
    roots: BTreeSet<PathBuf>,
}

impl Ground {
    /// Looks at everything. `None` where answers depend on more than can be seen.
    pub(super) fn survey(setting: &Setting<'_>) -> Option<Self> {
        let mut survey = Survey::new(setting.home)?;
        survey.note(FORMAT);
        survey.program(setting.program)?;
        survey.person(setting.home)?;
        let mut roots = BTreeSet::new();
        if let Some(file) = setting.config_file {
            let file = std::path::absolute(file).ok()?;
            survey.file(&file, Owner::User, 0)?;
            roots.extend(fs::canonicalize(file));
        } else {
            let user = setting.home.account.as_ref()?.join(".ssh/config");
            survey.file(&user, Owner::User, 0)?;
            for system in SYSTEM.map(Path::new) {
                survey.file(system, Owner::System, 0)?;
                roots.extend(fs::canonicalize(system));
            }
        }
        let digest = hex(&survey.hash.finalize());
        Some(Self { digest, files: survey.files, roots })
    }

    /// Whether an ssh that says it has read these files has read none that is not known here.
    pub(super) fn accounts_for(&self, read: &[PathBuf]) -> bool {
        let real: Option<Vec<PathBuf>> =
            read.iter().map(|file| fs::canonicalize(file).ok()).collect();
        real.is_some_and(|real| {
            real.iter().all(|file| self.files.contains(file))
                && real.iter().any(|file| self.roots.contains(file))
        })
    }
}

/// Whose configuration a file is: that decides where a relative `Include` leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    User,
    System,
}

struct Survey<'a> {
    hash: Sha256,
    files: BTreeSet<PathBuf>,
    home: &'a Path,
    left: u64,
    seen: usize,
}

impl<'a> Survey<'a> {
    fn new(home: &'a Home) -> Option<Self> {
        let home = home.dir.as_deref()?;
        Some(Self { hash: Sha256::new(), files: BTreeSet::new(), home, left: BYTES, seen: 0 })
    }

    /// Digests `bytes`, so that no two sequences of notes are the same.
    fn note(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    fn note_numbers(&mut self, numbers: &[i128]) {
        for number in numbers {
            self.note(&number.to_le_bytes());
        }
    }

    /// The program itself: which file, and whether it was replaced. A script may do anything.
    fn program(&mut self, program: &Path) -> Option<()> {
        let mut file = fs::File::open(program).ok()?;
        let mut magic = [0; 2];
        file.read_exact(&mut magic).ok()?;
        if &magic == b"#!" {
            return None;
        }
        let meta = file.metadata().ok()?;
        self.note(program.as_os_str().as_bytes());
        let changed = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        self.note_numbers(&[meta.dev().into(), meta.ino().into(), meta.size().into()]);
        self.note_numbers(&changed.map(i128::from));
        Some(())
    }

    fn person(&mut self, home: &Home) -> Option<()> {
        self.note(nix::unistd::gethostname().ok()?.as_bytes());
        self.note(home.user.as_bytes());
        self.note(nix::unistd::Uid::effective().to_string().as_bytes());
        self.note(home.account.as_ref()?.as_os_str().as_bytes());
        self.note(self.home.as_os_str().as_bytes());
        Some(())
    }

    /// A file and all that it includes; one that is missing is a fact as well.
    fn file(&mut self, path: &Path, owner: Owner, depth: usize) -> Option<()> {
        self.seen += 1;
        if depth > DEPTH || self.seen > FILES {
            return None;
        }
        self.note(path.as_os_str().as_bytes());
        let Some((meta, bytes)) = self.read(path)? else {
            self.note(b"missing");
            return Some(());
        };
        // Who may write to it decides whether ssh takes it.
        self.note_numbers(&[meta.uid().into(), meta.gid().into(), meta.mode().into()]);
        self.note(&bytes);
        self.files.insert(fs::canonicalize(path).ok()?);
        for line in bytes.split(|byte| *byte == b'\n') {
            match Line::read(&String::from_utf8_lossy(line)) {
                Line::Fixed => {}
                Line::Moving => return None,
                Line::Include(patterns) => {
                    for pattern in patterns {
                        self.include(&pattern, owner, depth + 1)?;
                    }
                }
            }
        }
        Some(())
    }

    /// `Some(None)` is a file that is not there.
    fn read(&mut self, path: &Path) -> Option<Option<(Metadata, Vec<u8>)>> {
        match fs::metadata(path) {
            // Opening a pipe would wait for somebody to write.
            Ok(meta) if !meta.is_file() => return None,
            Ok(_) => {}
            Err(error) if is_missing(&error) => return Some(None),
            Err(_) => return None,
        }
        let file = fs::File::open(path).ok()?;
        let meta = file.metadata().ok()?;
        let mut bytes = Vec::new();
        file.take(self.left + 1).read_to_end(&mut bytes).ok()?;
        self.left = self.left.checked_sub(bytes.len() as u64)?;
        Some(Some((meta, bytes)))
    }

    fn include(&mut self, pattern: &str, owner: Owner, depth: usize) -> Option<()> {
        let path = match (pattern.strip_prefix("~/"), owner) {
            (Some(rest), Owner::User) => self.home.join(rest),
            (None, _) if pattern.starts_with('~') => return None,
            (None, _) if pattern.starts_with('/') => PathBuf::from(pattern),
            (None, Owner::User) => self.home.join(".ssh").join(pattern),
            (None, Owner::System) => Path::new("/etc/ssh").join(pattern),
            (Some(_), Owner::System) => return None,
        };
        let (dir, name) = (path.parent()?.to_owned(), path.file_name()?.to_str()?.to_owned());
        let is_pattern = |text: &str| text.contains(['*', '?']);
        if is_pattern(dir.to_str()?) {
            return None;
        }
        if !is_pattern(&name) {
            return self.file(&path, owner, depth);
        }
        self.note(path.as_os_str().as_bytes());
        for file in matches(&dir, &name)? {
            self.file(&file, owner, depth)?;
        }
        Some(())
    }
}

/// The files of `dir` that `pattern` matches, in the order of their names.
fn matches(dir: &Path, pattern: &str) -> Option<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Some(BTreeSet::new()),
        Err(_) => return None,
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let name = entry.ok()?.file_name();
        let hidden = name.as_bytes().starts_with(b".") && !pattern.starts_with('.');
        if !hidden && matches_pattern(pattern.as_bytes(), name.as_bytes()) {
            found.insert(dir.join(name));
        }
    }
    Some(found)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Bytes as a file name has them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
