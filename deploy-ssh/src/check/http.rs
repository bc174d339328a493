//! Does a URL answer as it should?

mod answer;
mod authorities;
mod deployer;
mod examine;
mod expectation;
mod request;
mod stream;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};

use super::{ATTEMPT, CheckUrl, one_attempt, port::could_not_dial, within};
use crate::session::{DialError, Script, Sessions, Stdin};
use answer::{Answer, MOST};
use request::Question;

pub use authorities::{Authorities, AuthoritiesError};
pub use expectation::{HttpExpectation, JsonPlace, JsonPlaceError};
pub use request::{HttpHeader, HttpHeaderError, HttpMethod, HttpMethodError, HttpRequest};

const IN_HOST: &str = include_str!("http.sh");
/// What the script says where it finds neither curl nor wget.
const NO_TOOL: i32 = 69;

/// Where an HTTP check is asked from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpFrom {
    /// The host itself, through the connection that stands: `localhost` is the host.
    #[default]
    Host,
    /// The machine that deploys.
    Deployer,
}

/// Asks whether a URL answers as it should.
///
/// Proxies are not used. Everything but the right answer is "not yet", a wrong status too: services
/// answer 503 while they warm up. One attempt takes at most ten seconds, and reads at most 1 MB of
/// the body.
#[derive(Debug)]
pub struct HttpCheck {
    /// The sessions with the hosts.
    pub sessions: Sessions,
    /// What is asked for.
    pub url: CheckUrl,
    /// What is sent beside it.
    pub request: HttpRequest,
    /// What must be answered.
    pub expected: HttpExpectation,
    /// Where it is asked from.
    pub from: HttpFrom,
}

impl HttpCheck {
    /// Asks for `url` from the host itself, and takes any 2xx.
    pub fn new(sessions: Sessions, url: CheckUrl) -> Self {
        let (request, expected) = (HttpRequest::default(), HttpExpectation::default());
        Self { sessions, url, request, expected, from: HttpFrom::Host }
    }

    /// Asks, and follows redirects as far as it may.
    async fn ask(
        &self,
        target: &Target,
        question: &mut Question,
        attempted: &str,
        scope: &Scope,
    ) -> Result<Answer, BackendError> {
        let mut left = self.request.redirects;
        loop {
            let answer = match self.from {
                HttpFrom::Host => self.ask_host(target, question, attempted, scope).await?,
                HttpFrom::Deployer => deployer::ask(question, attempted).await?,
            };
            let Some((status, location)) = answer.redirect().filter(|_| left > 0) else {
                return Ok(answer);
            };
            left -= 1;
            match question.redirected(status, location) {
                Some(next) => *question = next,
                None => {
                    let why = format!("status {status} leads to {location:?}, which is no URL");
                    return Ok(Answer::None(why));
                }
            }
        }
    }

    async fn ask_host(
        &self,
        target: &Target,
        question: &Question,
        attempted: &str,
        scope: &Scope,
    ) -> Result<Answer, BackendError> {
        let uri = &question.uri;
        let by_tls = uri.scheme_str() != Some("http");
        // Where it is not said whom to trust, TLS is the host's matter.
        if by_tls && question.authorities.is_none() {
            return self.ask_in_host(target, question, attempted, scope).await;
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if by_tls { 443 } else { 80 });
        match self.sessions.dial(target, host, port, scope).await {
            Ok(dialled) => Ok(match question.authorities.as_ref().filter(|_| by_tls) {
                Some(authorities) => stream::ask_by_tls(dialled, question, authorities).await,
                None => stream::ask(dialled, question).await,
            }),
            Err(DialError::Forbidden { .. }) if by_tls => {
                Err(BackendError::new(ErrorKind::Rejected, attempted)
                    .with_source("sshd there forbids forwarding, which a check with ca_file needs")
                    .with_hint("allow it (AllowTcpForwarding local), or ask from = \"deployer\""))
            }
            Err(DialError::Forbidden { .. }) => {
                self.ask_in_host(target, question, attempted, scope).await
            }
            Err(error) => could_not_dial(error, attempted.to_owned())
                .map(|()| Answer::None(format!("nothing answers at {host}:{port}"))),
        }
    }

    async fn ask_in_host(
        &self,
        target: &Target,
        question: &Question,
        attempted: &str,
        scope: &Scope,
    ) -> Result<Answer, BackendError> {
        let seconds = scope.remaining().as_secs().clamp(1, ATTEMPT.as_secs() - 1);
        let plain = question.method == HttpMethod::Get && !question.has_headers();
        let url = if plain { question.uri.to_string() } else { String::new() };
        let script = Script::new(IN_HOST)
            .answers()
            .args([seconds.to_string(), (MOST + 64 * 1024).to_string(), url])
            .stdin(Stdin::Bytes(question.for_curl().into_bytes().into()))
            .keep(MOST + 64 * 1024, 1024);
        let output = self.sessions.run(target, &script, scope).await?;
        if output.status == NO_TOOL {
            let why =
                if plain { "the host has neither curl nor wget" } else { "the host has no curl" };
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source(why)
                .with_hint("install it, or ask from = \"deployer\""));
        }
        Ok(answer::parse(&output.stdout.bytes()).unwrap_or_else(|| {
            let said = output.stderr.last_lines(1);
            Answer::None(if said.is_empty() { "no answer".to_owned() } else { said })
        }))
    }
}

#[async_trait]
impl Checker for HttpCheck {
    fn describe(&self) -> String {
        let expected = &self.expected;
        let status = expected.status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
        let mut wants = Vec::new();
        wants.extend(expected.body.as_ref().map(|body| format!("{body:?}")));
        wants.extend(expected.body_matches.as_ref().map(ToString::to_string));
        wants.extend(expected.json.iter().map(|(place, value)| format!("{place} {value}")));
        let wants =
            if wants.is_empty() { String::new() } else { format!(" with {}", wants.join(", ")) };
        let (method, from) = (self.request.method, self.from);
        let method = match method {
            HttpMethod::Get => String::new(),
            other => format!("{} ", other.name()),
        };
        let from = if from == HttpFrom::Host { "" } else { " from here" };
        format!("{method}{} answers {status}{wants}{from}", self.url)
    }

    async fn check(
        &self,
        target: &Target,
        situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let attempted = format!("ask {} of {target}", self.url);
        let Some(uri) = self.url.of(target) else {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("the target's name cannot stand in a URL"));
        };
        let attempt = one_attempt(scope);
        let mut question = Question::new(&self.request, uri, (target, situation));
        question.whole_body = self.expected.wants_body();
        let first = question.clone();
        let ask = self.ask(target, &mut question, &attempted, &attempt);
        let seen = match within(&attempt, &attempted, ask).await? {
            Some(Ok(answer)) => self.expected.fault(&answer, situation),
            Some(Err(error)) if error.kind() == ErrorKind::TimedOut => Some("no answer".to_owned()),
            Some(Err(error)) => return Err(error),
            None => Some("no answer within the time of one attempt".to_owned()),
        };
        // A server may repeat what it was told.
        let mask = self.sessions.session(target).mask();
        let shown = |seen| Verdict::NotYet { seen: mask.text(first.mask(seen)) };
        Ok(seen.map_or(Verdict::Healthy, shown))
    }
}
