//! A host certificate: the word of an authority that a key is the key of a host.
//!
//! That the host holds the certified key is proven in the handshake. Who vouches for it, and for
//! what, is checked here; libssh2 does not look. The signature is verified by the crate `ssh-key`.
//! Its own reader refuses certificates that are valid for ever, so the fields are read here.

use jiff::Timestamp;
use signature::Verifier;
use ssh_key::{PublicKey, Signature};

/// What the names of certificate types end with.
const SUFFIX: &str = "-cert-v01@openssh.com";
/// The type of a certificate that is for a host.
const FOR_HOSTS: u32 = 2;
/// How many names one certificate may have, as in ssh.
const MOST_NAMES: usize = 256;

/// A certificate as a host showed it. Nothing of it is believed before [`judge`](Self::judge).
#[derive(Debug)]
pub(crate) struct HostCertificate {
    /// The host's key.
    pub key: PublicKey,
    /// Who signed.
    pub authority: PublicKey,
    kind: u32,
    names: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    critical: bool,
    signed: Vec<u8>,
    signature: Signature,
}

/// Why a certificate does not prove that a host is the one that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("cannot be read")]
    Unreadable,
    #[error("is signed by an authority that is not known for it")]
    Stranger,
    #[error("has a wrong signature")]
    Forged,
    #[error("is signed in a way that CASignatureAlgorithms does not allow")]
    Algorithm,
    #[error("is one for users, not for hosts")]
    ForUsers,
    #[error("names no host, and so would do for all")]
    Nameless,
    #[error("is for other names")]
    OtherName { names: Vec<String> },
    #[error("is not valid yet")]
    Early { from: u64 },
    #[error("has expired")]
    Expired { until: u64 },
    #[error("sets a condition that is not known here (a critical option)")]
    Conditional,
}

impl Flaw {
    /// What belongs to this one certificate.
    pub(crate) fn detail(&self) -> Option<String> {
        let day = |seconds: &u64| {
            let seconds = i64::try_from(*seconds).ok()?;
            Timestamp::from_second(seconds).ok().map(|time| time.to_string())
        };
        match self {
            Self::OtherName { names } => Some(format!("it is for {}", names.join(", "))),
            Self::Early { from } => day(from).map(|day| format!("it is valid from {day}")),
            Self::Expired { until } => day(until).map(|day| format!("it was valid until {day}")),
            _ => None,
        }
    }
}

