//! The branch as it was fetched, and commits on top of it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    time::Duration,
};

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use nix::{fcntl::OFlag, unistd::geteuid};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use super::{options::ValuesOptions, push::Pushed, remote::Remote};
use crate::git::{Git, Said};

/// How often another process is asked whether it has done with the cache.
const TURN: Duration = Duration::from_millis(50);
/// The file that is locked by whoever is at work in the cache.
const LOCK: &str = "deploy.lock";
/// Where git finds what gives access.
const STORE: &str = "deploy.credentials";
/// How much of the branch's history is fetched, until what is looked for is found.
const DEPTHS: [&str; 3] = ["64", "1024", "2147483647"];

/// The branch in a cache of our own.
#[derive(Debug)]
pub(super) struct Mirror {
    remote: Remote,
    branch: String,
    author: String,
    git: Git,
    tip: Mutex<Option<Tip>>,
}

/// The branch's commit, and when it was asked for.
#[derive(Debug, Clone)]
struct Tip {
    commit: String,
    at: Instant,
}

/// Leave to work in the cache, which nobody else has meanwhile, in whichever process.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    mirror: &'a Mirror,
    tip: MutexGuard<'a, Option<Tip>>,
    /// The lock goes with it.
    _file: File,
    scope: &'a Scope,
    attempted: &'a str,
}

impl Mirror {
    pub(super) fn new(options: &ValuesOptions) -> Self {
        let remote = Remote::of(&options.remote);
        let mut git = Git::new(&options.cache);
        if remote.stored().is_some() {
            let store = options.cache.join(STORE).display().to_string().replace('\'', "'\\''");
            // What the user's own git keeps for that host is not asked.
            git = git.with_setting("credential.helper=");
            git = git.with_setting(format!("credential.helper=store --file='{store}'"));
        }
        let (branch, author) = (options.branch.clone(), options.author.clone());
        Self { remote, branch, author, git, tip: Mutex::default() }
    }

    /// The remote, as it may be shown.
    pub(super) fn shown(&self) -> &str {
        self.remote.shown()
    }

    /// Waits until nobody else is at work in the cache.
    pub(super) async fn turn<'a>(
        &'a self,
        scope: &'a Scope,
        attempted: &'a str,
    ) -> Result<Turn<'a>, BackendError> {
        let stop = |kind| {
            BackendError::new(kind, attempted)
                .with_source("waited for another that is at work there")
        };
        let tip = tokio::select! {
            tip = self.tip.lock() => tip,
            () = tokio::time::sleep_until(scope.deadline) => return Err(stop(ErrorKind::TimedOut)),
            () = scope.cancel.cancelled() => return Err(stop(ErrorKind::Cancelled)),
        };
        let file = self.open().map_err(|error| self.unusable(attempted, &error))?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(self.unusable(attempted, &error)),
            }
            tokio::select! {
                () = tokio::time::sleep(TURN) => {}
                () = tokio::time::sleep_until(scope.deadline) => {
                    return Err(stop(ErrorKind::TimedOut));
                }
                () = scope.cancel.cancelled() => return Err(stop(ErrorKind::Cancelled)),
            }
        }
        let turn = Turn { mirror: self, tip, _file: file, scope, attempted };
        turn.prepare().await?;
        Ok(turn)
    }

    /// Makes the cache, which nobody else may write to: git runs what its configuration says.
    fn open(&self) -> io::Result<File> {
        let dir = self.git.dir();
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let found = fs::symlink_metadata(dir)?;
        if !found.is_dir() || found.uid() != geteuid().as_raw() {
            return Err(io::Error::other("it is no directory of ours: take it away"));
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(dir.join(LOCK))
    }

    fn unusable(&self, attempted: &str, error: &io::Error) -> BackendError {
        let dir = self.git.dir().display();
        BackendError::new(ErrorKind::Broken, attempted).with_source(format!("use {dir}: {error}"))
    }

    /// Writes what gives access where only we read it: not into arguments, nor the environment.
    fn store(&self) -> io::Result<()> {
        let Some(line) = self.remote.stored() else { return Ok(()) };
        self.forget();
        // What is new is no link.
        let mut options = OpenOptions::new();
        options.create_new(true).write(true).mode(0o600);
        writeln!(options.open(self.git.dir().join(STORE))?, "{line}")
    }

    /// Takes away what gives access.
    fn forget(&self) {
        // Usually there is none.
        let _ = fs::remove_file(self.git.dir().join(STORE));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.mirror.forget();
    }
}

