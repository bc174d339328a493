//! A repository of our own, which sees the objects of all others without copying any.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    git::{
        command::{self, Git},
        oid::Oid,
    },
    scratch::Scratch,
};
use deploy_core::backend::{BackendError, ErrorKind};

/// A temporary repository that borrows the objects of the app's repository and its submodules.
/// Trees that join them are written here, and nowhere else. Gone when dropped.
#[derive(Debug)]
pub(super) struct Staging {
    dir: Scratch,
    git: Git,
    format: String,
    /// The object directories that are borrowed from.
    borrowed: Mutex<Vec<PathBuf>>,
    packs: AtomicUsize,
}

/// Attributes by which no file is converted.
const UNCONVERTED: &str = "* -text -ident -filter !eol !working-tree-encoding\n";
const ATTEMPTED: &str = "prepare to pack";

fn rejected(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackendError {
    BackendError::new(ErrorKind::Rejected, ATTEMPTED).with_source(cause)
}

impl Staging {
    pub(super) async fn new(origin: &Git) -> Result<Self, BackendError> {
        let format = origin.line(ATTEMPTED, &["rev-parse", "--show-object-format"]).await?;
        let dir = Scratch::new().map_err(rejected)?;
        let format_arg = format!("--object-format={format}");
        let init = ["init", "--quiet", "--bare", "--template=", &format_arg, "staging.git"];
        Git::new(dir.path()).output(ATTEMPTED, &init).await?;
        let git = Git::bare(dir.path().join("staging.git"));
        let staging =
            Self { dir, git, format, borrowed: Mutex::default(), packs: AtomicUsize::default() };
        staging.borrow_from(origin).await?;
        Ok(staging)
    }

    pub(super) fn git(&self) -> &Git {
        &self.git
    }

    pub(super) fn format(&self) -> &str {
        &self.format
    }

    /// How many digits an object id has.
    pub(super) fn digits(&self) -> usize {
        if self.format == "sha1" { 40 } else { 64 }
    }

    /// Runs git here with `index` as its index, and demands that it succeeds. No attributes hold
    /// but those of the index.
    pub(super) async fn in_index<S: AsRef<OsStr>>(
        &self,
        index: &Path,
        args: &[S],
        input: Option<&[u8]>,
        attempted: &str,
    ) -> Result<Vec<u8>, BackendError> {
        let mut command = self.git.command();
        command
            .args(["-c", "core.attributesFile=/dev/null"])
            .args(args)
            .env("GIT_INDEX_FILE", index)
            .env("GIT_ATTR_NOSYSTEM", "1");
        command::run(command, input, attempted).await?.require(attempted)
    }

    /// Writes the files of `tree` into `directory`, and nothing converts them.
    pub(super) async fn check_out(
        &self,
        tree: &Oid,
        directory: &Path,
        attempted: &str,
    ) -> Result<(), BackendError> {
        // A repository of its own, since its attributes must not hold here.
        let number = self.packs.fetch_add(1, Ordering::Relaxed);
        let repository = self.dir.path().join(format!("{number}.git"));
        let name = repository.as_os_str();
        let format = format!("--object-format={}", self.format);
        let words = ["init", "--quiet", "--bare", "--template=", &format].map(OsStr::new);
        Git::new(self.dir.path()).output(attempted, &[&words[..], &[name]].concat()).await?;
        let refuse = |error| BackendError::new(ErrorKind::Rejected, attempted).with_source(error);
        let objects = self.git.dir().join("objects");
        let alternates = alternate(&objects).unwrap_or_default();
        std::fs::write(repository.join("objects/info/alternates"), alternates).map_err(refuse)?;
        std::fs::create_dir_all(repository.join("info")).map_err(refuse)?;
        std::fs::write(repository.join("info/attributes"), UNCONVERTED).map_err(refuse)?;
        for words in [&["read-tree", tree.as_str()][..], &["checkout-index", "--all", "--force"]] {
            let mut command = Git::new(directory).command();
            command
                .args(["-c", "core.autocrlf=false", "-c", "core.symlinks=true"])
                .args(["-c", "core.fileMode=true", "-c", "core.hooksPath=/dev/null"])
                .args(words)
                .env("GIT_DIR", &repository)
                .env("GIT_WORK_TREE", directory)
                .env("GIT_INDEX_FILE", repository.join("index"));
            command::run(command, None, attempted).await?.require(attempted)?;
        }
        let _ = std::fs::remove_dir_all(repository);
        Ok(())
    }

    /// Makes the objects of `repository` visible here. Idempotent.
    pub(super) async fn borrow_from(&self, repository: &Git) -> Result<(), BackendError> {
        let objects = repository.line(ATTEMPTED, &["rev-parse", "--git-path", "objects"]).await?;
        let objects = repository.dir().join(objects);
        let objects = std::fs::canonicalize(&objects)
            .map_err(|error| rejected(format!("{}: {error}", objects.display())))?;
        let mut borrowed = self.borrowed.lock().unwrap_or_else(PoisonError::into_inner);
        if borrowed.contains(&objects) {
            return Ok(());
        }
        let mut lines = Vec::new();
        for path in borrowed.iter().chain([&objects]) {
            lines.extend(alternate(path).ok_or_else(|| {
                rejected(format!("the path {} cannot be borrowed from", path.display()))
            })?);
        }
        std::fs::write(self.git.dir().join("objects/info/alternates"), lines).map_err(rejected)?;
        borrowed.push(objects);
        Ok(())
    }

    /// Where the next pack may be written.
    pub(super) fn new_pack(&self) -> PathBuf {
        let number = self.packs.fetch_add(1, Ordering::Relaxed);
        self.dir.path().join(format!("{number}.pack"))
    }

    /// An index of its own for one piece of work.
    pub(super) fn new_index(&self) -> PathBuf {
        let number = self.packs.fetch_add(1, Ordering::Relaxed);
        self.dir.path().join(format!("{number}.index"))
    }
}

/// One line of an alternates file; none for a path that does not fit on one.
fn alternate(path: &Path) -> Option<Vec<u8>> {
    let bytes = path.as_os_str().as_bytes();
    let fits = !bytes.contains(&b'\n') && !bytes.starts_with(b"#") && !bytes.starts_with(b"\"");
    fits.then(|| [bytes, b"\n"].concat())
}
