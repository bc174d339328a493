//! The git repository that the values of clusters live in.

use std::{path::PathBuf, time::Duration};

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use tokio::sync::Mutex;

use super::{Edit, ValueKey};
use crate::git::Git;

/// How often it is looked whether a change was taken.
const LOOK: Duration = Duration::from_secs(2);
/// How often a push is tried while others push.
const ROUNDS: usize = 2;

/// How a change gets into the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// It is pushed to the branch.
    Push,
    /// It is pushed for review, to this ref (`refs/for/master`), and waited for until the branch has
    /// it.
    Review(String),
}

/// Where the values are.
#[derive(Debug, Clone)]
pub struct ValuesOptions {
    /// The repository, as `git fetch` takes it.
    pub remote: String,
    /// The branch.
    pub branch: String,
    /// How a change gets there.
    pub publish: Publish,
    /// Where what was fetched is kept. It is a cache: it may be removed at any time.
    pub cache: PathBuf,
    /// Who commits, as `Name <mail>`.
    pub author: String,
}

/// One value that is to be in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The file, from the top of the repository.
    pub file: String,
    /// Where in it.
    pub key: ValueKey,
    /// What is to be there.
    pub value: String,
}

/// The repository that values live in. Changes one value at a time, in commits of its own.
#[derive(Debug)]
pub struct ValuesRepository {
    options: ValuesOptions,
    git: Git,
    turn: Mutex<()>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The branch has had it already.
    Nothing,
    /// It is in the branch as this commit.
    Commit(String),
}

impl ValuesRepository {
    /// The repository that `options` name. Asks nobody yet.
    pub fn new(options: ValuesOptions) -> Self {
        let git = Git::new(&options.cache);
        Self { options, git, turn: Mutex::default() }
    }

    /// What is at `key` in `file` now, in the branch as the remote has it.
    ///
    /// # Errors
    /// When the remote cannot be asked, the file is not there, or the key is not one word in it.
    pub async fn value(
        &self,
        file: &str,
        key: &ValueKey,
        scope: &Scope,
    ) -> Result<String, BackendError> {
        let attempted = format!("read {key} in {file}");
        let tip = self.fetch(scope, &attempted).await?;
        let text = self.read(&tip, file, scope, &attempted).await?;
        Ok(find(&text, file, key, &attempted)?.value)
    }

