//! What an HTTP check sends.

use std::{fmt, str::FromStr};

use deploy_core::{backend::Situation, model::Target};
use hyper::{
    Method, Uri,
    header::{HeaderName, HeaderValue},
};

use super::{super::pattern, Authorities};

/// What an HTTP check sends, beside the URL. By default a GET without headers of its own, and no
/// redirect is followed.
#[derive(Debug, Clone, Default)]
pub struct HttpRequest {
    /// The method.
    pub method: HttpMethod,
    /// Headers beside the usual ones.
    pub headers: Vec<HttpHeader>,
    /// How many redirects are followed. Headers with something secret go no further than the
    /// scheme, host and port that they were meant for.
    pub redirects: u8,
    /// Who vouches for the server instead of those whom the machine trusts.
    pub authorities: Option<Authorities>,
}

/// The method of an HTTP check: one that changes nothing, or `POST` without a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpMethod {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// `POST`
    Post,
}

impl HttpMethod {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }

    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Options => Method::OPTIONS,
            Self::Post => Method::POST,
        }
    }
}

impl FromStr for HttpMethod {
    type Err = HttpMethodError;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = [Self::Get, Self::Head, Self::Options, Self::Post];
        let known = all.into_iter().find(|method| method.name() == name);
        known.ok_or_else(|| HttpMethodError(name.to_owned()))
    }
}

/// Why a name is none of a method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of GET, HEAD, OPTIONS and POST")]
pub struct HttpMethodError(String);

/// A header of an HTTP check. `{version}` and `{commit}` in its value stand for what is deployed,
/// `{target}` for the target's host name.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpHeader {
    name: HeaderName,
    value: String,
    secrets: Vec<String>,
}

/// Why a header cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpHeaderError {
    /// No header can have that name, or it is the request's own.
    #[error("{0:?} cannot be the name of a header here")]
    Name(String),
    /// No header can have that value; it is not told, since it may be secret.
    #[error("the value of {0} holds what no header may")]
    Value(HeaderName),
}

impl HttpHeader {
    /// A header that anybody may see.
    ///
    /// # Errors
    /// When name or value hold what no header may, or the name is one that the request sets.
    pub fn new(name: &str, value: impl Into<String>) -> Result<Self, HttpHeaderError> {
        const OWN: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];
        let refused = || HttpHeaderError::Name(name.to_owned());
        let name = HeaderName::try_from(name).map_err(|_| refused())?;
        if OWN.contains(&name.as_str()) {
            return Err(refused());
        }
        let value = value.into();
        match HeaderValue::try_from(&value) {
            Ok(_) => Ok(Self { name, value, secrets: Vec::new() }),
            Err(_) => Err(HttpHeaderError::Value(name)),
        }
    }

    /// The same, of which this part of the value is never shown, not even where a server repeats
    /// it.
    #[must_use]
    pub fn hiding(mut self, secret: impl Into<String>) -> Self {
        let secret = secret.into();
        if !secret.is_empty() {
            self.secrets.push(secret);
        }
        self
    }
}

impl fmt::Debug for HttpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.secrets.is_empty() { self.value.as_str() } else { MASK };
        write!(f, "{}: {value}", self.name)
    }
}

/// What is shown instead of a secret.
const MASK: &str = "***";

/// One question, for one target and moment.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub uri: Uri,
    pub method: HttpMethod,
    headers: Vec<HttpHeader>,
    /// Whether the body is looked at, and not only shown.
    pub whole_body: bool,
    pub authorities: Option<Authorities>,
}

impl Question {
    pub(super) fn new(
        request: &HttpRequest,
        uri: Uri,
        (target, situation): (&Target, &Situation),
    ) -> Self {
        let host = super::super::url::host_of(target);
        let filled = |header: &HttpHeader| {
            let value = header.value.replace(super::super::url::TARGET, &host);
            let value = pattern::fill(&value, |what| pattern::named(what, situation));
            HttpHeader { value, ..header.clone() }
        };
        Self {
            uri,
            method: request.method,
            headers: request.headers.iter().map(filled).collect(),
            whole_body: false,
            authorities: request.authorities.clone(),
        }
    }

