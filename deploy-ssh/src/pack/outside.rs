//! Puts contents that lie outside of git into the tree, in the place of their pointers.

use std::collections::BTreeMap;

use deploy_core::backend::{BackendError, ErrorKind};

use super::{
    contents::{Content, Contents},
    flat::entries,
    pointer::{Keeper, LONGEST, Pointer},
    staging::Staging,
    store::{self, Store},
};
use crate::git::{
    command::{self, Git},
    oid::Oid,
};

/// How far a content may be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    /// On this machine only.
    Here,
    /// On its server too.
    Server,
}

/// A tree with its contents in place.
pub(super) struct Filled {
    pub tree: Oid,
    pub contents: Vec<Content>,
}

/// A file of the tree that is a pointer.
struct Pointed {
    mode: Vec<u8>,
    path: Vec<u8>,
    pointer: Pointer,
}

/// The tree of `commit` with the contents of Git LFS and git-fat in the place of their pointers.
///
/// # Errors
/// `NotFound` when contents are missing, with the command that brings them.
pub(super) async fn fill(
    git: &Git,
    staging: &Staging,
    contents: &Contents,
    (commit, tree): (&Oid, &Oid),
    reach: Reach,
) -> Result<Filled, BackendError> {
    let attempted = format!("read the tree of {}", commit.short());
    let is_any = ["grep", "-q", "-e", "filter=lfs", "-e", "filter=fat"];
    let is_any = [&is_any[..], &[commit.as_str(), "--", ":(glob)**/.gitattributes"]].concat();
    if !git.ask(&attempted, &is_any).await?.ok {
        return Ok(Filled { tree: tree.clone(), contents: Vec::new() });
    }
    let pointed = pointers(git, staging, tree, &attempted).await?;
    let blobs = resolve(git, staging, contents, &pointed, commit, reach).await?;
    if blobs.is_empty() {
        return Ok(Filled { tree: tree.clone(), contents: Vec::new() });
    }
    let index = staging.new_index();
    staging.in_index(&index, &["read-tree", tree.as_str()], None, &attempted).await?;
    let mut records = Vec::new();
    for file in &pointed {
        let Some(content) = blobs.get(&file.pointer) else { continue };
        records.extend(&file.mode);
        records.extend(format!(" {}\t", content.blob).into_bytes());
        records.extend(&file.path);
        records.push(0);
    }
    let put = ["update-index", "-z", "--index-info"];
    staging.in_index(&index, &put, Some(&records), &attempted).await?;
    // Contents become blobs only when they are packed.
    let write = ["write-tree", "--missing-ok"];
    let tree = staging.in_index(&index, &write, None, &attempted).await?;
    let tree = Oid::from_output(&tree).ok_or_else(|| {
        BackendError::new(ErrorKind::Broken, attempted).with_source("git wrote no tree")
    })?;
    Ok(Filled { tree, contents: blobs.into_values().collect() })
}

/// The pointers of a tree.
async fn pointers(
    git: &Git,
    staging: &Staging,
    tree: &Oid,
    attempted: &str,
) -> Result<Vec<Pointed>, BackendError> {
    staging.borrow_from(git).await?;
    let index = staging.new_index();
    staging.in_index(&index, &["read-tree", tree.as_str()], None, attempted).await?;
    let list = ["ls-tree", "-r", "-z", "--full-tree", tree.as_str()];
    let listing = git.output(attempted, &list).await?;
    let files: BTreeMap<&[u8], (&[u8], &[u8])> = entries(&listing)
        .filter(|(mode, ..)| mode.starts_with(b"100"))
        .map(|(mode, oid, path)| (path, (mode, oid)))
        .collect();
    let names: Vec<u8> = files.keys().flat_map(|path| [path, &b"\0"[..]].concat()).collect();
    let check = ["check-attr", "--cached", "-z", "--stdin", "filter"];
    let checked = staging.in_index(&index, &check, Some(&names), attempted).await?;
    let mut kept = Vec::new();
    let words: Vec<&[u8]> = checked.split(|b| *b == 0).collect();
    for word in words.chunks_exact(3) {
        let keeper = Keeper::ALL.into_iter().find(|keeper| keeper.filter().as_bytes() == word[2]);
        if let (Some(keeper), Some((mode, oid))) = (keeper, files.get(word[0])) {
            kept.push((keeper, *mode, *oid, word[0]));
        }
    }
    let oids: Vec<&[u8]> = kept.iter().map(|(_, _, oid, _)| *oid).collect();
    let texts = small_blobs(git, &oids, attempted).await?;
    let mut pointed = Vec::new();
    for (keeper, mode, oid, path) in kept {
        let Some(text) = texts.get(oid) else { continue };
        let pointer = Pointer::parse(keeper, text).map_err(|error| {
            BackendError::new(ErrorKind::Rejected, attempted)
                .with_source(format!("{:?}: {error}", String::from_utf8_lossy(path)))
        })?;
        if let Some(pointer) = pointer {
            pointed.push(Pointed { mode: mode.to_owned(), path: path.to_owned(), pointer });
        }
    }
    Ok(pointed)
}

