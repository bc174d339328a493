//! The login: keys of the agent, then key files. Nothing asks for a password.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ssh_key::PublicKey;

use super::{
    connect::{Patience, Stop},
    error::ConnectError,
    file_memo::FileMemo,
    key_file::{KeyFile, Kind},
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
    keys: &FileMemo<KeyFile>,
    patience: &Patience<'_>,
) -> Result<(), ConnectError> {
    let mut login = Login { session, host, keys, patience, offered: Vec::new() };
    if login.without_a_key()? || login.with_the_agent()? || login.with_key_files()? {
        return Ok(());
    }
    if login.offered.is_empty() {
        login.offered.push("there was no key to offer".to_owned());
    }
    let offered = std::mem::take(&mut login.offered);
    Err(login.refused(offered))
}

struct Login<'a> {
    session: &'a ssh2::Session,
    host: &'a HostConfig,
    keys: &'a FileMemo<KeyFile>,
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
        for path in &self.host.identity_files {
            let key = self.key(path);
            let shown = path.display();
            match key.kind {
                Kind::Missing => continue,
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
            for certificate in key.certificates.iter().map(Some).chain([None]) {
                let result = match (certificate, &key.own) {
                    (None, Some(own)) => self.with_known_key(path, own),
                    _ => self.patience.wait_until("login", || {
                        let (user, public) = (&self.host.user, certificate.map(PathBuf::as_path));
                        self.session.userauth_pubkey_file(user, public, path, None)
                    }),
                };
                match result {
                    Ok(()) if self.session.authenticated() => return Ok(true),
                    Ok(()) => self.offered.push(format!("{shown}: one of several factors")),
                    Err(stop) => {
                        let reason = match &stop {
                            Stop::Failed(error) if error.code() != REFUSED => error.message(),
                            _ => "refused",
                        };
                        let what = certificate.map_or("", |_| " with its certificate");
                        self.offered.push(format!("{shown}{what}: {reason}"));
                        self.fatal(stop)?;
                    }
                }
            }
        }
        Ok(false)
    }

    /// Logs in by the key in `path`, whose public key is `own`. libssh2 would find that out again for
    /// each session, at a third of the cost of connecting.
    fn with_known_key(&self, path: &Path, own: &str) -> Result<(), Stop> {
        let text = fs::read_to_string(path).unwrap_or_default();
        self.patience.wait_until("login", || {
            self.session.userauth_pubkey_memory(&self.host.user, Some(own), &text, None)
        })
    }

    fn key(&self, path: &Path) -> Arc<KeyFile> {
        KeyFile::at(path, &self.host.certificate_files, self.keys)
    }

    /// The public keys of the configured key files, as far as they can be read.
    fn configured_keys(&self) -> Vec<Vec<u8>> {
        let files = self.host.identity_files.iter();
        files.filter_map(|file| self.key(file).public.as_ref()?.to_bytes().ok()).collect()
    }

    fn refused(&self, offered: Vec<String>) -> ConnectError {
        ConnectError::Login {
            user: self.host.user.clone(),
            host: self.host.address(),
            by_hand: self.host.by_hand.clone(),
            offered,
        }
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
                self.refused(offered)
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