    /// The headers of its own, as hyper and reqwest take them. What became no header by what was
    /// filled in is left out.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().filter_map(|header| {
            let mut value = HeaderValue::try_from(&header.value).ok()?;
            value.set_sensitive(!header.secrets.is_empty());
            Some((header.name.clone(), value))
        })
    }

    pub(super) fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    pub(super) fn http_method(&self) -> Method {
        self.method.method()
    }

    /// What curl reads as its configuration: on its standard input, where nobody else sees it.
    pub(super) fn for_curl(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut lines = format!("url = \"{}\"\n", quoted(&self.uri.to_string()));
        match self.method {
            HttpMethod::Get => {}
            HttpMethod::Head => lines.push_str("head\n"),
            method => lines.push_str(&format!("request = \"{}\"\n", method.name())),
        }
        for header in &self.headers {
            // A header without a value is told from one to be left out by its semicolon.
            let line = match header.value.as_str() {
                "" => format!("{};", header.name),
                value => format!("{}: {value}", header.name),
            };
            lines.push_str(&format!("header = \"{}\"\n", quoted(&line)));
        }
        lines
    }

    /// The question that a redirect leads to; `None` when it leads nowhere that could be asked.
    pub(super) fn redirected(&self, status: u16, location: &str) -> Option<Self> {
        let here = reqwest::Url::parse(&self.uri.to_string()).ok()?;
        let there = here.join(location).ok()?;
        let uri: Uri = there.as_str().parse().ok()?;
        if !matches!(there.scheme(), "http" | "https") || !there.username().is_empty() {
            return None;
        }
        let mut next = Self { uri, ..self.clone() };
        if here.origin() != there.origin() {
            next.headers.retain(|header| header.secrets.is_empty());
        }
        // As everybody does: only 307 and 308 keep the method.
        let kept = matches!(self.method, HttpMethod::Get | HttpMethod::Head);
        if !kept && !matches!(status, 307 | 308) {
            next.method = HttpMethod::Get;
        }
        Some(next)
    }

    /// The same text without anything secret.
    pub(super) fn mask(&self, text: String) -> String {
        let secrets = self.headers.iter().flat_map(|header| &header.secrets);
        secrets.fold(text, |text, secret| text.replace(secret.as_str(), MASK))
    }
}

#[cfg(test)]
mod tests {
    use deploy_core::model::GroupName;

    use super::*;

    fn question(method: HttpMethod, headers: Vec<HttpHeader>) -> Question {
        let request = HttpRequest { method, headers, ..HttpRequest::default() };
        let situation = Situation {
            group: GroupName::new("all").unwrap(),
            release: None,
            previous: None,
            rolling_back: false,
            noted: None,
        };
        let target = Target::new("ann@h1:2222").unwrap();
        let uri = "http://h1:81/a?b=\"c\"".replace('"', "%22").parse().unwrap();
        Question::new(&request, uri, (&target, &situation))
    }

    fn secret() -> HttpHeader {
        let header = HttpHeader::new("Authorization", "Bearer hunter\"2").unwrap();
        header.hiding("hunter\"2")
    }

    #[test]
    fn what_is_no_header_is_refused_without_its_value() {
        for bad in ["", "a b", "a:", "Host", "Content-Length", "ä"] {
            assert!(HttpHeader::new(bad, "x").is_err(), "{bad:?}");
        }
        let error = HttpHeader::new("X-Token", "hunter2\r\nX: y").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let question = question(HttpMethod::Get, vec![secret()]);
        assert!(!format!("{question:?}").contains("hunter"));
        assert!(!format!("{:?}", question.headers().collect::<Vec<_>>()).contains("hunter"));
        let masked = question.mask("you said Bearer hunter\"2!".to_owned());
        assert_eq!(masked, "you said Bearer ***!");
    }

    #[test]
    fn curl_is_told_by_its_input() {
        let for_target = HttpHeader::new("X-For", "{target}").unwrap();
        let empty = HttpHeader::new("X-Empty", "").unwrap();
        let question = question(HttpMethod::Post, vec![secret(), for_target, empty]);
        let expected = "url = \"http://h1:81/a?b=%22c%22\"\nrequest = \"POST\"\n\
                        header = \"authorization: Bearer hunter\\\"2\"\nheader = \"x-for: h1\"\n\
                        header = \"x-empty;\"\n";
        assert_eq!(question.for_curl(), expected);
    }

    #[test]
    fn a_redirect_takes_no_secret_to_somebody_else() {
        let question = question(HttpMethod::Post, vec![secret()]);
        let next = question.redirected(302, "../b").unwrap();
        assert_eq!((next.uri.to_string().as_str(), next.headers.len()), ("http://h1:81/b", 1));
        assert_eq!(next.method, HttpMethod::Get);
        assert_eq!(question.redirected(307, "/").unwrap().method, HttpMethod::Post);
        for other in ["https://h1:81/", "http://h1/", "//h2:81/"] {
            assert_eq!(question.redirected(302, other).unwrap().headers.len(), 0, "{other}");
        }
        for bad in ["ftp://h1/", "http://u:p@h1/", "http://", "http://h1:x/"] {
            assert!(question.redirected(302, bad).is_none(), "{bad}");
        }
    }
}
