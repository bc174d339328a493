//! The code, packed once for all targets that have the same.
//!
//! What travels is the tree of a version, never its history: a pack holds one commit with all that
//! the target lacks of it, as deltas against what it has. See `docs/fetch.md`.

mod contents;
mod flat;
mod outside;
mod pointer;
mod staging;
mod store;
mod submodule;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use deploy_core::backend::{BackendError, ErrorKind};
use tokio::sync::OnceCell;

use contents::Contents;
pub(crate) use flat::Flat;
use outside::Reach;
use staging::Staging;

use crate::{
    cache::Cache,
    git::{command, command::Git, files::TreeFiles, oid::Oid},
    memo::Memo,
    told::Told,
};

/// How many different packs are made for one version; the rest gets one with everything.
const DISTINCT: usize = 8;
/// How many haves a target may name.
const HAVES: usize = 64;

/// What a target says it has: a commit, and the tree it has of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Have {
    pub commit: Oid,
    pub tree: Oid,
}

/// The packs of one repository, each made once, and kept until this is dropped.
#[derive(Debug)]
pub(crate) struct Packs {
    git: Git,
    staging: OnceCell<Staging>,
    contents: Contents,
    flats: Memo<(Oid, Reach), Arc<Flat>>,
    /// Whether a commit that some target has is here, too.
    found: Memo<Oid, Option<Arc<Flat>>>,
    packs: Memo<(Oid, Vec<Oid>), Arc<PathBuf>>,
}

