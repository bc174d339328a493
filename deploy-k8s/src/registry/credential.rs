//! Who we are to a registry: what `docker login` keeps.

use std::{
    fs::File,
    io::{BufReader, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use docker_credential::{CredentialRetrievalError, DockerCredential};

/// What a credential helper says when it has nothing.
const NOTHING: &str = "credentials not found in native keychain";

/// A name and a password, or a token that stands for both. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Login { user: String, password: String },
    Token(String),
}

/// What is kept for `server`, in the file `config` or by the credential helper that it names, which is
/// waited for as long as `patience`; `None` for nobody.
///
/// # Errors
/// Why what is kept cannot be read. What a helper said is not told: it may be the secret.
pub(super) async fn of(
    server: &str,
    config: Option<PathBuf>,
    patience: Duration,
) -> Result<Option<Credential>, String> {
    let Some(config) = config.or_else(usual) else { return Ok(None) };
    let name = server.to_owned();
    // A helper is a program, which may take its time.
    let asked = tokio::task::spawn_blocking(move || read(&config, &name));
    match tokio::time::timeout(patience, asked).await {
        Ok(read) => read.map_err(|error| error.to_string())?,
        Err(_) => Err("the credential helper gives no answer".to_owned()),
    }
}

/// Where Docker keeps it.
fn usual() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let dir = named.or_else(|| Some(std::env::home_dir()?.join(".docker")))?;
    Some(dir.join("config.json"))
}

fn read(config: &Path, server: &str) -> Result<Option<Credential>, String> {
    let file = match File::open(config) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("read {}: {error}", config.display())),
    };
    match docker_credential::get_credential_from_reader(BufReader::new(file), server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credential::Login { user, password }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::Token(token))),
        Err(
            CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::NoCredentialConfigured,
        ) => Ok(None),
        // A store that has nothing for this registry says so as a failure.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.trim() == NOTHING => {
            Ok(None)
        }
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(format!("the credential helper {helper} failed"))
        }
        Err(error) => Err(format!("{}: {error}", config.display())),
    }
}