impl HostCertificate {
    /// Whether what a host showed is a certificate at all.
    pub(crate) fn is_one(blob: &[u8]) -> bool {
        Fields(blob).text().is_some_and(|kind| kind.ends_with(SUFFIX))
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none, or is made for a type of key that is not known.
    pub(crate) fn read(blob: &[u8]) -> Result<Self, Flaw> {
        Self::parse(blob).ok_or(Flaw::Unreadable)
    }

    fn parse(blob: &[u8]) -> Option<Self> {
        let mut fields = Fields(blob);
        let kind = fields.text()?.strip_suffix(SUFFIX)?;
        let _nonce = fields.bytes()?;
        let parts = match kind {
            "ssh-ed25519" => 1,
            "ssh-rsa" => 2,
            kind if kind.starts_with("ecdsa-sha2-") => 2,
            _ => return None,
        };
        let mut key = Vec::new();
        put(&mut key, kind.as_bytes());
        for _ in 0..parts {
            put(&mut key, fields.bytes()?);
        }
        let key = PublicKey::from_bytes(&key).ok()?;
        let _serial = fields.number()?;
        let kind = fields.short()?;
        let _id = fields.bytes()?;
        let names = fields.texts()?;
        let (valid_after, valid_before) = (fields.number()?, fields.number()?);
        let critical = !fields.bytes()?.is_empty();
        let _extensions = fields.bytes()?;
        let _reserved = fields.bytes()?;
        let authority = PublicKey::from_bytes(fields.bytes()?).ok()?;
        let signed = blob[..blob.len() - fields.0.len()].to_vec();
        let signature = Signature::try_from(fields.bytes()?).ok()?;
        if !fields.0.is_empty() {
            return None;
        }
        Some(Self {
            key,
            authority,
            kind,
            names,
            valid_after,
            valid_before,
            critical,
            signed,
            signature,
        })
    }

    /// Whether it proves at `now` that its key is that of the host `name`, by the word of one of
    /// `authorities`, given in one of the ways `algorithms` (none: any).
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn judge(
        &self,
        name: &str,
        authorities: &[&PublicKey],
        algorithms: &[String],
        now: Timestamp,
    ) -> Result<(), Flaw> {
        if !authorities.iter().any(|known| known.key_data() == self.authority.key_data()) {
            return Err(Flaw::Stranger);
        }
        let algorithm = self.signature.algorithm().to_string();
        if !algorithms.is_empty() && !algorithms.contains(&algorithm) {
            return Err(Flaw::Algorithm);
        }
        let signer = self.authority.key_data();
        signer.verify(&self.signed, &self.signature).map_err(|_| Flaw::Forged)?;
        if self.kind != FOR_HOSTS {
            return Err(Flaw::ForUsers);
        }
        if self.critical {
            return Err(Flaw::Conditional);
        }
        if self.names.is_empty() {
            return Err(Flaw::Nameless);
        }
        if !self.names.iter().any(|known| known == name) {
            return Err(Flaw::OtherName { names: self.names.clone() });
        }
        let now = u64::try_from(now.as_second()).unwrap_or_default();
        if now < self.valid_after {
            return Err(Flaw::Early { from: self.valid_after });
        }
        if now >= self.valid_before {
            return Err(Flaw::Expired { until: self.valid_before });
        }
        Ok(())
    }
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(bytes);
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.short()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        let mut inner = Self(self.bytes()?);
        let mut texts = Vec::new();
        while !inner.0.is_empty() {
            if texts.len() == MOST_NAMES {
                return None;
            }
            texts.push(inner.text()?.to_owned());
        }
        Some(texts)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use super::*;

    /// A directory with an authority `ca`, and a key of type `kind` that it signed as `options`
    /// say.
    struct Signed {
        dir: tempfile::TempDir,
    }

    impl Signed {
        fn by(authority: &str, kind: &str, options: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            make_key(&dir.path().join("ca"), authority);
            make_key(&dir.path().join("host"), kind);
            let mut sign = Command::new("ssh-keygen");
            sign.args(["-q", "-I", "test", "-s"]).arg(dir.path().join("ca")).args(options);
            let signed = sign.arg(dir.path().join("host.pub")).status().unwrap();
            assert!(signed.success());
            Self { dir }
        }

        fn blob(&self) -> Vec<u8> {
            let text = std::fs::read_to_string(self.dir.path().join("host-cert.pub")).unwrap();
            let base64 = text.split(' ').nth(1).unwrap().to_owned();
            let decode = format!("printf %s {base64} | base64 -d");
            Command::new("sh").args(["-c", &decode]).output().unwrap().stdout
        }

        fn authority(&self) -> PublicKey {
            PublicKey::read_openssh_file(&self.dir.path().join("ca.pub")).unwrap()
        }

        fn judged(&self) -> Result<(), Flaw> {
            self.judged_by(&self.authority(), &[])
        }

        fn judged_by(&self, authority: &PublicKey, algorithms: &[String]) -> Result<(), Flaw> {
            let certificate = HostCertificate::read(&self.blob())?;
            certificate.judge("h1", &[authority], algorithms, Timestamp::now())
        }
    }

    fn make_key(path: &Path, kind: &str) {
        let (kind, bits) = kind.split_once(' ').unwrap_or((kind, "256"));
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-N", "", "-t", kind, "-b", bits, "-f"]).arg(path);
        assert!(make.status().unwrap().success());
    }

    const GOOD: [&str; 3] = ["-h", "-n", "h0,h1"];

    #[test]
    fn a_certificate_is_good_for_each_kind_of_key_and_authority() {
        for kind in ["ed25519", "ecdsa 256", "ecdsa 384", "ecdsa 521", "rsa 2048"] {
            assert_eq!(Signed::by(kind, "ed25519", &GOOD).judged(), Ok(()), "signed by {kind}");
            let signed = Signed::by("ed25519", kind, &GOOD);
            assert_eq!(signed.judged(), Ok(()), "for {kind}");
            let key = PublicKey::read_openssh_file(&signed.dir.path().join("host.pub")).unwrap();
            let certificate = HostCertificate::read(&signed.blob()).unwrap();
            assert_eq!(certificate.key.key_data(), key.key_data());
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told() {
        let flaw = |options: &[&str]| Signed::by("ed25519", "ed25519", options).judged();
        let names = vec!["h2".to_owned(), "h*".to_owned()];
        assert_eq!(flaw(&["-h", "-n", "h2,h*"]), Err(Flaw::OtherName { names }));
        assert_eq!(flaw(&["-h"]), Err(Flaw::Nameless));
        assert_eq!(flaw(&["-n", "h1"]), Err(Flaw::ForUsers));
        let window = |window: &'static str| ["-h", "-n", "h1", "-V", window];
        assert!(matches!(flaw(&window("-2h:-1h")), Err(Flaw::Expired { .. })));
        assert!(matches!(flaw(&window("+1h:+2h")), Err(Flaw::Early { .. })));
        assert_eq!(flaw(&window("-1h:+1h")), Ok(()));
        let conditional = ["-h", "-n", "h1", "-O", "critical:x=y"];
        assert_eq!(flaw(&conditional), Err(Flaw::Conditional));
    }

    #[test]
    fn the_authority_must_be_a_known_one_and_must_have_signed() {
        let signed = Signed::by("ed25519", "ed25519", &GOOD);
        let other = Signed::by("ed25519", "ed25519", &GOOD).authority();
        assert_eq!(signed.judged_by(&other, &[]), Err(Flaw::Stranger));
        let only = ["rsa-sha2-512".to_owned()];
        assert_eq!(signed.judged_by(&signed.authority(), &only), Err(Flaw::Algorithm));
        // Every change to what was signed, and to the signature, is found.
        let blob = signed.blob();
        for at in (0..blob.len()).step_by(7) {
            let mut forged = blob.clone();
            forged[at] ^= 1;
            let judged = HostCertificate::read(&forged).and_then(|certificate| {
                certificate.judge("h1", &[&signed.authority()], &[], Timestamp::now())
            });
            assert!(judged.is_err(), "byte {at}");
        }
    }

    #[test]
    fn nonsense_is_no_certificate() {
        let blob = Signed::by("ed25519", "ed25519", &GOOD).blob();
        for length in 0..blob.len() {
            assert!(HostCertificate::read(&blob[..length]).is_err(), "{length}");
        }
        let longer = [blob.as_slice(), b"x"].concat();
        assert_eq!(HostCertificate::read(&longer).err(), Some(Flaw::Unreadable));
        assert!(!HostCertificate::is_one(b"\xff\xff\xff\xffssh"));
    }
}