impl Packs {
    /// The packs of the repository that `dir` is in. Nothing is read yet.
    pub(crate) fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            git: Git::new(dir),
            staging: OnceCell::new(),
            contents: Contents::default(),
            flats: Memo::new(),
            found: Memo::new(),
            packs: Memo::new(),
        }
    }

    /// Remembers in `cache` what large files are, so that they need not be read each time.
    pub(crate) fn keep_in(&mut self, cache: Cache) {
        self.contents.keep_in(cache);
    }

    /// Tells what is fetched.
    pub(crate) fn tell(&mut self, told: Told) {
        self.contents.tell(told);
    }

    /// The tree of `commit` with its submodules and its large files in place. All that it is packed
    /// of is here then; large files are fetched from their server.
    pub(crate) async fn flat(&self, commit: &Oid) -> Result<Arc<Flat>, BackendError> {
        self.flat_within(commit, Reach::Server).await
    }

    /// The same tree for comparing with what a target has, which may do without large files that
    /// were seen before.
    pub(crate) async fn flat_of_old(&self, commit: &Oid) -> Result<Arc<Flat>, BackendError> {
        match self.flat_within(commit, Reach::Here).await {
            Ok(flat) => Ok(flat),
            Err(_) => self.flat(commit).await,
        }
    }

    async fn flat_within(&self, commit: &Oid, reach: Reach) -> Result<Arc<Flat>, BackendError> {
        let staging = self.staging().await?;
        let cell = self.flats.cell(&(commit.clone(), reach));
        let with = (staging, &self.contents);
        let make = || async { Flat::of(&self.git, with, commit, reach).await.map(Arc::new) };
        cell.get_or_try_init(make).await.cloned()
    }

    /// How object ids are written: `sha1`, or `sha256`.
    pub(crate) async fn format(&self) -> Result<&str, BackendError> {
        Ok(self.staging().await?.format())
    }

    /// The single files of `commit`, those of its submodules included.
    pub(crate) async fn files(&self, commit: &Oid) -> Result<TreeFiles, BackendError> {
        let flat = self.flat_of_old(commit).await?;
        let git = if flat.is_merged { self.staging().await?.git() } else { &self.git };
        Ok(TreeFiles::new(git.clone(), flat.tree.clone()))
    }

    /// A pack with what brings a target that has `haves` to `commit`.
    ///
    /// A have that is unknown here, or whose tree is not what it should be, is passed over: one
    /// bad have would spoil the pack for all.
    pub(crate) async fn pack(
        &self,
        commit: &Oid,
        haves: &[Have],
    ) -> Result<Arc<PathBuf>, BackendError> {
        self.pack_upon(commit, haves, Vec::new()).await
    }

    /// The same for a target that has `commit` itself, without submodules and large files; nothing
    /// when that is all there is to it.
    pub(crate) async fn beside_commit(
        &self,
        commit: &Oid,
        haves: &[Have],
    ) -> Result<Option<Arc<PathBuf>>, BackendError> {
        let flat = self.flat(commit).await?;
        if !flat.is_merged {
            return Ok(None);
        }
        let own = (commit.clone(), Arc::new(flat.without_merged()));
        self.pack_upon(commit, haves, vec![own]).await.map(Some)
    }

    async fn pack_upon(
        &self,
        commit: &Oid,
        haves: &[Have],
        sure: Vec<(Oid, Arc<Flat>)>,
    ) -> Result<Arc<PathBuf>, BackendError> {
        let flat = self.flat(commit).await?;
        let mut known = sure.clone();
        for have in haves.iter().take(HAVES) {
            if let Some(flat) = self.believed(have).await {
                known.push((have.commit.clone(), flat));
            }
        }
        known.sort_by(|a, b| a.0.cmp(&b.0));
        known.dedup_by(|a, b| a.0 == b.0);
        let key = |haves: &[(Oid, Arc<Flat>)]| -> (Oid, Vec<Oid>) {
            (commit.clone(), haves.iter().map(|(commit, _)| commit.clone()).collect())
        };
        let alike = |(other, haves): &(Oid, Vec<Oid>)| other == commit && haves.len() > sure.len();
        let wanted = key(&known);
        let cell = match self.packs.cell_among(&wanted, DISTINCT, alike) {
            Some(cell) => cell,
            None => {
                known = sure;
                self.packs.cell(&key(&known))
            }
        };
        let bases: Vec<&Flat> = known.iter().map(|(_, flat)| &**flat).collect();
        cell.get_or_try_init(|| self.make(&flat, &bases)).await.cloned()
    }

    /// Writes the files of `flat` into `directory`, byte for byte as they would lie on a target.
    pub(crate) async fn check_out(
        &self,
        flat: &Flat,
        directory: &Path,
    ) -> Result<(), BackendError> {
        let attempted = format!("write the files of {}", flat.commit.short());
        let staging = self.staging().await?;
        self.contents.ensure(flat.contents.iter(), staging).await?;
        staging.check_out(&flat.tree, directory, &attempted).await
    }

    async fn staging(&self) -> Result<&Staging, BackendError> {
        self.staging.get_or_try_init(|| Staging::new(&self.git)).await
    }

    /// The tree of a have, if it is what the target says it is.
    async fn believed(&self, have: &Have) -> Option<Arc<Flat>> {
        let found = self.found.cell(&have.commit);
        // What is not here is looked for once, however many targets have it.
        let look = || async { self.flat_within(&have.commit, Reach::Here).await.ok() };
        let flat = found.get_or_init(look).await.clone()?;
        (flat.tree == have.tree).then_some(flat)
    }

    async fn make(&self, flat: &Flat, bases: &[&Flat]) -> Result<Arc<PathBuf>, BackendError> {
        let attempted = format!("pack {}", flat.commit.short());
        let staging = self.staging().await?;
        let had: HashSet<&Oid> =
            bases.iter().flat_map(|base| &base.contents).map(|content| &content.blob).collect();
        let lacked = flat.contents.iter().filter(|content| !had.contains(&content.blob));
        self.contents.ensure(lacked, staging).await?;
        let path = staging.new_pack();
        let file = std::fs::File::create(&path).map_err(|error| {
            BackendError::new(ErrorKind::Rejected, attempted.clone())
                .with_source(format!("{}: {error}", path.display()))
        })?;
        // Without submodules the user's own repository packs, and fetches what a partial clone
        // left out. Else the staging repository does, which sees all of them at once.
        let merged = std::iter::once(flat).chain(bases.iter().copied()).any(|f| f.is_merged);
        let git = if merged { staging.git() } else { &self.git };
        let mut command = git.command();
        command
            .args(["-c", "core.bigFileThreshold=16m", "-c", "pack.windowMemory=256m"])
            .args(["-c", "core.packedGitWindowSize=16m", "-c", "core.packedGitLimit=256m"])
            .args(["pack-objects", "--revs", "--thin", "--shallow", "--delta-base-offset"])
            .args(["--quiet", "--stdout"])
            .stdout(Stdio::from(file));
        run_into(command, &revisions(flat, bases), &attempted, &path).await?;
        Ok(Arc::new(path))
    }
}

/// What `pack-objects --revs` reads. Each commit is cut off from its parents, so that no history
/// is walked or sent; `--shallow` also makes git look for bases in the trees of the haves.
fn revisions(flat: &Flat, bases: &[&Flat]) -> String {
    let mut lines = String::new();
    let mut cut = |flat: &Flat| lines.push_str(&format!("--shallow {}\n", flat.root));
    cut(flat);
    bases.iter().for_each(|base| cut(base));
    lines.push_str(&format!("{}\n", flat.root));
    for base in bases {
        lines.push_str(&format!("^{}\n", base.root));
    }
    lines
}

