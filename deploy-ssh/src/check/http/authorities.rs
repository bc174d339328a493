//! Who vouches for servers, where that is not left to the machine.

use std::{fmt, sync::Arc};

use reqwest::Client;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::deployer;

/// The certificate authorities that may vouch for a server, and no others.
#[derive(Clone)]
pub struct Authorities {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) client: Client,
    count: usize,
}

/// Why a text names no authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthoritiesError {
    /// It is no list of certificates in PEM.
    #[error("holds no certificate that can be read")]
    Unreadable,
    /// It is one, but none that can sign for others.
    #[error("holds a certificate that no authority can have: {0}")]
    Unusable(String),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

impl Authorities {
    /// Reads certificates in PEM, one after the other.
    ///
    /// # Errors
    /// When there is none, or one of them cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| AuthoritiesError::Unreadable)?;
            let added = roots.add(certificate);
            added.map_err(|error| AuthoritiesError::Unusable(error.to_string()))?;
        }
        let count = roots.len();
        if count == 0 {
            return Err(AuthoritiesError::Unreadable);
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| AuthoritiesError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = deployer::client_with(tls.clone())
            .map_err(|error| AuthoritiesError::Tls(error.to_string()))?;
        Ok(Self { tls: Arc::new(tls), client, count })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_nobody_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["", "hello", broken] {
            assert!(Authorities::from_pem(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