impl Turn<'_> {
    /// Makes the repository, and clears what a git that was killed has left: nobody else is in it now.
    async fn prepare(&self) -> Result<(), BackendError> {
        let (mirror, dir) = (self.mirror, self.mirror.git.dir());
        let branch = &mirror.branch;
        for left in [
            "shallow.lock",
            "packed-refs.lock",
            "deploy.index.lock",
            &format!("refs/values/{branch}.lock"),
        ] {
            // Usually there is none.
            let _ = fs::remove_file(dir.join(left));
        }
        mirror.store().map_err(|error| mirror.unusable(self.attempted, &error))?;
        if !dir.join("HEAD").is_file() {
            self.run(&["init", "--quiet", "--bare"], b"").await?;
        }
        Ok(())
    }

    pub(super) async fn ask(
        &self,
        words: &[&str],
        environment: &[(&str, String)],
        input: &[u8],
    ) -> Result<Said, BackendError> {
        let git = &self.mirror.git;
        let mut said = git.ask(words, environment, input, self.scope, self.attempted).await?;
        said.err = self.mirror.remote.clean(&said.err);
        Ok(said)
    }

    async fn run(&self, words: &[&str], input: &[u8]) -> Result<String, BackendError> {
        self.demand(words, &[], input).await
    }

    /// Runs git, which must succeed; returns the word that it says.
    async fn demand(
        &self,
        words: &[&str],
        environment: &[(&str, String)],
        input: &[u8],
    ) -> Result<String, BackendError> {
        let said = self.ask(words, environment, input).await?;
        if said.is_ok {
            return Ok(String::from_utf8_lossy(&said.out).trim().to_owned());
        }
        Err(BackendError::new(ErrorKind::Broken, self.attempted).with_source(said.told()))
    }

    /// The commit of a ref in the cache.
    async fn commit_of(&self, name: &str) -> Result<Option<String>, BackendError> {
        let said = self.ask(&["rev-parse", "--verify", "--quiet", name], &[], b"").await?;
        Ok(said.is_ok.then(|| String::from_utf8_lossy(&said.out).trim().to_owned()))
    }

    /// Fetches the branch; returns its commit.
    pub(super) async fn fetch(&mut self) -> Result<String, BackendError> {
        self.fetch_deep("1").await
    }

    /// The branch's commit, asked for not longer ago than `age`.
    pub(super) async fn lately(&mut self, age: Duration) -> Result<String, BackendError> {
        match self.tip.as_ref().filter(|tip| tip.at.elapsed() < age) {
            Some(tip) => Ok(tip.commit.clone()),
            None => self.fetch().await,
        }
    }

    async fn fetch_deep(&mut self, depth: &str) -> Result<String, BackendError> {
        *self.tip = None;
        let at = Instant::now();
        let branch = &self.mirror.branch;
        let spec = format!("+refs/heads/{branch}:refs/values/{branch}");
        let depth = format!("--depth={depth}");
        let words = ["fetch", "--quiet", "--no-tags", &depth, self.mirror.shown(), &spec];
        let said = self.ask(&words, &[], b"").await?;
        if !said.is_ok {
            let kind = match Pushed::of(&said) {
                _ if said.err.contains("couldn't find remote ref") => ErrorKind::NotFound,
                Pushed::Denied(_) => ErrorKind::Denied,
                _ => ErrorKind::Unreachable,
            };
            return Err(BackendError::new(kind, self.attempted).with_source(said.told()));
        }
        let commit =
            self.run(&["rev-parse", "--verify", &format!("refs/values/{branch}")], b"").await?;
        *self.tip = Some(Tip { commit: commit.clone(), at });
        Ok(commit)
    }

    /// The text of `file` in the commit `tip`.
    pub(super) async fn read(&self, tip: &str, file: &str) -> Result<String, BackendError> {
        let said = self.ask(&["cat-file", "blob", &format!("{tip}:{file}")], &[], b"").await?;
        if !said.is_ok {
            let (remote, branch) = (self.mirror.shown(), &self.mirror.branch);
            return Err(BackendError::new(ErrorKind::NotFound, self.attempted)
                .with_source(format!("there is no {file} in the branch {branch} of {remote}")));
        }
        String::from_utf8(said.out).map_err(|_| {
            BackendError::new(ErrorKind::Rejected, self.attempted)
                .with_source(format!("{file} is not UTF-8"))
        })
    }

    /// A commit on top of `tip` in which `file` holds `text`.
    pub(super) async fn commit(
        &self,
        tip: &str,
        (file, text): (&str, &str),
        message: &str,
    ) -> Result<String, BackendError> {
        let blob = self.run(&["hash-object", "-w", "--stdin"], text.as_bytes()).await?;
        let listed = self.run(&["ls-tree", tip, "--", file], b"").await?;
        let mode = listed.split(' ').next().unwrap_or("100644");
        let index = self.mirror.git.dir().join("deploy.index");
        let environment = [("GIT_INDEX_FILE", index.display().to_string())];
        let entry = format!("{mode},{blob},{file}");
        self.demand(&["read-tree", tip], &environment, b"").await?;
        self.demand(&["update-index", "--add", "--cacheinfo", &entry], &environment, b"").await?;
        let tree = self.demand(&["write-tree"], &environment, b"").await?;
        let (name, mail) = identity(&self.mirror.author);
        let environment = [
            ("GIT_AUTHOR_NAME", name.clone()),
            ("GIT_AUTHOR_EMAIL", mail.clone()),
            ("GIT_COMMITTER_NAME", name),
            ("GIT_COMMITTER_EMAIL", mail),
        ];
        self.demand(&["commit-tree", &tree, "-p", tip], &environment, message.as_bytes()).await
    }

    /// The commit that was pushed for the review `id` on top of `tip`, where the cache still has it.
    pub(super) async fn pending(
        &self,
        tip: &str,
        id: &str,
    ) -> Result<Option<String>, BackendError> {
        let pending = format!("refs/pending/{id}");
        match self.commit_of(&format!("{pending}^")).await? {
            Some(parent) if parent == tip => self.commit_of(&pending).await,
            _ => Ok(None),
        }
    }

    /// Remembers `commit` as what was pushed for the review `id`.
    pub(super) async fn remember(&self, commit: &str, id: &str) -> Result<(), BackendError> {
        self.run(&["update-ref", &format!("refs/pending/{id}"), commit], b"").await.map(drop)
    }

    /// Pushes `commit` to `to`. The second is what the remote said beside it.
    pub(super) async fn push(
        &mut self,
        commit: &str,
        to: &str,
    ) -> Result<(Pushed, String), BackendError> {
        // Whatever comes of it, the branch may have moved.
        *self.tip = None;
        // A ref of reviews is one for all: what was pushed there before is in its own review.
        let force = if to.starts_with("refs/for/") { "+" } else { "" };
        let wanted = format!("{force}{commit}:{to}");
        let words = ["push", "--quiet", "--porcelain", self.mirror.shown(), &wanted];
        let said = self.ask(&words, &[], b"").await?;
        let words = said.err.lines().filter_map(|line| line.strip_prefix("remote:"));
        let words: Vec<&str> = words.map(str::trim).filter(|line| !line.is_empty()).collect();
        Ok((Pushed::of(&said), words.join("\n")))
    }

    /// The messages of commits that changed `file` and have `words`, newest first; more of the history is
    /// fetched until `find` finds one.
    pub(super) async fn find_message<T>(
        &mut self,
        file: &str,
        words: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, BackendError> {
        let words = format!("--grep={words}");
        for depth in DEPTHS {
            let tip = self.fetch_deep(depth).await?;
            let log = ["log", "-z", "--format=%B", "--fixed-strings", &words, &tip, "--", file];
            let said = self.run(&log, b"").await?;
            if let Some(found) = said.split('\0').find_map(&find) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// `Name <mail>` in two.
fn identity(author: &str) -> (String, String) {
    match author.split_once('<') {
        Some((name, mail)) => {
            (name.trim().to_owned(), mail.trim_end().trim_end_matches('>').to_owned())
        }
        None => (author.trim().to_owned(), "deploy@localhost".to_owned()),
    }
}
