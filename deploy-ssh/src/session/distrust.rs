//! Why a host's key is not trusted, and what can be done about it.

use std::path::{Path, PathBuf};

use super::host_cert::Flaw;

/// Why a host's key is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Distrust {
    #[error("its host key is not known")]
    Unknown {
        host: String,
        offered: String,
        /// An authority is known for it, but it showed no certificate.
        authority: bool,
        file: PathBuf,
    },
    #[error("its host key has changed")]
    Changed { host: String, offered: String, known: String, place: String, file: PathBuf },
    #[error("its host key is revoked")]
    Revoked { host: String, offered: String, place: String },
    #[error("its host certificate {flaw}")]
    Certificate { host: String, shown: String, flaw: Flaw },
    #[error("its host key cannot be read")]
    Unreadable { host: String },
    #[error("cannot read {}, which says which keys are revoked: {reason}", .file.display())]
    NoRevocations { file: PathBuf, reason: String },
}

impl Distrust {
    /// Which host it is, as it is looked for, and which key it showed.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            Self::Unknown { host, offered, .. } => Some(format!("{host} shows {offered}")),
            Self::Changed { host, offered, known, place, .. } => {
                Some(format!("{host} shows {offered}, but {place} has {known}"))
            }
            Self::Revoked { host, offered, place } => {
                Some(format!("{host} shows {offered}, revoked in {place}"))
            }
            Self::Certificate { host, shown, flaw } => Some(match flaw.detail() {
                Some(detail) => format!("{host} shows {shown}; {detail}"),
                None => format!("{host} shows {shown}"),
            }),
            Self::Unreadable { host } => Some(format!("host: {host}")),
            Self::NoRevocations { .. } => None,
        }
    }

    /// What a person can do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Unknown { host, file, authority, .. } => {
                let scan = scan(host, file);
                let check = format!("compare the fingerprint with the host's own, then: {scan}");
                if *authority {
                    format!(
                        "it has an authority (@cert-authority), but shows no certificate: see \
                         HostCertificate in its sshd_config; or {check}"
                    )
                } else {
                    check
                }
            }
            Self::Changed { host, file, .. } => format!(
                "if the host was set up anew: ssh-keygen -R {} -f {}, then {}",
                super::quote(host),
                super::quote(&file.display().to_string()),
                scan(host, file),
            ),
            Self::Revoked { .. } => {
                "do not use this host until its key was replaced by its administrator".to_owned()
            }
            Self::Certificate { flaw: Flaw::Stranger, .. } => {
                "compare the authority's fingerprint with the one you were given, then add it to \
                 known_hosts: @cert-authority PATTERN KEY"
                    .to_owned()
            }
            Self::Certificate { .. } => {
                "have the host's key signed anew: ssh-keygen -s CA -h -I ID -n NAME KEY.pub"
                    .to_owned()
            }
            Self::Unreadable { .. } => "offer a key of type ed25519, ecdsa or rsa".to_owned(),
            Self::NoRevocations { .. } => {
                "a list of public keys is understood, a KRL is not yet".to_owned()
            }
        }
    }
}

/// The command that writes the keys of a host, known as `host`, into `file`.
fn scan(host: &str, file: &Path) -> String {
    let file = super::quote(&file.display().to_string());
    match host.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((name, port)) => {
            format!("ssh-keyscan -H -p {} {} >> {file}", super::quote(port), super::quote(name))
        }
        None => format!("ssh-keyscan -H {} >> {file}", super::quote(host)),
    }
}
