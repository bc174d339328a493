//! The login: keys of the agent, then key files. Nothing asks for a password.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ssh_key::{PrivateKey, PublicKey};

use super::{
    connect::{Patience, Stop},
    error::ConnectError,
    ssh_config::{Agent, HostConfig},
};

/// How many keys of an agent are tried: sshd hangs up after six attempts.
const FROM_AGENT: usize = 5;

/// Logs in as `host.user`.
///
/// # Errors
/// [`ConnectError::Login`] with everything that was offered, when it is refused.
pub(crate) fn log_in(
    session: &ssh2::Session,
    host: &HostConfig,
    patience: &Patience<'_>,
) -> Result<(), ConnectError> {
    let mut login = Login { session, host, patience, offered: Vec::new() };
    if login.without_a_key()? || login.with_the_agent()? || login.with_key_files()? {
        return Ok(());
    }
    if login.offered.is_empty() {
        login.offered.push("there was no key to offer".to_owned());
    }
    let (user, host) = (host.user.clone(), host.address());
    Err(ConnectError::Login { user, host, offered: login.offered })
}

struct Login<'a> {
    session: &'a ssh2::Session,
    host: &'a HostConfig,
    patience: &'a Patience<'a>,
    /// What was tried, and how it went.
    offered: Vec<String>,
}