/// Those of `oids` that are small enough for a pointer.
async fn small_blobs(
    git: &Git,
    oids: &[&[u8]],
    attempted: &str,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, BackendError> {
    let batch = async |how: &str, oids: &[&[u8]]| {
        let mut command = git.command();
        command.args(["cat-file", how]);
        let names = [oids.join(&b'\n'), b"\n".to_vec()].concat();
        command::run(command, Some(&names), attempted).await?.require(attempted)
    };
    if oids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sizes = batch("--batch-check=%(objectname) %(objectsize)", oids).await?;
    let sizes = String::from_utf8_lossy(&sizes).into_owned();
    let is_small = |line: &str| {
        let (oid, size) = line.split_once(' ')?;
        (size.parse::<u64>().ok()? <= LONGEST).then(|| oid.to_owned())
    };
    let small: Vec<String> = sizes.lines().filter_map(is_small).collect();
    let small: Vec<&[u8]> = small.iter().map(|oid| oid.as_bytes()).collect();
    let mut texts = BTreeMap::new();
    if small.is_empty() {
        return Ok(texts);
    }
    let output = batch("--batch=%(objectname) %(objectsize)", &small).await?;
    let mut rest = &output[..];
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let Some((oid, Ok(size))) = line.split_once(' ').map(|(o, s)| (o, s.parse::<usize>()))
        else {
            break;
        };
        let Some(text) = rest.get(end + 1..end + 1 + size) else { break };
        texts.insert(oid.as_bytes().to_owned(), text.to_owned());
        rest = rest.get(end + size + 2..).unwrap_or_default();
    }
    Ok(texts)
}

/// The blob of each content, found here or brought here.
async fn resolve(
    git: &Git,
    staging: &Staging,
    contents: &Contents,
    pointed: &[Pointed],
    commit: &Oid,
    reach: Reach,
) -> Result<BTreeMap<Pointer, Content>, BackendError> {
    let mut found = BTreeMap::new();
    for keeper in Keeper::ALL {
        let wanted: BTreeMap<&Pointer, &[u8]> = pointed
            .iter()
            .filter(|file| file.pointer.keeper == keeper)
            .map(|file| (&file.pointer, &file.path[..]))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let store = Store::open(git, keeper).await?;
        let lacks = |pointer: &&&Pointer| store.find(pointer).is_none();
        let missing: Vec<&Pointer> = match reach {
            Reach::Server => wanted.keys().filter(lacks).copied().collect(),
            // What was read before need not be here for its blob to be known.
            Reach::Here => Vec::new(),
        };
        if !missing.is_empty() {
            let (count, name) = (missing.len(), keeper.name());
            let size: u64 = missing.iter().map(|pointer| pointer.size).sum();
            let size = size.div_ceil(1 << 20);
            contents.told().line(&format!("fetching {count} files of {name}, {size} MiB"));
            store.fetch(commit, &missing).await?;
        }
        let mut fresh = Vec::new();
        for (pointer, path) in &wanted {
            let file = store.find(pointer);
            match (contents.blob(pointer, staging), file) {
                (Some(blob), file) if file.is_some() || reach == Reach::Here => {
                    let pointer = (*pointer).clone();
                    found.insert(pointer.clone(), Content { blob, pointer, file });
                }
                (_, Some(file)) => fresh.push(((*pointer).clone(), file)),
                (_, None) => return Err(missing_error(git, &store, commit, path).await?),
            }
        }
        if fresh.is_empty() {
            continue;
        }
        let blobs = contents.write(&fresh, staging).await?;
        for ((pointer, file), blob) in fresh.into_iter().zip(blobs) {
            let content = Content { blob, pointer: pointer.clone(), file: Some(file) };
            found.insert(pointer, content);
        }
    }
    Ok(found)
}

async fn missing_error(
    git: &Git,
    store: &Store,
    commit: &Oid,
    path: &[u8],
) -> Result<BackendError, BackendError> {
    let remote = store::remote(git).await?;
    let attempted = format!("read the tree of {}", commit.short());
    let path = String::from_utf8_lossy(path);
    Ok(BackendError::new(ErrorKind::NotFound, attempted)
        .with_source(format!("the content of {path:?} is not here, and its server has it not"))
        .with_hint(format!("push it from where it is, then `{}`", store.command(&remote, commit))))
}
