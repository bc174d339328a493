//! TLS as every client of this crate speaks it: rustls with ring, and the machine's authorities.

use std::{error::Error, sync::Arc};

use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

/// Whom the machine trusts is trusted; no certificate of our own is shown.
pub(crate) fn config() -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(config)
}
