//! What an archive holds, file by file.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// What lies at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File { digest: String, is_executable: bool },
    Link { to: Vec<u8> },
}

/// Everything that is unpacked, by its path below the release: no empty, `.` or `..` part, no
/// control character, every directory named before what is in it.
///
/// As text it has one line for each path, in the order of their bytes:
///
/// ```text
/// d ./bin
/// f 0f3c…  ./bin/notes.txt
/// x 9a41…  ./bin/run
/// l ./current<TAB>bin
/// ```
///
/// What stands behind the letter of a file is a line for `sha256sum -c`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest(pub(super) BTreeMap<Vec<u8>, Entry>);

impl Manifest {
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (path, entry) in &self.0 {
            text.extend(line(path, entry));
            text.push(b'\n');
        }
        text
    }

    /// What tells this apart from any other: SHA-256 of its text.
    pub(super) fn digest(&self) -> String {
        hex(&Sha256::digest(self.text()))
    }

    /// Reads a text that [`text`](Self::text) made; `None` when it is another.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut entries = BTreeMap::new();
        for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let (kind, rest) = (line.first()?, line.get(2..)?);
            let (path, entry) = match kind {
                b'd' => (rest, Entry::Directory),
                b'l' => {
                    let tab = rest.iter().position(|b| *b == b'\t')?;
                    (&rest[..tab], Entry::Link { to: rest[tab + 1..].to_owned() })
                }
                b'f' | b'x' => {
                    let digest = String::from_utf8(rest.get(..64)?.to_owned()).ok()?;
                    let path = rest.get(66..)?;
                    (path, Entry::File { digest, is_executable: *kind == b'x' })
                }
                _ => return None,
            };
            entries.insert(path.strip_prefix(b"./")?.to_owned(), entry);
        }
        let manifest = Self(entries);
        (manifest.text() == text).then_some(manifest)
    }

    /// Whether `base` has the very same file at `path`.
    pub(super) fn is_in(&self, base: &Self, path: &[u8]) -> bool {
        let entry = self.0.get(path);
        matches!(entry, Some(Entry::File { .. })) && entry == base.0.get(path)
    }
}

fn line(path: &[u8], entry: &Entry) -> Vec<u8> {
    match entry {
        Entry::Directory => [b"d ./", path].concat(),
        Entry::Link { to } => [b"l ./", path, b"\t", to].concat(),
        Entry::File { digest, is_executable } => {
            let kind: &[u8] = if *is_executable { b"x " } else { b"f " };
            [kind, digest.as_bytes(), b"  ./", path].concat()
        }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_and_nothing_else_does() {
        let file = |digest: char, is_executable| Entry::File {
            digest: digest.to_string().repeat(64),
            is_executable,
        };
        let manifest = Manifest(BTreeMap::from([
            (b"bin".to_vec(), Entry::Directory),
            (b"bin/run  x".to_vec(), file('a', true)),
            (b"caf\xe9 -> y".to_vec(), file('b', false)),
            (b"now".to_vec(), Entry::Link { to: b"bin/run  x".to_vec() }),
        ]));
        let text = manifest.text();
        assert_eq!(Manifest::parse(&text).as_ref(), Some(&manifest));
        assert_ne!(manifest.digest(), Manifest::default().digest());
        for bad in [
            &b"d bin\n"[..],
            b"q ./bin\n",
            b"f 00  ./x\n",
            b"l ./x\n",
            b"d ./b\nd ./a\n",
            &text[..text.len() - 1],
        ] {
            assert_eq!(Manifest::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
