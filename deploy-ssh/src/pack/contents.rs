//! Contents that lie outside of git, made blobs of the staging repository.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
};

use deploy_core::backend::{BackendError, ErrorKind};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{
    pointer::{Keeper, Pointer},
    staging::Staging,
};
use crate::{
    cache::Cache,
    git::{command, oid::Oid},
    told::Told,
};

/// What is remembered between runs, in the cache.
const REMEMBERED: &str = "contents";
/// How much of what is remembered is read.
const MOST: u64 = 64 << 20;

/// A content that lies outside of git, and the blob that it is in the joined tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub blob: Oid,
    pub(super) pointer: Pointer,
    /// The file that held it when it was looked for.
    pub(super) file: Option<PathBuf>,
}

/// Which blob each content is. Contents are large: a content is read again only where it must be
/// packed.
#[derive(Debug, Default)]
pub(super) struct Contents {
    cache: Option<Cache>,
    told: Told,
    blobs: Mutex<Option<HashMap<String, Oid>>>,
    written: Mutex<HashSet<Oid>>,
}

impl Contents {
    pub(super) fn keep_in(&mut self, cache: Cache) {
        self.cache = Some(cache);
    }

    pub(super) fn tell(&mut self, told: Told) {
        self.told = told;
    }

    /// Who is told what is fetched.
    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    /// The blob of a content, where it is known from before.
    pub(super) fn blob(&self, pointer: &Pointer, staging: &Staging) -> Option<Oid> {
        let mut blobs = lock(&self.blobs);
        let blobs = blobs.get_or_insert_with(|| self.remembered());
        let blob = blobs.get(&pointer.key())?;
        (blob.as_str().len() == staging.digits()).then(|| blob.clone())
    }

    /// Reads the contents in `files`, proves them, and makes them blobs, in the same order.
    ///
    /// # Errors
    /// `Rejected` when one is not what its pointer says.
    pub(super) async fn write(
        &self,
        files: &[(Pointer, PathBuf)],
        staging: &Staging,
    ) -> Result<Vec<Oid>, BackendError> {
        let attempted = "read the large files";
        let refuse =
            |why: String| BackendError::new(ErrorKind::Rejected, attempted).with_source(why);
        let mut names = Vec::new();
        for (_, file) in files {
            let name = file.as_os_str().as_bytes();
            if name.contains(&b'\n') {
                return Err(refuse(format!("the path {} has a line break", file.display())));
            }
            names.extend(name);
            names.push(b'\n');
        }
        let proving = files.to_vec();
        let proven = tokio::task::spawn_blocking(move || proving.iter().try_for_each(prove));
        proven.await.map_err(|error| refuse(error.to_string()))?.map_err(refuse)?;
        let mut hash = staging.git().command();
        hash.args(["-c", "core.bigFileThreshold=16m", "-c", "core.compression=1", "hash-object"])
            .args(["-w", "--no-filters", "--stdin-paths"])
            .stdin(Stdio::piped());
        let output = command::run(hash, Some(&names), attempted).await?.require(attempted)?;
        let output = String::from_utf8_lossy(&output).into_owned();
        let blobs: Vec<Oid> = output.lines().filter_map(Oid::parse).collect();
        if blobs.len() != files.len() {
            return Err(refuse("git did not take all of them".to_owned()));
        }
        lock(&self.written).extend(blobs.iter().cloned());
        self.remember(files.iter().map(|(pointer, _)| pointer).zip(&blobs));
        Ok(blobs)
    }

    /// Makes blobs of those of `contents` that are none yet.
    ///
    /// # Errors
    /// As [`write`](Self::write); also where a content is not here.
    pub(super) async fn ensure<'a>(
        &self,
        contents: impl Iterator<Item = &'a Content>,
        staging: &Staging,
    ) -> Result<(), BackendError> {
        let missing: Vec<&Content> = {
            let written = lock(&self.written);
            contents.filter(|content| !written.contains(&content.blob)).collect()
        };
        let mut files = Vec::new();
        for content in &missing {
            let file = content.file.clone().ok_or_else(|| {
                BackendError::new(ErrorKind::NotFound, "read the large files")
                    .with_source(format!("{} is not here any more", content.pointer.key()))
            })?;
            files.push((content.pointer.clone(), file));
        }
        if files.is_empty() {
            return Ok(());
        }
        let blobs = self.write(&files, staging).await?;
        if blobs.iter().zip(&missing).any(|(blob, content)| *blob != content.blob) {
            return Err(BackendError::new(ErrorKind::Broken, "read the large files")
                .with_source("what the cache says of them is wrong")
                .with_hint("remove the cache directory in the state directory"));
        }
        Ok(())
    }

    fn remembered(&self) -> HashMap<String, Oid> {
        let file = self.cache.as_ref().and_then(|cache| cache.open(REMEMBERED).ok());
        let mut text = String::new();
        if let Some(file) = file {
            // What cannot be read is found out anew.
            let _ = file.take(MOST).read_to_string(&mut text);
        }
        let entry = |line: &str| {
            let (key, blob) = line.split_once(' ')?;
            Some((key.to_owned(), Oid::parse(blob)?))
        };
        text.lines().filter_map(entry).collect()
    }

    fn remember<'a>(&self, new: impl Iterator<Item = (&'a Pointer, &'a Oid)>) {
        let mut lines = String::new();
        let mut blobs = lock(&self.blobs);
        let blobs = blobs.get_or_insert_with(|| self.remembered());
        for (pointer, blob) in new {
            if blobs.insert(pointer.key(), blob.clone()).as_ref() != Some(blob) {
                lines.push_str(&format!("{} {blob}\n", pointer.key()));
            }
        }
        if let Some(cache) = &self.cache
            && !lines.is_empty()
        {
            // Without it the next run reads the contents again.
            let _ = cache.append(REMEMBERED).and_then(|mut file| file.write_all(lines.as_bytes()));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a file holds what its pointer says.
fn prove((pointer, file): &(Pointer, PathBuf)) -> Result<(), String> {
    let digest = match pointer.keeper {
        Keeper::Lfs => digest::<Sha256>(file),
        Keeper::Fat => digest::<Sha1>(file),
    };
    match digest {
        Ok(digest) if digest == pointer.digest => Ok(()),
        Ok(_) => Err(format!("{} is damaged: remove it, and fetch it again", file.display())),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn digest<D: Digest>(file: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (File::open(file)?, D::new());
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            read => digest.update(&buffer[..read]),
        }
    }
}
