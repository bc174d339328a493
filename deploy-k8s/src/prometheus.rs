//! Whether what a query of Prometheus gives keeps to a threshold.

mod answer;
mod query;
mod threshold;

use std::{collections::BTreeMap, error::Error, fmt};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};

use crate::tls;
use answer::Answer;
use query::Query;
pub use threshold::{Threshold, ThresholdError};

/// The most that is read of an answer.
const LARGEST: usize = 4 * 1024 * 1024;
/// What is shown instead of a secret.
const MASK: &str = "***";

/// What is asked, and what must be answered.
#[derive(Clone)]
pub struct PrometheusOptions {
    /// Where it is: `https://prometheus.example`, or with a path, behind which `/api/v1/query` is.
    pub url: String,
    /// An instant query in PromQL. `{{ target }}`, `{{ group }}` and `{{ version }}` are filled in
    /// (the tag, else the id). They must stand within quotes and are escaped for them;
    /// `{{ target | regex }}` is for `=~` and `!~`.
    pub query: String,
    /// What each value must keep to.
    pub threshold: Threshold,
    /// Headers that are sent, such as `Authorization`. Their values are never shown.
    pub headers: BTreeMap<String, String>,
}

/// Asks Prometheus a query, every series of whose answer must keep to a threshold.
///
/// One that does not, or is not a number, is "unhealthy"; no series at all are "not yet", since what
/// was just started may not have been scraped. A query that Prometheus refuses is an error that is
/// not repeated; no answer, or a server's own failure, is one that passes. Redirects are not followed
/// and proxies not used.
pub struct PrometheusCheck {
    url: Url,
    query: Query,
    threshold: Threshold,
    secrets: Vec<String>,
    client: Client,
}

impl PrometheusCheck {
    /// A check by `options`. Asks nobody yet.
    ///
    /// # Errors
    /// `Rejected` when the URL, the query or a header cannot be used.
    pub fn new(options: PrometheusOptions) -> Result<Self, BackendError> {
        let url = endpoint(&options.url)?;
        let query = Query::new(options.query)?;
        let headers = headers(&options.headers)?;
        let client = client(headers).map_err(|error| {
            BackendError::new(ErrorKind::Broken, "ask Prometheus").with_source(error)
        })?;
        let secrets = options.headers.values().flat_map(|value| secrets(value)).collect();
        Ok(Self { url, query, threshold: options.threshold, secrets, client })
    }

    async fn ask(
        &self,
        query: &str,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Answer, BackendError> {
        // It needs not go on when nobody waits any more.
        let patience = format!("{}ms", scope.remaining().as_millis().max(1));
        let form = [("query", query), ("timeout", &patience)];
        let sent = self.client.post(self.url.clone()).form(&form).send().await;
        let response = sent.map_err(|error| unreachable(error, attempted))?;
        let status = response.status();
        let bytes = body(response, attempted).await?;
        let answer: Result<Answer, _> = serde_json::from_slice(&bytes);
        if status.is_success() {
            return answer.map_err(|error| {
                BackendError::new(ErrorKind::Broken, attempted)
                    .with_source(format!("its answer cannot be read: {error}"))
                    .with_hint("see whether the URL is that of a Prometheus")
            });
        }
        Err(self.refused(status, answer.ok(), attempted))
    }

    fn refused(&self, status: StatusCode, answer: Option<Answer>, attempted: &str) -> BackendError {
        let kind = match status.as_u16() {
            401 | 403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            429 | 499.. => ErrorKind::Unreachable,
            _ => ErrorKind::Rejected,
        };
        let said = answer.and_then(|answer| {
            let parts = [answer.error_type, answer.error];
            let said = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
            (!said.is_empty()).then_some(said)
        });
        let told = said.unwrap_or_else(|| format!("it answered {status}"));
        BackendError::new(kind, attempted).with_source(self.masked(told))
    }

    /// `text` without what nobody is to see: a server may repeat what it was told.
    fn masked(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, MASK))
    }
}

#[async_trait]
impl Checker for PrometheusCheck {
    fn describe(&self) -> String {
        format!("{} {}", self.query, self.threshold)
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let place = self.url.host_str().unwrap_or_default();
        let attempted = format!("ask the Prometheus at {place} of {target}");
        let query = self.query.filled(target, situation)?;
        let answer = tokio::select! {
            answer = self.ask(&query, scope, &attempted) => answer?,
            () = tokio::time::sleep_until(scope.deadline) => {
                return Err(BackendError::new(ErrorKind::TimedOut, attempted)
                    .with_source("it gave no answer in time"));
            }
            () = scope.cancel.cancelled() => {
                return Err(BackendError::new(ErrorKind::Cancelled, attempted));
            }
        };
        let verdict = answer.verdict(&self.threshold, &query).map_err(|why| {
            BackendError::new(ErrorKind::Rejected, attempted).with_source(self.masked(why))
        })?;
        Ok(match verdict {
            Verdict::Unhealthy { reason, evidence } => Verdict::Unhealthy {
                reason: self.masked(reason),
                evidence: evidence.map(|text| self.masked(text)),
            },
            Verdict::HealthyBut { note } => Verdict::HealthyBut { note: self.masked(note) },
            other => other,
        })
    }
}