impl Login<'_> {
    /// Asks which ways of login there are, which is itself a login where none is needed.
    fn without_a_key(&mut self) -> Result<bool, ConnectError> {
        let user = &self.host.user;
        let methods = self.patience.wait_until("login", || {
            let methods = self.session.auth_methods(user).map(str::to_owned);
            if self.session.authenticated() { Ok(String::new()) } else { methods }
        });
        match methods {
            Ok(_) if self.session.authenticated() => Ok(true),
            Ok(methods) if !methods.split(',').any(|method| method == "publickey") => {
                self.offered.push(format!("it only takes: {methods}"));
                Ok(false)
            }
            Ok(_) => Ok(false),
            Err(stop) => self.fatal(stop).map(|()| false),
        }
    }

    fn with_the_agent(&mut self) -> Result<bool, ConnectError> {
        if !self.offered.is_empty() || self.host.agent == Agent::None {
            return Ok(false);
        }
        let Ok(mut agent) = self.session.agent() else { return Ok(false) };
        if let Agent::Socket(socket) = &self.host.agent {
            let _ = agent.set_identity_path(socket);
        }
        if agent.connect().and_then(|()| agent.list_identities()).is_err() {
            if let Agent::Socket(socket) = &self.host.agent {
                self.offered.push(format!("the agent at {} does not answer", socket.display()));
            }
            return Ok(false);
        }
        let configured = self.configured_keys();
        let mut identities = agent.identities().unwrap_or_default();
        let is_configured = |blob: &[u8]| configured.iter().any(|key| key == blob);
        if self.host.identities_only {
            identities.retain(|identity| is_configured(identity.blob()));
        }
        // Those that are configured first, as ssh does.
        identities.sort_by_key(|identity| !is_configured(identity.blob()));
        for identity in identities.iter().take(FROM_AGENT) {
            let name = name_of(identity.blob(), identity.comment());
            let result =
                self.patience.wait_until("login", || agent.userauth(&self.host.user, identity));
            match result {
                Ok(()) if self.session.authenticated() => return Ok(true),
                Ok(()) => self.offered.push(format!("agent's {name}: one of several factors")),
                Err(stop) => {
                    self.fatal(stop)?;
                    self.offered.push(format!("agent's {name}: refused"));
                }
            }
        }
        let left_out = identities.len().saturating_sub(FROM_AGENT);
        if left_out > 0 {
            self.offered.push(format!(
                "{left_out} more keys of the agent were not tried (choose with IdentityFile and \
                 IdentitiesOnly)"
            ));
        }
        let _ = agent.disconnect();
        Ok(false)
    }

    fn with_key_files(&mut self) -> Result<bool, ConnectError> {
        for file in &self.host.identity_files.clone() {
            let Ok(text) = fs::read_to_string(file) else { continue };
            let shown = file.display();
            match Kind::of(&text) {
                Kind::Usable => {}
                Kind::Encrypted => {
                    self.offered.push(format!("{shown} is encrypted; ssh-add it"));
                    continue;
                }
                Kind::Hardware => {
                    self.offered.push(format!("{shown} needs its token; ssh-add it"));
                    continue;
                }
                Kind::Public => {
                    self.offered.push(format!("{shown} is a public key"));
                    continue;
                }
            }
            for public in self.certificates(file).into_iter().map(Some).chain([None]) {
                let result = self.patience.wait_until("login", || {
                    let user = &self.host.user;
                    self.session.userauth_pubkey_file(user, public.as_deref(), file, None)
                });
                match result {
                    Ok(()) if self.session.authenticated() => return Ok(true),
                    Ok(()) => self.offered.push(format!("{shown}: one of several factors")),
                    Err(stop) => {
                        let reason = match &stop {
                            Stop::Failed(error) if error.code() != REFUSED => error.message(),
                            _ => "refused",
                        };
                        let what = public.as_ref().map_or("", |_| " with its certificate");
                        self.offered.push(format!("{shown}{what}: {reason}"));
                        self.fatal(stop)?;
                    }
                }
            }
        }
        Ok(false)
    }

    /// The certificates that go with a key file: configured ones, and the one beside it.
    fn certificates(&self, key: &Path) -> Vec<PathBuf> {
        let mut beside = key.as_os_str().to_owned();
        beside.push("-cert.pub");
        let mut certificates = self.host.certificate_files.clone();
        certificates.push(beside.into());
        let own = public_of(key);
        certificates.retain(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            match ssh_key::Certificate::from_openssh(text.trim()) {
                Ok(c) => own.as_ref().is_none_or(|own| own.key_data() == c.public_key()),
                // Not every certificate can be read here, such as one that is valid for ever.
                Err(_) => text.contains("-cert-v01@openssh.com "),
            }
        });
        certificates
    }

    /// The public keys of the configured key files, as far as they can be read.
    fn configured_keys(&self) -> Vec<Vec<u8>> {
        let files = self.host.identity_files.iter();
        files.filter_map(|file| public_of(file)?.to_bytes().ok()).collect()
    }

    /// Whether the session can go on after a login that did not work.
    fn fatal(&self, stop: Stop) -> Result<(), ConnectError> {
        match stop {
            Stop::Failed(error) if is_hang_up(&error) => Err(if self.offered.is_empty() {
                let address = self.host.address();
                ConnectError::Early { address, reason: error.message().to_owned() }
            } else {
                let mut offered = self.offered.clone();
                offered.push("then it hung up".to_owned());
                let (user, host) = (self.host.user.clone(), self.host.address());
                ConnectError::Login { user, host, offered }
            }),
            Stop::Failed(_) => Ok(()),
            Stop::Late { .. } | Stop::GivenUp => Err(self.patience.error(stop)),
        }
    }
}

const REFUSED: ssh2::ErrorCode = ssh2::ErrorCode::Session(-18); // AUTHENTICATION_FAILED

/// Whether the connection itself is gone.
pub(crate) fn is_hang_up(error: &ssh2::Error) -> bool {
    // BANNER_RECV, SOCKET_SEND, SOCKET_DISCONNECT, SOCKET_RECV
    const HANG_UPS: [i32; 4] = [-2, -7, -13, -43];
    matches!(error.code(), ssh2::ErrorCode::Session(code) if HANG_UPS.contains(&code))
}

fn name_of(blob: &[u8], comment: &str) -> String {
    let fingerprint = PublicKey::from_bytes(blob)
        .map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
        .unwrap_or_else(|_| "key".to_owned());
    if comment.is_empty() { fingerprint } else { format!("{comment} ({fingerprint})") }
}

/// The public key of a key file: beside it, or in it.
fn public_of(file: &Path) -> Option<PublicKey> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    PublicKey::read_openssh_file(Path::new(&beside))
        .or_else(|_| PublicKey::read_openssh_file(file))
        .or_else(|_| PrivateKey::read_openssh_file(file).map(|key| key.public_key().clone()))
        .ok()
}

/// What a key file is, before libssh2 says something misleading about it.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
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