async fn run_into(
    mut command: tokio::process::Command,
    input: &str,
    attempted: &str,
    path: &Path,
) -> Result<(), BackendError> {
    use tokio::io::AsyncWriteExt;

    let broken = |error: std::io::Error| {
        BackendError::new(ErrorKind::Broken, attempted)
            .with_source(format!("git cannot be run: {error}"))
    };
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(broken)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A git that stops reading says why on standard error.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(broken)?;
    command::Answer {
        ok: output.status.success(),
        code: output.status.code(),
        stdout: Vec::new(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
    .require(attempted)
    .inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn commits(dir: &Path, number: usize) -> Vec<Have> {
        let git = Git::new(dir);
        git.output("init", &["init", "-q", "."]).await.unwrap();
        let mut haves = Vec::new();
        for n in 0..number {
            std::fs::write(dir.join("a.txt"), format!("{n}")).unwrap();
            git.output("add", &["add", "-A"]).await.unwrap();
            let who = ["-c", "user.name=a", "-c", "user.email=a@x", "commit", "-q", "-m", "x"];
            git.output("commit", &who).await.unwrap();
            let oid = async |rev| Oid::parse(&git.line("read", &["rev-parse", rev]).await.unwrap());
            let (commit, tree) = (oid("HEAD").await.unwrap(), oid("HEAD^{tree}").await.unwrap());
            haves.push(Have { commit, tree });
        }
        haves
    }

    #[tokio::test]
    async fn one_pack_serves_all_that_have_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let commits = commits(dir.path(), 3).await;
        let packs = Packs::new(dir.path());
        let newest = &commits[2].commit;
        let haves = [commits[0].clone(), commits[1].clone()];
        let swapped = [commits[1].clone(), commits[0].clone(), commits[0].clone()];
        let (one, other) = tokio::join!(packs.pack(newest, &haves), packs.pack(newest, &swapped));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(Arc::ptr_eq(&one, &other), "two packs for one set of haves");
        let full = packs.pack(newest, &[]).await.unwrap();
        assert_ne!(one, full);
    }

    #[tokio::test]
    async fn what_one_target_has_is_looked_up_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let commits = commits(dir.path(), 2).await;
        let packs = Packs::new(dir.path());
        let one = packs.pack(&commits[1].commit, &commits[..1]).await.unwrap();
        // Nothing can be asked any more.
        std::fs::rename(dir.path().join(".git"), dir.path().join("gone")).unwrap();
        let other = packs.pack(&commits[1].commit, &commits[..1]).await.unwrap();
        assert!(Arc::ptr_eq(&one, &other));
    }

    #[tokio::test]
    async fn haves_that_are_not_true_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let commits = commits(dir.path(), 3).await;
        let packs = Packs::new(dir.path());
        let newest = &commits[2].commit;
        let unknown = Oid::parse(&"0123456789".repeat(4)).unwrap();
        let lies = [
            Have { commit: unknown.clone(), tree: unknown.clone() },
            Have { commit: commits[0].commit.clone(), tree: commits[1].tree.clone() },
            Have { commit: commits[0].tree.clone(), tree: commits[0].tree.clone() },
        ];
        let full = packs.pack(newest, &[]).await.unwrap();
        assert!(Arc::ptr_eq(&full, &packs.pack(newest, &lies).await.unwrap()));
        let mixed = [lies[0].clone(), commits[1].clone()];
        let one = packs.pack(newest, &commits[1..2]).await.unwrap();
        assert!(Arc::ptr_eq(&one, &packs.pack(newest, &mixed).await.unwrap()));
    }

    #[tokio::test]
    async fn after_so_many_packs_the_rest_get_a_full_one() {
        let dir = tempfile::tempdir().unwrap();
        let commits = commits(dir.path(), DISTINCT + 3).await;
        let packs = Packs::new(dir.path());
        let (newest, older) = commits.split_last().unwrap();
        let full = packs.pack(&newest.commit, &[]).await.unwrap();
        let mut fulls = 0;
        for have in older {
            let pack = packs.pack(&newest.commit, std::slice::from_ref(have)).await.unwrap();
            fulls += usize::from(Arc::ptr_eq(&pack, &full));
        }
        assert_eq!(fulls, older.len() - DISTINCT);
    }
}
