//! The tree of a version as it will lie on a target: submodules are ordinary directories of it, and
//! files of Git LFS and git-fat have their contents.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStringExt,
    path::Path,
};

use deploy_core::backend::{BackendError, ErrorKind};

use super::{
    contents::{Content, Contents},
    outside::{self, Filled, Reach},
    staging::Staging,
    submodule::{self, Gitlink},
};
use crate::{
    git::{
        command::{self, Git},
        oid::Oid,
    },
    layout::{BUILDING, MARK, RENDERED},
};

/// How deep submodules may lie in submodules.
const DEEPEST: usize = 16;

/// The tree of a version with its submodules and its large files in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flat {
    /// The commit of the version.
    pub commit: Oid,
    /// The commit to pack: the version's own, or one of ours around the joined tree.
    pub root: Oid,
    /// The tree, submodules included.
    pub tree: Oid,
    /// Those of its contents that lie outside of git.
    pub contents: Vec<Content>,
    /// The paths of its symbolic links.
    pub links: Vec<Vec<u8>>,
    /// Whether it is another tree than the commit's own.
    pub is_merged: bool,
}

impl Flat {
    /// Joins the tree of `commit` and those of its submodules, and the contents that `reach` finds.
    ///
    /// # Errors
    /// `NotFound` when the commit or a content is not here; `Rejected` when a submodule's commit is
    /// not, or when the tree bears one of our own names.
    pub(super) async fn of(
        git: &Git,
        (staging, contents): (&Staging, &Contents),
        commit: &Oid,
        reach: Reach,
    ) -> Result<Self, BackendError> {
        let attempted = format!("read the tree of {}", commit.short());
        let peeled = format!("{commit}^{{commit}}^{{tree}}");
        let tree = git.ask(&attempted, &["rev-parse", "--verify", "--quiet", &peeled]).await?;
        let Some(tree) = Oid::from_output(&tree.stdout).filter(|_| tree.ok) else {
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source("the commit is not in this repository")
                .with_hint("git fetch"));
        };
        let joining = Joining { staging, contents, reach };
        let mut listing = list(git, &tree).await?;
        let joined = joining.join(git.clone(), (commit, &tree), &listing, DEEPEST).await?;
        let Filled { tree: joined, contents } = joined;
        let is_merged = joined != tree;
        let root = if is_merged { wrap(staging, &joined).await? } else { commit.clone() };
        if is_merged {
            listing = list(staging.git(), &joined).await?;
        }
        let links = inspect(&listing, &attempted)?;
        Ok(Self { commit: commit.clone(), root, tree: joined, contents, links, is_merged })
    }

    /// What of it the commit alone has, as something to build upon.
    pub(super) fn without_merged(&self) -> Self {
        Self { root: self.commit.clone(), contents: Vec::new(), is_merged: false, ..self.clone() }
    }

    /// The symbolic link of the tree at or above `path`, if there is one.
    pub(crate) fn link_above(&self, path: &str) -> Option<String> {
        let is_above = |link: &&Vec<u8>| {
            path.as_bytes() == link.as_slice()
                || path.as_bytes().strip_prefix(link.as_slice()).is_some_and(|r| r[0] == b'/')
        };
        self.links.iter().find(is_above).map(|link| String::from_utf8_lossy(link).into_owned())
    }
}

/// What trees are joined with.
struct Joining<'a> {
    staging: &'a Staging,
    contents: &'a Contents,
    reach: Reach,
}

impl Joining<'_> {
    /// The tree of `commit`, which holds what is in `listing`, with the trees of its submodules and
    /// its large files put in their places.
    async fn join(
        &self,
        git: Git,
        (commit, tree): (&Oid, &Oid),
        listing: &[u8],
        depth: usize,
    ) -> Result<Filled, BackendError> {
        let filled = if has_attributes(listing) {
            let of = (commit, tree);
            outside::fill(&git, self.staging, self.contents, of, self.reach).await?
        } else {
            Filled { tree: tree.clone(), contents: Vec::new() }
        };
        let links = gitlinks(listing);
        if links.is_empty() {
            return Ok(filled);
        }
        let attempted = format!("join the submodules of {}", commit.short());
        if depth == 0 {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("submodules lie in each other too deep"));
        }
        let Filled { tree, mut contents } = filled;
        let staging = self.staging;
        staging.borrow_from(&git).await?;
        let index = staging.new_index();
        staging.in_index(&index, &["read-tree", tree.as_str()], None, &attempted).await?;
        for link in links {
            let repository = submodule::repository(&git, commit, &link).await?;
            let peeled = format!("{}^{{tree}}", link.commit);
            let sub = repository.output(&attempted, &["rev-parse", "--verify", &peeled]).await?;
            let sub = Oid::from_output(&sub).ok_or_else(|| {
                BackendError::new(ErrorKind::Broken, attempted.clone()).with_source("no tree id")
            })?;
            staging.borrow_from(&repository).await?;
            let listing = list(&repository, &sub).await?;
            let of = (&link.commit, &sub);
            let sub = Box::pin(self.join(repository.clone(), of, &listing, depth - 1)).await?;
            contents.extend(sub.contents);
            put(staging, &index, &link.path, &sub.tree, &attempted).await?;
        }
        let write = ["write-tree", "--missing-ok"];
        let joined = staging.in_index(&index, &write, None, &attempted).await?;
        let tree = Oid::from_output(&joined).ok_or_else(|| {
            BackendError::new(ErrorKind::Broken, attempted).with_source("git wrote no tree")
        })?;
        Ok(Filled { tree, contents })
    }
}

