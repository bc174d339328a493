//! One repository of a registry, asked over HTTP.

use std::{error::Error, path::PathBuf, time::Duration};

use deploy_core::backend::{BackendError, ErrorKind};
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{ACCEPT, HeaderMap, LINK, WWW_AUTHENTICATE},
    redirect::{Action, Attempt, Policy},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

use super::{
    credential::{self, Credential},
    manifest::{ACCEPTED, About, ImageConfig, Manifest},
    name::{ImageName, is_loopback},
};
use crate::{image::is_digest, tls};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many redirects are followed.
const REDIRECTS: usize = 5;
/// How many tags are asked for at a time.
const PAGE: usize = 1000;
/// How many tags are looked at.
const TAGS: usize = 100_000;
/// The most that is read of an answer.
const LARGEST: usize = 8 * 1024 * 1024;
/// Where a registry tells the digest of a manifest.
const DIGEST: &str = "docker-content-digest";

/// One repository of a registry.
#[derive(Debug)]
pub(super) struct Registry {
    name: ImageName,
    client: Client,
    /// For tokens: what is sent for one goes nowhere else.
    token_client: Client,
    patience: Duration,
    config: Option<PathBuf>,
    pass: RwLock<Option<Pass>>,
}

/// What is shown with each question, once the registry has said what it wants.
#[derive(Clone)]
enum Pass {
    Basic(String, String),
    Bearer(String),
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pass")
    }
}

#[derive(Deserialize)]
struct TagList {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    pub(super) fn new(name: ImageName) -> Result<Self, BackendError> {
        let broken = |error: Box<dyn Error + Send + Sync>| {
            BackendError::new(ErrorKind::Broken, format!("ask the registry of {name}"))
                .with_source(error)
        };
        let client = client(Policy::custom(followed)).map_err(broken)?;
        let token_client = self::client(Policy::none()).map_err(broken)?;
        let (config, pass) = (None, RwLock::default());
        Ok(Self { name, client, token_client, patience: PATIENCE, config, pass })
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn set_docker_config(&mut self, file: PathBuf) {
        self.config = Some(file);
    }

    pub(super) fn name(&self) -> &ImageName {
        &self.name
    }

    /// All tags, in the registry's order.
    pub(super) async fn tags(&self) -> Result<Vec<String>, BackendError> {
        let attempted = format!("list the tags of {}", self.name);
        let mut next = Some(self.url(&format!("tags/list?n={PAGE}"), &attempted)?);
        let mut tags: Vec<String> = Vec::new();
        while let Some(url) = next {
            let response = self.ask(Method::GET, url.clone(), &attempted).await?;
            next = following(response.headers(), &url);
            let list: TagList = parse(&body(response, &attempted).await?, &attempted)?;
            let page = list.tags.unwrap_or_default();
            if page.is_empty() {
                break;
            }
            tags.extend(page);
            if tags.len() > TAGS {
                return Err(BackendError::new(ErrorKind::Rejected, attempted)
                    .with_source(format!("it has more than {TAGS} tags")));
            }
        }
        Ok(tags)
    }

    /// The digest that a tag stands for now.
    ///
    /// # Errors
    /// `NotFound` when there is no such tag.
    pub(super) async fn digest(&self, tag: &str) -> Result<String, BackendError> {
        let attempted = format!("resolve the tag {tag:?} of {}", self.name);
        let url = self.url(&format!("manifests/{tag}"), &attempted)?;
        let head = self.ask(Method::HEAD, url.clone(), &attempted).await?;
        let told = head.headers().get(DIGEST).and_then(|value| value.to_str().ok());
        if let Some(digest) = told.filter(|digest| is_digest(digest)) {
            return Ok(digest.to_owned());
        }
        let response = self.ask(Method::GET, url, &attempted).await?;
        Ok(digest_of(&body(response, &attempted).await?))
    }

    /// What the image of `digest` tells of itself.
    pub(super) async fn about(&self, digest: &str) -> Result<About, BackendError> {
        let attempted = format!("read what {}@{digest} tells of itself", self.name);
        let mut manifest: Manifest = self.blob("manifests", digest, &attempted).await?;
        if let Some(chosen) = manifest.chosen().map(|it| it.digest.clone()) {
            manifest = self.blob("manifests", &chosen, &attempted).await?;
        }
        let config = match manifest.config().map(|it| it.digest.clone()) {
            Some(digest) => self.blob::<ImageConfig>("blobs", &digest, &attempted).await?,
            None => ImageConfig::default(),
        };
        Ok(About::of(&manifest, &config))
    }

