//! Reads what the build wrote, and refuses what must not be unpacked anywhere.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::{
    links,
    manifest::{Entry, Manifest, hex},
};
use crate::layout::{BUILDING, MARK};

/// The longest path, and the longest part of one.
const LONGEST: (usize, usize) = (1024, 255);
/// A whole archive ends with that many bytes of zero.
const END: usize = 1024;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{:?} {problem}", String::from_utf8_lossy(.path))]
    Entry { path: Vec<u8>, problem: &'static str },
    #[error("{0}")]
    Whole(&'static str),
    #[error("it cannot be read as a tar archive")]
    Unreadable(#[source] io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// An open file read from its beginning, by as many readers as there are.
#[derive(Debug, Clone)]
pub(super) struct Reread {
    file: Arc<File>,
    at: u64,
}

impl Reread {
    pub(super) fn new(file: Arc<File>) -> Self {
        Self { file, at: 0 }
    }
}

impl Read for Reread {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The tar stream of an archive, whatever it was compressed with.
pub(super) fn unpacked(file: Arc<File>) -> Result<Box<dyn Read>, Refused> {
    let mut magic = [0; 6];
    let known = file.read_at(&mut magic, 0)?;
    let file = BufReader::with_capacity(256 * 1024, Reread::new(file));
    match &magic[..known] {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Box::new(Frames::of(file)?)),
        [0xfd, b'7', b'z', b'X', ..] => Err(Refused::Whole("it is compressed by xz: use gzip")),
        [b'B', b'Z', b'h', ..] => Err(Refused::Whole("it is compressed by bzip2: use gzip")),
        [] => Err(Refused::Whole("it is empty")),
        _ => Ok(Box::new(file)),
    }
}

/// All frames of a zstd stream, one after the other.
struct Frames<R: BufRead>(Option<StreamingDecoder<R, FrameDecoder>>);

impl<R: BufRead> Frames<R> {
    fn of(input: R) -> io::Result<Self> {
        let decoder = StreamingDecoder::new(input)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok(Self(Some(decoder)))
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.0.take().map(StreamingDecoder::into_inner) else { break };
            if !rest.fill_buf()?.is_empty() {
                *self = Self::of(rest)?;
            }
        }
        Ok(0)
    }
}

/// What an archive holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub manifest: Manifest,
    /// The further names of files that have several, by the name that stands first.
    pub aliases: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

/// Reads an archive to its end: what is in it, but for what lies in `shared` directories.
pub(super) fn read(file: Arc<File>, shared: &[String]) -> Result<Held, Refused> {
    let mut archive = tar::Archive::new(Ended::new(unpacked(file)?));
    let mut held = Held::default();
    for entry in archive.entries()? {
        take(&mut entry?, &mut held)?;
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    if !rest.is_whole() {
        return Err(Refused::Whole("it is cut off: it has no end"));
    }
    leave_out(&mut held.manifest, shared)?;
    if held.manifest.0.is_empty() {
        return Err(Refused::Whole("there is nothing in it"));
    }
    links::stay_inside(&held.manifest)?;
    Ok(held)
}

fn take(entry: &mut tar::Entry<'_, impl Read>, held: &mut Held) -> Result<(), Refused> {
    let kind = entry.header().entry_type();
    if kind.is_pax_global_extensions() {
        return Ok(());
    }
    let raw = entry.path_bytes().into_owned();
    let refuse = |problem| Err(Refused::Entry { path: raw.clone(), problem });
    if is_sparse(entry)? {
        return refuse("is stored as a sparse file: make the archive without -S");
    }
    let path = normal(&raw)?;
    let entry = match kind {
        EntryType::Directory if path.is_empty() => return Ok(()),
        EntryType::Directory => Entry::Directory,
        EntryType::Regular | EntryType::Continuous => {
            let mode = entry.header().mode()?;
            if mode & 0o6000 != 0 {
                return refuse("is setuid or setgid");
            }
            Entry::File { digest: digest(entry)?, is_executable: mode & 0o100 != 0 }
        }
        EntryType::Symlink => {
            let to = entry.link_name_bytes().unwrap_or_default().into_owned();
            if to.is_empty() || to.iter().any(u8::is_ascii_control) {
                return refuse("is a link to a name that is not allowed");
            }
            Entry::Link { to }
        }
        EntryType::Link => {
            let to = normal(&entry.link_name_bytes().unwrap_or_default())?;
            match held.manifest.0.get(&to).cloned() {
                Some(file @ Entry::File { .. }) => {
                    held.add_alias(to, &path);
                    file
                }
                _ => return refuse("is a hard link to what does not stand before it"),
            }
        }
        EntryType::Char | EntryType::Block => return refuse("is a device"),
        EntryType::Fifo => return refuse("is a pipe"),
        _ => return refuse("is neither a file, a directory nor a link"),
    };
    if path.is_empty() {
        return refuse("is a name that is not allowed");
    }
    place(&mut held.manifest, &raw, path, entry)
}

impl Held {
    fn add_alias(&mut self, to: Vec<u8>, path: &[u8]) {
        let root = self.aliases.iter().find(|(_, names)| names.contains(&to));
        let root = root.map_or(to, |(root, _)| root.clone());
        self.aliases.entry(root).or_default().push(path.to_owned());
    }
}

/// Puts an entry into its place, and the directories above it.
fn place(manifest: &mut Manifest, raw: &[u8], path: Vec<u8>, entry: Entry) -> Result<(), Refused> {
    let refuse = |problem| Err(Refused::Entry { path: raw.to_owned(), problem });
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        match manifest.0.get(&path[..at]) {
            Some(Entry::Directory) => {}
            Some(_) => return refuse("lies below what is no directory"),
            None => {
                manifest.0.insert(path[..at].to_owned(), Entry::Directory);
            }
        }
    }
    match (manifest.0.get(&path), &entry) {
        (Some(Entry::Directory), Entry::Directory) | (None, _) => {}
        _ => return refuse("is there twice"),
    }
    manifest.0.insert(path, entry);
    Ok(())
}

/// The path as it is meant: without `.` and empty parts.
pub(super) fn normal(raw: &[u8]) -> Result<Vec<u8>, Refused> {
    let refuse = |problem| Err(Refused::Entry { path: raw.to_owned(), problem });
    if raw.first() == Some(&b'/') {
        return refuse("is an absolute path");
    }
    let parts: Vec<&[u8]> =
        raw.split(|b| *b == b'/').filter(|part| !matches!(part, [] | [b'.'])).collect();
    if parts.contains(&&b".."[..]) {
        return refuse("leads out of the archive");
    }
    if raw.iter().any(u8::is_ascii_control) {
        return refuse("has a control character in its name");
    }
    if raw.len() > LONGEST.0 || parts.iter().any(|part| part.len() > LONGEST.1) {
        return refuse("is too long a name");
    }
    if parts.first().is_some_and(|first| [MARK.as_bytes(), BUILDING.as_bytes()].contains(first)) {
        return refuse("is a name that the tool needs for itself");
    }
    Ok(parts.join(&b'/'))
}

/// Leaves out what lies in shared directories: links to what outlives a release stand there.
fn leave_out(manifest: &mut Manifest, shared: &[String]) -> Result<(), Refused> {
    for shared in shared {
        let parts = shared.match_indices('/').map(|(at, _)| at).chain([shared.len()]);
        for at in parts {
            let path = &shared.as_bytes()[..at];
            if matches!(manifest.0.get(path), Some(Entry::Link { .. } | Entry::File { .. })) {
                let problem = "stands at or above a shared directory, and is no directory";
                return Err(Refused::Entry { path: path.to_owned(), problem });
            }
        }
        let below = [shared.as_bytes(), b"/"].concat();
        manifest.0.retain(|path, _| path != shared.as_bytes() && !path.starts_with(&below));
    }
    Ok(())
}

fn is_sparse(entry: &mut tar::Entry<'_, impl Read>) -> Result<bool, Refused> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    let mut keys = extensions.flatten().map(|extension| extension.key_bytes().to_owned());
    Ok(keys.any(|key| key.starts_with(b"GNU.sparse.")))
}

fn digest(content: &mut impl Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// A stream that knows whether what it ended with is the end of an archive.
struct Ended<R> {
    inner: R,
    zeros: usize,
}

impl<R: Read> Ended<R> {
    fn new(inner: R) -> Self {
        Self { inner, zeros: 0 }
    }

    fn is_whole(&self) -> bool {
        self.zeros >= END
    }
}

impl<R: Read> Read for Ended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let zeros = buffer[..read].iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == read { self.zeros + read } else { zeros };
        Ok(read)
    }
}

/// Opens an archive that is a plain file.
pub(super) fn open(path: &Path) -> io::Result<Arc<File>> {
    let file = File::open(path)?;
    if file.metadata()?.is_file() {
        return Ok(Arc::new(file));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
}