/// Puts `tree` in the place of the submodule at `path`.
async fn put(
    staging: &Staging,
    index: &Path,
    path: &[u8],
    tree: &Oid,
    attempted: &str,
) -> Result<(), BackendError> {
    let mut record = format!("0 {}\t", "0".repeat(tree.as_str().len())).into_bytes();
    record.extend(path);
    record.push(0);
    let remove = ["update-index", "-z", "--index-info"];
    staging.in_index(index, &remove, Some(&record), attempted).await?;
    let prefix = OsString::from_vec([b"--prefix=".as_slice(), path, b"/"].concat());
    let put = [OsStr::new("read-tree"), &prefix, OsStr::new(tree.as_str())];
    staging.in_index(index, &put, None, attempted).await.map(drop)
}

/// A commit around a joined tree: the same for the same tree, on every machine.
async fn wrap(staging: &Staging, tree: &Oid) -> Result<Oid, BackendError> {
    let attempted = "join the submodules";
    let mut command = staging.git().command();
    command.args(["commit-tree", "--no-gpg-sign", "-m", "joined", tree.as_str()]);
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "deploy")
            .env(format!("GIT_{who}_EMAIL"), "deploy@localhost")
            .env(format!("GIT_{who}_DATE"), "@0 +0000");
    }
    let commit = command::run(command, None, attempted).await?.require(attempted)?;
    Oid::from_output(&commit).ok_or_else(|| {
        BackendError::new(ErrorKind::Broken, attempted).with_source("git wrote no commit")
    })
}

/// One entry of a tree: its mode, object and path.
pub(super) fn entries(listing: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    listing.split(|b| *b == 0).filter_map(|entry| {
        let tab = entry.iter().position(|b| *b == b'\t')?;
        let (meta, path) = (&entry[..tab], &entry[tab + 1..]);
        let mut words = meta.split(|b| *b == b' ');
        Some((words.next()?, words.nth(1)?, path))
    })
}

/// All files of a tree, for [`entries`].
async fn list(git: &Git, tree: &Oid) -> Result<Vec<u8>, BackendError> {
    git.output("list the files", &["ls-tree", "-r", "-z", "--full-tree", tree.as_str()]).await
}

/// Whether any file says how others are to be treated; without, none is kept outside of git.
fn has_attributes(listing: &[u8]) -> bool {
    let name = |path: &[u8]| path.rsplit(|b| *b == b'/').next() == Some(b".gitattributes");
    entries(listing).any(|(.., path)| name(path))
}

fn gitlinks(listing: &[u8]) -> Vec<Gitlink> {
    entries(listing)
        .filter(|(mode, ..)| *mode == b"160000")
        .filter_map(|(_, oid, path)| {
            let commit = Oid::parse(std::str::from_utf8(oid).ok()?)?;
            Some(Gitlink { path: path.to_owned(), commit })
        })
        .collect()
}

/// The symbolic links of a tree. Refuses trees that use our own names.
fn inspect(listing: &[u8], attempted: &str) -> Result<Vec<Vec<u8>>, BackendError> {
    let mut links = Vec::new();
    for (mode, _, path) in entries(listing) {
        let first = path.split(|b| *b == b'/').next().unwrap_or_default();
        if [MARK.as_bytes(), BUILDING.as_bytes(), RENDERED.as_bytes()].contains(&first) {
            return Err(BackendError::new(ErrorKind::Rejected, attempted).with_source(format!(
                "it holds {:?}, a name that the tool needs for itself",
                String::from_utf8_lossy(first)
            )));
        }
        if mode == b"120000" {
            links.push(path.to_owned());
        }
    }
    Ok(links)
}