    /// What has this digest, and is proven to.
    async fn blob<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        digest: &str,
        attempted: &str,
    ) -> Result<T, BackendError> {
        let broken = |why: String| BackendError::new(ErrorKind::Broken, attempted).with_source(why);
        if !is_digest(digest) {
            return Err(broken(format!("{digest:?} is no digest")));
        }
        let url = self.url(&format!("{kind}/{digest}"), attempted)?;
        let bytes = body(self.ask(Method::GET, url, attempted).await?, attempted).await?;
        let found = digest_of(&bytes);
        if found != digest {
            return Err(broken(format!("what came for {digest} is {found}")));
        }
        parse(&bytes, attempted)
    }

    fn url(&self, rest: &str, attempted: &str) -> Result<Url, BackendError> {
        let text = format!("{}/v2/{}/{rest}", self.name.base(), self.name.path());
        Url::parse(&text)
            .map_err(|error| BackendError::new(ErrorKind::Rejected, attempted).with_source(error))
    }

    /// Asks, and shows who we are when that is wanted.
    async fn ask(
        &self,
        method: Method,
        url: Url,
        attempted: &str,
    ) -> Result<Response, BackendError> {
        let pass = self.pass.read().await.clone();
        let first = self.send(method.clone(), url.clone(), pass.as_ref(), attempted).await?;
        // Who else answered, after a redirect, does not say where our login is sent.
        let is_own = first.url().origin() == url.origin();
        if first.status() != StatusCode::UNAUTHORIZED || !is_own {
            return answered(first, attempted);
        }
        let pass = self.admitted(first.headers(), attempted).await?;
        *self.pass.write().await = Some(pass.clone());
        let second = self.send(method, url, Some(&pass), attempted).await?;
        answered(second, attempted)
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        pass: Option<&Pass>,
        attempted: &str,
    ) -> Result<Response, BackendError> {
        let request = self.client.request(method, url).header(ACCEPT, ACCEPTED);
        let request = request.timeout(self.patience);
        let request = match pass {
            Some(Pass::Basic(user, password)) => request.basic_auth(user, Some(password)),
            Some(Pass::Bearer(token)) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.map_err(|error| unreachable(&error.without_url(), attempted))
    }

    /// What the registry wants to see, by its challenge.
    async fn admitted(&self, headers: &HeaderMap, attempted: &str) -> Result<Pass, BackendError> {
        let denied = |why: String| BackendError::new(ErrorKind::Denied, attempted).with_source(why);
        let server = self.name.server();
        let kept = credential::of(server, self.config.clone(), self.patience).await;
        let kept =
            kept.map_err(|why| denied(why).with_hint(format!("try `docker login {server}`")))?;
        for challenge in headers.get_all(WWW_AUTHENTICATE) {
            let text = challenge.to_str().unwrap_or_default();
            for challenge in http_auth::parse_challenges(text).unwrap_or_default() {
                let value = |key: &str| {
                    let found =
                        challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
                    found.map(|(_, value)| value.to_unescaped())
                };
                match (challenge.scheme.to_ascii_lowercase().as_str(), &kept) {
                    ("bearer", kept) => {
                        let realm = value("realm").unwrap_or_default();
                        return self
                            .token(&realm, value("service"), kept.as_ref(), attempted)
                            .await;
                    }
                    ("basic", Some(Credential::Login { user, password })) => {
                        return Ok(Pass::Basic(user.clone(), password.clone()));
                    }
                    _ => {}
                }
            }
        }
        Err(denied("it wants to know who asks".to_owned())
            .with_hint(format!("`docker login {}`", self.name.server())))
    }

    /// A token for this repository (Docker registry token authentication).
    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        kept: Option<&Credential>,
        attempted: &str,
    ) -> Result<Pass, BackendError> {
        let broken = |why: String| BackendError::new(ErrorKind::Broken, attempted).with_source(why);
        let mut url = Url::parse(realm).map_err(|error| broken(format!("{realm:?}: {error}")))?;
        let host = url.host_str().unwrap_or_default();
        let is_here = is_loopback(host) && self.name.base().starts_with("http://");
        if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
            return Err(broken(format!("it sends for a token to {realm:?}, which is not https")));
        }
        let scope = format!("repository:{}:pull", self.name.path());
        let request = if let Some(Credential::Token(token)) = kept {
            let service = service.unwrap_or_default();
            self.token_client.post(url).form(&[
                ("grant_type", "refresh_token"),
                ("service", &service),
                ("scope", &scope),
                ("refresh_token", token),
                ("client_id", "deploy"),
            ])
        } else {
            let mut query = url.query_pairs_mut();
            query.append_pair("scope", &scope);
            if let Some(service) = &service {
                query.append_pair("service", service);
            }
            drop(query);
            match kept {
                Some(Credential::Login { user, password }) => {
                    self.token_client.get(url).basic_auth(user, Some(password))
                }
                _ => self.token_client.get(url),
            }
        };
        let sent = request.timeout(self.patience).send().await;
        let response = sent.map_err(|error| unreachable(&error.without_url(), attempted))?;
        let bytes = body(answered(response, attempted)?, attempted).await?;
        let answer: TokenAnswer = parse(&bytes, attempted)?;
        let token = answer.token.or(answer.access_token);
        token.map(Pass::Bearer).ok_or_else(|| broken("its token service gave no token".to_owned()))
    }
}