impl fmt::Debug for PrometheusOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusOptions")
            .field("query", &self.query)
            .field("threshold", &self.threshold)
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PrometheusCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusCheck")
            .field("url", &self.url.as_str())
            .field("query", &self.query)
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

/// Where queries are asked. The URL is not told by errors: it may hold a password.
fn endpoint(url: &str) -> Result<Url, BackendError> {
    let refused = |why: &str| {
        BackendError::new(ErrorKind::Rejected, "read the URL of Prometheus")
            .with_source(why.to_owned())
            .with_hint("such as https://prometheus.example; a login is a header (Authorization)")
    };
    let mut url = Url::parse(url).map_err(|error| refused(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refused("it is not one of http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it has a login in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it has a `?` or `#` in it"));
    }
    let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn headers(wanted: &BTreeMap<String, String>) -> Result<HeaderMap, BackendError> {
    const OWN: [&str; 4] = ["host", "content-length", "content-type", "transfer-encoding"];
    let refused = |why: String| {
        BackendError::new(ErrorKind::Rejected, "read the headers for Prometheus").with_source(why)
    };
    let mut headers = HeaderMap::new();
    for (name, value) in wanted {
        let header = HeaderName::try_from(name).ok().filter(|it| !OWN.contains(&it.as_str()));
        let header = header.ok_or_else(|| refused(format!("{name:?} cannot be sent")))?;
        let value = HeaderValue::try_from(value);
        let mut value =
            value.map_err(|_| refused(format!("the value of {name} holds what no header may")))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

/// What of a header's value is not to be shown: the whole, and the token of `Bearer TOKEN`.
fn secrets(value: &str) -> impl Iterator<Item = String> {
    const SHORTEST: usize = 4;
    let token = value.split_once(' ').map(|(_, token)| token);
    let parts = [Some(value), token].into_iter().flatten().map(str::trim);
    parts.filter(|part| part.len() >= SHORTEST).map(str::to_owned)
}

fn client(headers: HeaderMap) -> Result<Client, Box<dyn Error + Send + Sync>> {
    Ok(Client::builder()
        .tls_backend_preconfigured(tls::config()?)
        .default_headers(headers)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("deploy/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

async fn body(mut response: Response, attempted: &str) -> Result<Vec<u8>, BackendError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(error, attempted))? {
        if bytes.len() + chunk.len() > LARGEST {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source(format!("its answer is larger than {} MB", LARGEST >> 20))
                .with_hint("aggregate in the query: sum, max, topk"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The innermost cause tells what happened; the others say that something did.
fn unreachable(error: reqwest::Error, attempted: &str) -> BackendError {
    let error = error.without_url();
    let mut told: &(dyn Error + 'static) = &error;
    while let Some(cause) = told.source() {
        told = cause;
    }
    BackendError::new(ErrorKind::Unreachable, attempted).with_source(told.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str, header: (&str, &str)) -> PrometheusOptions {
        PrometheusOptions {
            url: url.to_owned(),
            query: "up".to_owned(),
            threshold: "== 1".parse().unwrap(),
            headers: BTreeMap::from([(header.0.to_owned(), header.1.to_owned())]),
        }
    }

    #[test]
    fn queries_are_asked_below_the_path_of_the_url() {
        for (url, asked) in [
            ("https://p.example", "https://p.example/api/v1/query"),
            ("https://p.example/", "https://p.example/api/v1/query"),
            ("http://p.example:90/ops/", "http://p.example:90/ops/api/v1/query"),
        ] {
            assert_eq!(endpoint(url).unwrap().as_str(), asked);
        }
        for url in ["p.example", "ftp://p.example", "http://a:pw@p.example", "http://p/?token=pw"] {
            let error = endpoint(url).unwrap_err();
            assert!(!format!("{error:?}").contains("pw"), "{error:?}");
        }
    }

    #[test]
    fn no_header_is_shown() {
        let options = options("https://p.example", ("Authorization", "Bearer s3cr3t"));
        let check = PrometheusCheck::new(options.clone()).unwrap();
        assert!(!format!("{options:?}{check:?}").contains("s3cr3t"), "{options:?}{check:?}");
        assert_eq!(check.masked("who is s3cr3t?".to_owned()), "who is ***?");
        for header in [("Bad Name", "s3cr3t"), ("Authorization", "s3cr3t\n"), ("Host", "s3cr3t")] {
            let options = self::options("https://p.example", header);
            let error = PrometheusCheck::new(options).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
    }
}
