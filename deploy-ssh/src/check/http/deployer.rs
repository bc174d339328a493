//! One HTTP question from the machine that deploys.

use std::sync::{Arc, OnceLock};

use deploy_core::backend::{BackendError, ErrorKind};
use reqwest::{Client, Response, redirect::Policy};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

use super::{
    answer::{Answer, MOST},
    request::Question,
    stream::{location, told},
};

/// Asks; reads the body as far as it is of use.
pub(super) async fn ask(question: &Question, attempted: &str) -> Result<Answer, BackendError> {
    let client = match &question.authorities {
        Some(authorities) => &authorities.client,
        None => client().map_err(|why| {
            BackendError::new(ErrorKind::Broken, attempted)
                .with_source(format!("cannot set up TLS: {why}"))
        })?,
    };
    let request = client
        .request(question.http_method(), question.uri.to_string())
        .headers(question.headers().collect());
    Ok(match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            let location = location(response.headers());
            let most = if question.whole_body { MOST } else { 1024 };
            match beginning(response, most).await {
                Ok(body) => Answer::Came { status, body, location },
                Err(error) => Answer::None(format!("the answer broke off: {}", told(&error))),
            }
        }
        Err(error) => Answer::None(told(&error.without_url())),
    })
}

async fn beginning(mut response: Response, most: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let Some(chunk) = response.chunk().await? else { break };
        bytes.extend_from_slice(&chunk[..chunk.len().min(most - bytes.len())]);
    }
    Ok(bytes)
}

/// The client for all who trust whom the machine trusts: no redirects, no proxies, no connection kept for later.
fn client() -> Result<&'static Client, &'static str> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    CLIENT.get_or_init(|| build().map_err(|error| told(&*error))).as_ref().map_err(String::as_str)
}

fn build() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(client_with(tls)?)
}

/// A client that speaks TLS so.
pub(super) fn client_with(tls: ClientConfig) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .user_agent(concat!("deploy/", env!("CARGO_PKG_VERSION")))
        .build()
}
