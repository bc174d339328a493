//! What is sent to hosts: the manifest, and the files of it that they lack.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::Path,
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use tar::{EntryType, Header};

use super::{
    manifest::{Entry, Manifest},
    read::{Held, normal, unpacked},
};

/// How a host can unpack what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Packing {
    /// It has gzip.
    Gzip,
    /// It has tar only.
    Plain,
}

/// Writes to `into` what a host needs that has `base` already: the text of the manifest, followed
/// by a tar stream. The tar stream is plain and small of features, so that every tar reads it: the
/// directories, the links, and the files that `base` lacks, with the modes that they will have.
pub(super) fn write(
    archive: Arc<File>,
    held: &Held,
    base: Option<&Manifest>,
    packing: Packing,
    into: &Path,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(256 * 1024, File::create(into)?);
    out.write_all(&held.manifest.text())?;
    let out = match packing {
        Packing::Plain => members(archive, held, base, out)?,
        Packing::Gzip => {
            let gzip = GzEncoder::new(out, Compression::new(4));
            members(archive, held, base, gzip)?.finish()?
        }
    };
    out.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
}

fn members<W: Write>(
    archive: Arc<File>,
    held: &Held,
    base: Option<&Manifest>,
    out: W,
) -> io::Result<W> {
    let manifest = &held.manifest;
    let mut tar = tar::Builder::new(out);
    for (path, entry) in &manifest.0 {
        match entry {
            Entry::Directory => append(&mut tar, path, EntryType::Directory, 0o755, None)?,
            Entry::Link { to } => append(&mut tar, path, EntryType::Symlink, 0o777, Some(to))?,
            Entry::File { .. } => {}
        }
    }
    let is_there = |path: &[u8]| base.is_some_and(|base| manifest.is_in(base, path));
    let mut lacked: BTreeSet<&[u8]> = manifest
        .0
        .iter()
        .filter(|(path, entry)| matches!(entry, Entry::File { .. }) && !is_there(path))
        .map(|(path, _)| &path[..])
        .collect();
    files(archive, held, &mut lacked, &mut tar)?;
    if !lacked.is_empty() {
        return Err(io::Error::other("the archive has changed since it was read"));
    }
    tar.into_inner()
}

/// Copies the files in `lacked` from the archive.
fn files(
    archive: Arc<File>,
    held: &Held,
    lacked: &mut BTreeSet<&[u8]>,
    tar: &mut tar::Builder<impl Write>,
) -> io::Result<()> {
    let other = |error: super::read::Refused| io::Error::other(error.to_string());
    let mut archive = tar::Archive::new(unpacked(archive).map_err(other)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
            continue;
        }
        let path = normal(&entry.path_bytes()).map_err(other)?;
        // The file itself, or the first of its other names that is lacked.
        let names = std::iter::once(&path).chain(held.aliases.get(&path).into_iter().flatten());
        let names: Vec<&Vec<u8>> = names.filter(|name| lacked.contains(&name[..])).collect();
        let Some((first, others)) = names.split_first() else { continue };
        let mode = match held.manifest.0.get(*first) {
            Some(Entry::File { is_executable: true, .. }) => 0o555,
            _ => 0o444,
        };
        let size = entry.size();
        append_file(tar, first, mode, size, &mut entry)?;
        lacked.remove(&first[..]);
        for name in others {
            append(tar, name, EntryType::Link, mode, Some(first))?;
            lacked.remove(&name[..]);
        }
    }
    Ok(())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append_file(
    tar: &mut tar::Builder<impl Write>,
    path: &[u8],
    mode: u32,
    size: u64,
    content: &mut impl Read,
) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, size);
    tar.append_data(&mut header, member(path), content)
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &[u8],
    kind: EntryType,
    mode: u32,
    to: Option<&Vec<u8>>,
) -> io::Result<()> {
    let mut header = header(kind, mode, 0);
    match to {
        None => tar.append_data(&mut header, member(path), io::empty()),
        // A hard link names a member; a symbolic one is whatever it is.
        Some(to) if kind == EntryType::Link => {
            tar.append_link(&mut header, member(path), member(to))
        }
        Some(to) => tar.append_link(&mut header, member(path), os(to)),
    }
}

/// A member's name, which can never be taken for an option.
fn member(path: &[u8]) -> std::path::PathBuf {
    Path::new(".").join(os(path))
}

fn os(path: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(path))
}
