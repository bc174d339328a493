//! By what a cluster is told from any other.

use std::{fmt, str::FromStr};

/// By what a cluster is told from any other. A context's name is no proof: it is a word in a file of
/// the deployer's own, and contexts have been mixed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The uid of its namespace `kube-system`, which lives as long as the cluster; to ask for it
    /// takes the right to get that namespace.
    Uid(String),
    /// The SHA-256 of its certificate authority, in hexadecimal. Proven by the connection itself.
    Authority(String),
}

const UID: &str = "uid:";
const AUTHORITY: &str = "ca:sha256:";

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = |c: char| c.is_ascii_hexdigit();
        if let Some(uid) = text.strip_prefix(UID) {
            let is_uid = uid.len() == 36 && uid.chars().all(|c| c == '-' || is_hex(c));
            return is_uid.then(|| Self::Uid(uid.to_ascii_lowercase())).ok_or(IdentityError);
        }
        // As openssl writes a fingerprint, with colons, or without.
        let digest = text.strip_prefix(AUTHORITY).ok_or(IdentityError)?.replace(':', "");
        let is_digest = digest.len() == 64 && digest.chars().all(is_hex);
        is_digest.then(|| Self::Authority(digest.to_ascii_lowercase())).ok_or(IdentityError)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "{UID}{uid}"),
            Self::Authority(digest) => write!(f, "{AUTHORITY}{digest}"),
        }
    }
}

/// Text that is no identity of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not `uid:` with the uid of the namespace kube-system, nor `ca:sha256:` with the fingerprint \
     of the certificate authority"
)]
pub struct IdentityError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_back_and_nothing_else_is_one() {
        let digest = "0a".repeat(32);
        for text in ["uid:6f1c2a34-0000-4b1e-9c3d-0123456789ab", &format!("ca:sha256:{digest}")] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        let colons =
            digest.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase());
        let colons = colons.collect::<Vec<_>>().join(":");
        let read: Identity = format!("ca:sha256:{colons}").parse().unwrap();
        assert_eq!(read, Identity::Authority(digest));
        for text in ["", "eqiad", "uid:", "uid:eqiad", "ca:sha256:0a", "ca:md5:00"] {
            assert_eq!(text.parse::<Identity>(), Err(IdentityError), "{text}");
        }
    }
}
