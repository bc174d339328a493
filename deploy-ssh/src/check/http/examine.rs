//! Whether a host can be asked what an HTTP check asks.

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Examiner, Finding, Scope},
    model::Target,
};

use super::{HttpCheck, HttpFrom, HttpMethod};
use crate::session::{DialError, Script};

/// Which of curl and wget there is that would do.
const TOOLS: &str = "if command -v curl >/dev/null 2>&1; then echo curl
elif wget --help 2>&1 | grep -q -e --content-on-error; then echo wget
else echo none; fi";

#[async_trait]
impl Examiner for HttpCheck {
    async fn examine(&self, target: &Target, scope: &Scope) -> Result<Vec<Finding>, BackendError> {
        let Some(uri) = self.url.of(target).filter(|_| self.from == HttpFrom::Host) else {
            return Ok(Vec::new());
        };
        let by_tls = uri.scheme_str() != Some("http");
        let trusts_own = self.request.authorities.is_some();
        if by_tls && !trusts_own {
            return Ok(vec![self.tool(target, "the host itself must ask", scope).await?]);
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if by_tls { 443 } else { 80 });
        let forbidden = "sshd there forbids forwarding";
        Ok(vec![match self.sessions.dial(target, host, port, scope).await {
            Err(DialError::Backend(error)) => return Err(error),
            Err(DialError::Forbidden { .. }) if by_tls => {
                let what =
                    format!("{forbidden}, which the check of {} with ca_file needs", self.url);
                Finding::problem("check", what)
                    .because("the check could not be asked, and the host would count as failed")
                    .cured_by("AllowTcpForwarding local, in its sshd_config")
            }
            Err(DialError::Forbidden { .. }) => self.tool(target, forbidden, scope).await?,
            // That nothing answers yet is for the check to say.
            Ok(_) | Err(_) => Finding::ok("check", format!("{} can be asked from there", self.url)),
        }])
    }
}

impl HttpCheck {
    async fn tool(
        &self,
        target: &Target,
        why: &str,
        scope: &Scope,
    ) -> Result<Finding, BackendError> {
        let script = Script::new(TOOLS).answers().purpose_is("look for curl or wget");
        let output = self.sessions.run(target, &script, scope).await?;
        let is_plain = self.request.method == HttpMethod::Get && self.request.headers.is_empty();
        let (does, wanted) = match output.stdout.last_lines(1).as_str() {
            "curl" => (true, ""),
            "wget" if is_plain => (true, ""),
            _ if is_plain => (false, "curl or wget"),
            _ => (false, "curl"),
        };
        if does {
            return Ok(Finding::ok("check", format!("{} can be asked there", self.url)));
        }
        Ok(Finding::problem(
            "check",
            format!("{} cannot be asked: {why}, without {wanted}", self.url),
        )
        .because("the host would count as failed")
        .cured_by("install curl there, or ask from = \"deployer\""))
    }
}
