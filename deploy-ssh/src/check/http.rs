//! Does a URL answer as it should?

mod answer;
mod deployer;
mod stream;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};
use hyper::Uri;

use super::{ATTEMPT, CheckUrl, one_attempt, port::could_not_dial, within};
use crate::session::{DialError, Script, Sessions};
use answer::{Answer, MOST};

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

/// Asks whether a URL answers with the right status and body.
///
/// Redirects are not followed, and proxies are not used. Everything but the right answer is "not
/// yet", a wrong status too: services answer 503 while they warm up. One attempt takes at most ten
/// seconds, and reads at most 1 MB of the body.
#[derive(Debug)]
pub struct HttpCheck {
    /// The sessions with the hosts.
    pub sessions: Sessions,
    /// What is asked for.
    pub url: CheckUrl,
    /// The status that it must answer; any 2xx when it is not said.
    pub status: Option<u16>,
    /// What the body must contain.
    pub body: Option<String>,
    /// Where it is asked from.
    pub from: HttpFrom,
}

impl HttpCheck {
    /// Asks for `url` from the host itself, and takes any 2xx.
    pub fn new(sessions: Sessions, url: CheckUrl) -> Self {
        Self { sessions, url, status: None, body: None, from: HttpFrom::Host }
    }

    async fn ask_host(
        &self,
        target: &Target,
        uri: &Uri,
        attempted: &str,
        scope: &Scope,
    ) -> Result<Answer, BackendError> {
        // TLS is the host's matter: it knows which authorities it trusts.
        if uri.scheme_str() != Some("http") {
            return self.ask_in_host(target, uri, attempted, scope).await;
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(80);
        match self.sessions.dial(target, host, port, scope).await {
            Ok(dialled) => Ok(stream::ask(dialled, uri, self.body.is_some()).await),
            Err(DialError::Forbidden { .. }) => {
                self.ask_in_host(target, uri, attempted, scope).await
            }
            Err(error) => could_not_dial(error, attempted.to_owned())
                .map(|()| Answer::None(format!("nothing answers at {host}:{port}"))),
        }
    }

    async fn ask_in_host(
        &self,
        target: &Target,
        uri: &Uri,
        attempted: &str,
        scope: &Scope,
    ) -> Result<Answer, BackendError> {
        let seconds = scope.remaining().as_secs().clamp(1, ATTEMPT.as_secs() - 1);
        let script = Script::new(IN_HOST)
            .answers()
            .args([uri.to_string(), seconds.to_string(), (MOST + 64 * 1024).to_string()])
            .keep(MOST + 64 * 1024, 1024);
        let output = self.sessions.run(target, &script, scope).await?;
        if output.status == NO_TOOL {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("the host has neither curl nor wget")
                .with_hint("install one, or ask from = \"deployer\""));
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
        let status = self.status.map_or_else(|| "2xx".to_owned(), |status| status.to_string());
        let body = self.body.as_ref().map(|body| format!(" with {body:?}")).unwrap_or_default();
        let from = match self.from {
            HttpFrom::Host => "",
            HttpFrom::Deployer => " from here",
        };
        format!("{} answers {status}{body}{from}", self.url)
    }

    async fn check(
        &self,
        target: &Target,
        _situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let attempted = format!("ask {} of {target}", self.url);
        let Some(uri) = self.url.of(target) else {
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("the target's name cannot stand in a URL"));
        };
        let attempt = one_attempt(scope);
        let ask = async {
            match self.from {
                HttpFrom::Host => self.ask_host(target, &uri, &attempted, &attempt).await,
                HttpFrom::Deployer => deployer::ask(&uri, self.body.is_some(), &attempted).await,
            }
        };
        let seen = match within(&attempt, &attempted, ask).await? {
            Some(Ok(answer)) => answer.fault(self.status, self.body.as_deref()),
            Some(Err(error)) if error.kind() == ErrorKind::TimedOut => Some("no answer".to_owned()),
            Some(Err(error)) => return Err(error),
            None => Some("no answer within the time of one attempt".to_owned()),
        };
        Ok(seen.map_or(Verdict::Healthy, |seen| Verdict::NotYet { seen }))
    }
}