    /// Brings `wish` into the branch, with `message`. What is there already is not committed again;
    /// a push that another one was faster than is made anew on top of that, once.
    ///
    /// # Errors
    /// As [`value`](Self::value); `Conflict` when others were faster again, or have changed
    /// the same value; `Rejected` when the
    /// remote takes it not; `TimedOut` when nobody has taken what was pushed for review.
    pub async fn publish(
        &self,
        wish: &Wish,
        message: &str,
        scope: &Scope,
    ) -> Result<Published, BackendError> {
        let Wish { file, key, value } = wish;
        let attempted = format!("set {key} in {file} to {value:?}");
        // Two changes of one cache at once would meet in its files.
        let _turn = self.turn.lock().await;
        let mut before: Option<String> = None;
        for _ in 0..ROUNDS {
            let tip = self.fetch(scope, &attempted).await?;
            let text = self.read(&tip, file, scope, &attempted).await?;
            let edit = find(&text, file, key, &attempted)?;
            if edit.value == *value {
                return Ok(Published::Nothing);
            }
            if let Some(before) = before.filter(|before| *before != edit.value) {
                return Err(BackendError::new(ErrorKind::Conflict, attempted).with_source(
                    format!(
                        "somebody has changed it from {before:?} to {:?} meanwhile",
                        edit.value
                    ),
                ));
            }
            before = Some(edit.value.clone());
            let changed = edit.apply(&text, value);
            let commit = self.commit(&tip, (file, &changed), message, scope, &attempted).await?;
            let wanted = match &self.options.publish {
                Publish::Push => format!("{commit}:refs/heads/{}", self.options.branch),
                Publish::Review(target) => format!("{commit}:{target}"),
            };
            let words = ["push", "--quiet", "--porcelain", &self.options.remote, &wanted];
            let said = self.git.ask(&words, &[], b"", scope, &attempted).await?;
            match (said.is_ok, &self.options.publish) {
                (true, Publish::Push) => return Ok(Published::Commit(commit)),
                (true, Publish::Review(_)) => {
                    return self.await_review(wish, scope, &attempted).await;
                }
                (false, _) if is_overtaken(&said.out, &said.err) => {}
                (false, _) => {
                    return Err(BackendError::new(ErrorKind::Rejected, attempted)
                        .with_source(said.told())
                        .with_hint("the remote refused the push: nothing was changed"));
                }
            }
        }
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("others have pushed at the same time, twice"))
    }

    /// Waits until the branch has what was pushed for review.
    async fn await_review(
        &self,
        wish: &Wish,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Published, BackendError> {
        loop {
            let tip = self.fetch(scope, attempted).await?;
            let text = self.read(&tip, &wish.file, scope, attempted).await?;
            if find(&text, &wish.file, &wish.key, attempted)?.value == wish.value {
                return Ok(Published::Commit(tip));
            }
            if scope.remaining() < LOOK {
                return Err(BackendError::new(ErrorKind::TimedOut, attempted)
                    .with_source("it was pushed for review, and nobody has submitted it yet")
                    .with_hint("submit it, and deploy again; or abandon it"));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = scope.cancel.cancelled() => {
                    return Err(BackendError::new(ErrorKind::Cancelled, attempted));
                }
            }
        }
    }

    /// Fetches the branch; returns its commit.
    async fn fetch(&self, scope: &Scope, attempted: &str) -> Result<String, BackendError> {
        if !self.git.dir().join("HEAD").is_file() {
            self.git.run(&["init", "--quiet", "--bare"], b"", scope, attempted).await?;
        }
        let branch = &self.options.branch;
        let spec = format!("+refs/heads/{branch}:refs/values/{branch}");
        let words = ["fetch", "--quiet", "--no-tags", "--depth=1", &self.options.remote, &spec];
        let said = self.git.ask(&words, &[], b"", scope, attempted).await?;
        if !said.is_ok {
            let kind = match said.err.contains("couldn't find remote ref") {
                true => ErrorKind::NotFound,
                false => ErrorKind::Unreachable,
            };
            return Err(BackendError::new(kind, attempted).with_source(said.told()));
        }
        let words = ["rev-parse", "--verify", "--quiet", &format!("refs/values/{branch}")];
        let out = self.git.run(&words, b"", scope, attempted).await?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    async fn read(
        &self,
        tip: &str,
        file: &str,
        scope: &Scope,
        attempted: &str,
    ) -> Result<String, BackendError> {
        let words = ["cat-file", "blob", &format!("{tip}:{file}")];
        let said = self.git.ask(&words, &[], b"", scope, attempted).await?;
        if !said.is_ok {
            let (remote, branch) = (&self.options.remote, &self.options.branch);
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(format!("there is no {file} in the branch {branch} of {remote}")));
        }
        String::from_utf8(said.out).map_err(|_| {
            BackendError::new(ErrorKind::Rejected, attempted)
                .with_source(format!("{file} is not UTF-8"))
        })
    }

    /// A commit on top of `tip` in which `file` holds `text`.
    async fn commit(
        &self,
        tip: &str,
        (file, text): (&str, &str),
        message: &str,
        scope: &Scope,
        attempted: &str,
    ) -> Result<String, BackendError> {
        let git = &self.git;
        let word = |out: Vec<u8>| String::from_utf8_lossy(&out).trim().to_owned();
        let write = ["hash-object", "-w", "--stdin"];
        let blob = word(git.run(&write, text.as_bytes(), scope, attempted).await?);
        let listed = git.run(&["ls-tree", tip, "--", file], b"", scope, attempted).await?;
        let listed = word(listed);
        let mode = listed.split(' ').next().unwrap_or("100644").to_owned();
        // An index of its own: two runs may be at it at once.
        let index = git.dir().join(format!("index-{}-{blob}", std::process::id()));
        let environment = [("GIT_INDEX_FILE", index.display().to_string())];
        let entry = format!("{mode},{blob},{file}");
        let steps: [&[&str]; 3] = [
            &["read-tree", tip],
            &["update-index", "--add", "--cacheinfo", &entry],
            &["write-tree"],
        ];
        let mut tree = String::new();
        for words in steps {
            let said = git.ask(words, &environment, b"", scope, attempted).await;
            match said {
                Ok(said) if said.is_ok => tree = word(said.out),
                other => {
                    let _ = std::fs::remove_file(&index);
                    let why = other?.told();
                    return Err(BackendError::new(ErrorKind::Broken, attempted).with_source(why));
                }
            }
        }
        let _ = std::fs::remove_file(&index);
        let (name, mail) = identity(&self.options.author);
        let environment = ["AUTHOR", "COMMITTER"].map(|role| {
            [
                (format!("GIT_{role}_NAME"), name.clone()),
                (format!("GIT_{role}_EMAIL"), mail.clone()),
            ]
        });
        let environment: Vec<(&str, String)> = environment
            .iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        let words = ["commit-tree", &tree, "-p", tip];
        let said = git.ask(&words, &environment, message.as_bytes(), scope, attempted).await?;
        if said.is_ok {
            return Ok(word(said.out));
        }
        Err(BackendError::new(ErrorKind::Broken, attempted).with_source(said.told()))
    }
}

fn find(text: &str, file: &str, key: &ValueKey, attempted: &str) -> Result<Edit, BackendError> {
    Edit::find(text, key).map_err(|error| {
        BackendError::new(ErrorKind::Rejected, attempted).with_source(format!("{file} {error}"))
    })
}

/// Whether a push failed because the branch has moved on.
fn is_overtaken(out: &[u8], err: &str) -> bool {
    let out = String::from_utf8_lossy(out);
    let said = |words: &str| out.contains(words) || err.contains(words);
    ["non-fast-forward", "fetch first", "stale info", "cannot lock ref", "incorrect old value"]
        .iter()
        .any(|words| said(words))
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
