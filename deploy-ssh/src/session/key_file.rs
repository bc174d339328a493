//! A file with a private key, as far as it is known before it is used.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ssh_key::{PrivateKey, PublicKey};

use super::file_memo::FileMemo;

/// A file with a private key. The key itself is not kept.
#[derive(Debug)]
pub(crate) struct KeyFile {
    pub kind: Kind,
    /// Its public key, where that can be read.
    pub public: Option<PublicKey>,
    /// The public key that the private one has in itself, as one line, where it can be used as it is.
    pub own: Option<String>,
    /// The certificates that go with it: configured ones, and the one beside it.
    pub certificates: Vec<PathBuf>,
}

impl KeyFile {
    /// What is at `path`, with those of `certificates` that are its own.
    pub(crate) fn at(path: &Path, certificates: &[PathBuf], memo: &FileMemo<Self>) -> Arc<Self> {
        let mut all = certificates.to_vec();
        all.push(beside(path, "-cert.pub"));
        let mut files = vec![path.to_owned(), beside(path, ".pub")];
        files.extend(all.iter().cloned());
        memo.get(&files, || Self::read(path, all))
    }

    /// The same, read anew.
    pub(super) fn read(path: &Path, mut certificates: Vec<PathBuf>) -> Self {
        let public = public_of(path);
        certificates.retain(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            match ssh_key::Certificate::from_openssh(text.trim()) {
                Ok(c) => public.as_ref().is_none_or(|own| own.key_data() == c.public_key()),
                // Not every certificate can be read here, such as one that is valid for ever.
                Err(_) => text.contains("-cert-v01@openssh.com "),
            }
        });
        let text = fs::read_to_string(path);
        let kind = text.as_ref().map_or(Kind::Missing, |text| Kind::of(text));
        let own = text.ok().filter(|_| kind == Kind::Usable).and_then(|text| own(&text));
        Self { kind, public, own, certificates }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(suffix);
    beside.into()
}

/// The public key of a key file: beside it, or in it.
fn public_of(file: &Path) -> Option<PublicKey> {
    PublicKey::read_openssh_file(&beside(file, ".pub"))
        .or_else(|_| PublicKey::read_openssh_file(file))
        .or_else(|_| PrivateKey::read_openssh_file(file).map(|key| key.public_key().clone()))
        .ok()
}

fn own(text: &str) -> Option<String> {
    PrivateKey::from_openssh(text).ok()?.public_key().to_openssh().ok()
}

/// What a key file is, before libssh2 says something misleading about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Missing,
    Usable,
    Encrypted,
    Hardware,
    Public,
}

impl Kind {
    fn of(text: &str) -> Self {
        if let Ok(key) = PrivateKey::from_openssh(text) {
            let algorithm = key.public_key().algorithm().to_string();
            return if algorithm.starts_with("sk-") {
                Self::Hardware
            } else if key.is_encrypted() {
                Self::Encrypted
            } else {
                Self::Usable
            };
        }
        if text.contains("ENCRYPTED") {
            Self::Encrypted
        } else if PublicKey::from_openssh(text).is_ok() {
            Self::Public
        } else {
            Self::Usable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_key_is_recognised_in_every_format() {
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert_eq!(Kind::of(pem), Kind::Encrypted);
        assert_eq!(Kind::of("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), Kind::Encrypted);
        assert_eq!(Kind::of("-----BEGIN RSA PRIVATE KEY-----\nMII\n"), Kind::Usable);
        let public =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio c";
        assert_eq!(Kind::of(public), Kind::Public);
    }
}
