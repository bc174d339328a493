//! Releases that a command builds on the deployer's machine, as one archive for all targets.
//!
//! The archive is built once for a version, in a clean copy of its files, and read to its end
//! before any target is touched. What names a release is the manifest: every file with its digest.
//! See `docs/fetch.md`.

mod build;
mod links;
mod manifest;
mod read;
mod stream;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::Version,
};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::{
    cache::Cache,
    git::{files::Kind, oid::Oid},
    memo::Memo,
    pack::Packs,
    scratch::Scratch,
    told::Told,
};
use build::Build;
pub(crate) use manifest::hex;
use manifest::{Entry, Manifest};
use read::Held;
pub(crate) use stream::Packing;

/// How many different streams are made of one archive; the rest gets one with everything.
const DISTINCT: usize = 8;
/// How many archives, and how many manifests, are kept in the cache.
const KEPT: (usize, usize) = (10, 200);
/// The longest manifest that is read from the cache.
const LONGEST: u64 = 256 << 20;
/// Digits of what names an archive in the cache.
const DIGITS: usize = 24;

/// How archives are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// What `sh` runs, in a directory with the files of the version. It writes the archive to
    /// `$DEPLOY_ARCHIVE`.
    pub command: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// The archives of one repository, each built once, and kept until this is dropped.
#[derive(Debug)]
pub(crate) struct Archives {
    options: ArchiveOptions,
    repository: PathBuf,
    shared: Vec<String>,
    cache: Option<Cache>,
    told: Told,
    scratch: OnceCell<Scratch>,
    number: AtomicUsize,
    built: Memo<Oid, Arc<Archive>>,
    streams: Memo<(String, Option<String>, Packing), Arc<PathBuf>>,
}

/// An archive that was read to its end.
#[derive(Debug)]
pub(crate) struct Archive {
    /// The digest of its manifest.
    pub digest: String,
    /// How long the text of its manifest is.
    pub manifest_bytes: usize,
    held: Held,
    file: Arc<File>,
}

impl Archive {
    /// What stands at `path` in it, if anything.
    pub(crate) fn kind(&self, path: &str) -> Option<Kind> {
        self.held.manifest.0.get(path.as_bytes()).map(|entry| match entry {
            Entry::Directory => Kind::Directory,
            Entry::File { .. } => Kind::File,
            Entry::Link { .. } => Kind::Other,
        })
    }
}

impl Archives {
    pub(crate) fn new(options: ArchiveOptions, repository: PathBuf, shared: Vec<String>) -> Self {
        Self {
            options,
            repository,
            shared,
            cache: None,
            told: Told::default(),
            scratch: OnceCell::new(),
            number: AtomicUsize::default(),
            built: Memo::new(),
            streams: Memo::new(),
        }
    }

    pub(crate) fn keep_in(&mut self, cache: Cache) {
        self.cache = Some(cache);
    }

    pub(crate) fn tell(&mut self, told: Told) {
        self.told = told;
    }

    /// The archive of `version`: kept from before, else built.
    ///
    /// # Errors
    /// `Rejected` when the command fails or what it writes is refused, `TimedOut` when it takes too
    /// long; both with what it said.
    pub(crate) async fn of(
        &self,
        version: &Version,
        commit: &Oid,
        packs: &Packs,
    ) -> Result<Arc<Archive>, BackendError> {
        let cell = self.built.cell(commit);
        let make = || async {
            if let Some(archive) = self.kept(version, commit).await {
                return Ok(archive);
            }
            self.build(version, commit, packs).await
        };
        cell.get_or_try_init(make).await.cloned()
    }

    /// Has the archive of `version` at hand if it was kept from before; builds nothing.
    pub(crate) async fn recall(&self, version: &Version, commit: &Oid) {
        let kept = || async { self.kept(version, commit).await.ok_or(()) };
        let _ = self.built.cell(commit).get_or_try_init(kept).await;
    }

    /// The archive of `commit`, if it was asked for before.
    pub(crate) fn known(&self, commit: &Oid) -> Option<Arc<Archive>> {
        self.built.cell(commit).get().cloned()
    }

    /// The archive whose manifest has `digest`, if it is here: built now, or kept from before.
    pub(crate) async fn find(
        &self,
        digest: &str,
        version: &Version,
        commit: &Oid,
    ) -> Option<Arc<Archive>> {
        if let Some(known) = self.built.find(|archive| archive.digest == digest) {
            return Some(known);
        }
        self.kept(version, commit).await.filter(|archive| archive.digest == digest)
    }

    /// A file with what brings a target that has the manifest `base` to `archive`.
    pub(crate) async fn stream(
        &self,
        archive: &Arc<Archive>,
        base: Option<&str>,
        packing: Packing,
    ) -> Result<Arc<PathBuf>, BackendError> {
        let base = base.and_then(|digest| Some((digest.to_owned(), self.manifest(digest)?)));
        let key = |base: &Option<(String, Manifest)>| {
            (archive.digest.clone(), base.as_ref().map(|(digest, _)| digest.clone()), packing)
        };
        let wanted = key(&base);
        let cell = self.streams.cell_among(&wanted, DISTINCT, |(_, base, _)| base.is_some());
        let (cell, base) = match cell {
            Some(cell) => (cell, base),
            None => (self.streams.cell(&key(&None)), None),
        };
        let make = || async {
            let path = self.place("stream").await?;
            let (archive, into) = (archive.clone(), path.clone());
            let write = move || {
                let base = base.as_ref().map(|(_, manifest)| manifest);
                stream::write(archive.file.clone(), &archive.held, base, packing, &into)
            };
            let refuse = |why: String| {
                BackendError::new(ErrorKind::Rejected, "pack the archive").with_source(why)
            };
            let written = tokio::task::spawn_blocking(write).await;
            written
                .map_err(|error| refuse(error.to_string()))?
                .map_err(|e| refuse(e.to_string()))?;
            Ok(Arc::new(path))
        };
        cell.get_or_try_init(make).await.cloned()
    }

