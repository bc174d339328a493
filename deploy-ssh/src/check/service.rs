//! Is the service up, and does it stay up?

use std::time::Duration;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
};

use crate::{
    restart::{Answer, ServiceName, on_service},
    session::{Script, Sessions},
};

/// Asks whether a service is up, and stays up: the same start of it, looked at each second.
#[derive(Debug)]
pub struct ServiceCheck {
    /// The sessions with the hosts.
    pub sessions: Sessions,
    /// The service.
    pub service: ServiceName,
    /// How long it must stay up; zero asks once. Cut to what the check's timeout leaves.
    pub stay_up: Duration,
    /// Whether sudo may be used to show the service's log when it is not up.
    pub sudo: bool,
}

#[async_trait]
impl Checker for ServiceCheck {
    fn describe(&self) -> String {
        match self.stay_up.as_secs_f64().ceil() {
            0.0 => format!("{} is up", self.service),
            seconds => format!("{} stays up for {seconds} s", self.service),
        }
    }

    async fn check(
        &self,
        target: &Target,
        _situation: &Situation,
        scope: &Scope,
    ) -> Result<Verdict, BackendError> {
        let attempted = format!("ask whether {} is up on {target}", self.service);
        let wanted = self.stay_up.as_secs_f64().ceil() as u64;
        // What is left of the check's time, less what asking takes.
        let watched = wanted.min(scope.remaining().as_secs().saturating_sub(2));
        let script = Script::function("unit_stays_up");
        let script =
            on_service(script, self.service.as_str(), self.sudo).args(["", &watched.to_string()]);
        let output = self.sessions.run(target, &script, scope).await?;
        Ok(match Answer::read(&output, &attempted)? {
            Answer::Done if watched < wanted => Verdict::NotYet {
                seen: format!(
                    "{} was up for {watched} s, and the check's timeout leaves no time to watch \
                     it for {wanted} s",
                    self.service
                ),
            },
            Answer::Done => Verdict::Healthy,
            Answer::Starting(state) => {
                Verdict::NotYet { seen: format!("{} is still {state}", self.service) }
            }
            Answer::Failed(why) => Verdict::Unhealthy {
                reason: format!("{} {why}", self.service),
                evidence: Some(output.stderr.text()),
            },
            Answer::Seen(_) => {
                return Err(BackendError::new(ErrorKind::Broken, attempted)
                    .with_source("the answer is to another question"));
            }
            other => return Err(other.into_error(attempted, &output)),
        })
    }
}