/// No cookies, no proxies of our own making.
fn client(redirects: Policy) -> Result<Client, Box<dyn Error + Send + Sync>> {
    Ok(Client::builder()
        .tls_backend_preconfigured(tls::config()?)
        .redirect(redirects)
        .user_agent(concat!("deploy/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

/// Blobs may lie elsewhere; but what was asked in secret is not answered in the open.
fn followed(attempt: Attempt<'_>) -> Action {
    let from = attempt.previous().last();
    let is_open =
        from.is_some_and(|from| from.scheme() == "https") && attempt.url().scheme() != "https";
    if is_open {
        return attempt.error("it redirects from https to http");
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("it redirects again and again");
    }
    attempt.follow()
}

/// The next page (RFC 8288), which must be of the same registry.
fn following(headers: &HeaderMap, here: &Url) -> Option<Url> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !rest.replace([' ', '"'], "").contains("rel=next") {
        return None;
    }
    here.join(target).ok().filter(|next| next.origin() == here.origin())
}

fn answered(response: Response, attempted: &str) -> Result<Response, BackendError> {
    let status = response.status();
    let kind = match status.as_u16() {
        200..=299 => return Ok(response),
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        429 | 500.. => ErrorKind::Unreachable,
        _ => ErrorKind::Rejected,
    };
    Err(BackendError::new(kind, attempted).with_source(format!("the registry answered {status}")))
}

async fn body(mut response: Response, attempted: &str) -> Result<Vec<u8>, BackendError> {
    let mut bytes = Vec::new();
    loop {
        let chunk = response.chunk().await;
        match chunk.map_err(|error| unreachable(&error.without_url(), attempted))? {
            Some(chunk) if bytes.len() + chunk.len() <= LARGEST => bytes.extend_from_slice(&chunk),
            Some(_) => {
                return Err(BackendError::new(ErrorKind::Broken, attempted)
                    .with_source(format!("its answer is larger than {} MB", LARGEST >> 20)));
            }
            None => return Ok(bytes),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8], attempted: &str) -> Result<T, BackendError> {
    serde_json::from_slice(bytes).map_err(|error| {
        BackendError::new(ErrorKind::Broken, attempted)
            .with_source(format!("the registry's answer cannot be read: {error}"))
    })
}

fn digest_of(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// The innermost cause tells what happened; the others say that something did.
fn unreachable(error: &reqwest::Error, attempted: &str) -> BackendError {
    if error.is_timeout() && !error.is_connect() {
        return BackendError::new(ErrorKind::TimedOut, attempted)
            .with_source("the registry gave no answer in time");
    }
    let mut told: &(dyn Error + 'static) = error;
    while let Some(cause) = told.source() {
        told = cause;
    }
    let kind = if error.is_redirect() { ErrorKind::Rejected } else { ErrorKind::Unreachable };
    BackendError::new(kind, attempted).with_source(told.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_within_one_registry() {
        let here = Url::parse("https://r.example/v2/app/tags/list?n=2").unwrap();
        let next = |link: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, link.parse().unwrap());
            following(&headers, &here).map(String::from)
        };
        let second = "https://r.example/v2/app/tags/list?last=b&n=2";
        let link = r#"</v2/app/tags/list?last=b&n=2>; rel="next""#;
        assert_eq!(next(link).as_deref(), Some(second));
        assert_eq!(next(&format!("<{second}>; rel=next")).as_deref(), Some(second));
        assert_eq!(next(r#"<https://evil.example/v2/x>; rel="next""#), None);
        assert_eq!(next(r#"</v2/app>; rel="prev""#), None);
    }
}