    /// The manifest that has `digest`, of an archive that was here once.
    fn manifest(&self, digest: &str) -> Option<Manifest> {
        if let Some(known) = self.built.find(|archive| archive.digest == digest) {
            return Some(known.held.manifest.clone());
        }
        let mut text = Vec::new();
        let file = self.cache.as_ref()?.open(&manifest_name(digest)).ok()?;
        io::Read::read_to_end(&mut io::Read::take(file, LONGEST), &mut text).ok()?;
        (hex(&Sha256::digest(&text)) == digest).then(|| Manifest::parse(&text))?
    }

    /// The archive of `version` that an earlier run built by the same command.
    async fn kept(&self, version: &Version, commit: &Oid) -> Option<Arc<Archive>> {
        let name = self.name(version, commit);
        let file = Arc::new(self.cache.as_ref()?.open(&name).ok()?);
        // What cannot be read any more is built again.
        let archive = self.read(file.clone(), "").await.ok()?;
        let _ = file.set_modified(std::time::SystemTime::now());
        Some(archive)
    }

    async fn build(
        &self,
        version: &Version,
        commit: &Oid,
        packs: &Packs,
    ) -> Result<Arc<Archive>, BackendError> {
        let attempted = format!("build the archive of {:?}", version.to_string());
        let broken = |error: io::Error| {
            BackendError::new(ErrorKind::Rejected, attempted.clone()).with_source(error)
        };
        let flat = packs.flat(commit).await?;
        let place = self.place("build").await?;
        let (source, archive) = (place.join("source"), place.join("archive"));
        fs::create_dir_all(&source).map_err(broken)?;
        packs.check_out(&flat, &source).await?;
        self.told.line(&format!("building {version}: {}", self.options.command.trim()));
        let built = Build {
            command: &self.options.command,
            timeout: self.options.timeout,
            source: &source,
            archive: &archive,
            log: &place.join("log"),
            variables: vec![
                ("DEPLOY_VERSION", version.to_string()),
                ("DEPLOY_COMMIT", commit.to_string()),
                ("DEPLOY_REPOSITORY", self.repository.to_string_lossy().into_owned()),
            ],
            told: &self.told,
        };
        built.run().await.map_err(|failed| {
            let kind = if failed.is_late { ErrorKind::TimedOut } else { ErrorKind::Rejected };
            let hint = match failed.is_late {
                true => "raise `timeout` in [fetch], or see what the command waits for",
                false => {
                    "mend `command` in [fetch]: it ran with `sh`, in a directory that holds what is \
                     committed, and no .git"
                }
            };
            BackendError::new(kind, attempted.clone())
                .with_source(failed.why)
                .with_evidence(failed.evidence)
                .with_hint(hint)
        })?;
        let file = read::open(&archive).map_err(|error| {
            broken(error).with_hint("the command must write a tar archive to \"$DEPLOY_ARCHIVE\"")
        })?;
        let read = self.read(file, &attempted).await?;
        self.keep(&archive, &self.name(version, commit), &read);
        let _ = fs::remove_dir_all(&place);
        Ok(read)
    }

    async fn read(&self, file: Arc<File>, attempted: &str) -> Result<Arc<Archive>, BackendError> {
        let rejected = || BackendError::new(ErrorKind::Rejected, attempted);
        let (reading, shared) = (file.clone(), self.shared.clone());
        let held = tokio::task::spawn_blocking(move || read::read(reading, &shared)).await;
        let held = held.map_err(|error| rejected().with_source(error))?;
        let held = held.map_err(|refused| rejected().with_source(refused))?;
        let digest = held.manifest.digest();
        let manifest_bytes = held.manifest.text().len();
        Ok(Arc::new(Archive { digest, manifest_bytes, held, file }))
    }

    /// Keeps an archive for later runs, as well as that can be done.
    fn keep(&self, archive: &Path, name: &str, read: &Archive) {
        let Some(cache) = &self.cache else { return };
        let _ = cache.put(name, archive);
        let _ = cache.write(&manifest_name(&read.digest), &read.held.manifest.text());
        cache.prune("archive-", KEPT.0);
        cache.prune("manifest-", KEPT.1);
    }

    /// What names the archive of `version` in the cache: whatever the command is told, and the
    /// command.
    fn name(&self, version: &Version, commit: &Oid) -> String {
        let told = [commit.as_str(), &version.to_string(), &self.options.command].join("\0");
        format!("archive-{}", &hex(&Sha256::digest(told))[..DIGITS])
    }

    /// A name in the scratch directory that nobody else gets.
    async fn place(&self, what: &str) -> Result<PathBuf, BackendError> {
        let rejected = |error: io::Error| {
            BackendError::new(ErrorKind::Rejected, "make a temporary directory").with_source(error)
        };
        let make = || async { Scratch::new().map_err(rejected) };
        let scratch = self.scratch.get_or_try_init(make).await?;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        Ok(scratch.path().join(format!("{what}-{number}")))
    }
}

fn manifest_name(digest: &str) -> String {
    format!("manifest-{digest}")
}
