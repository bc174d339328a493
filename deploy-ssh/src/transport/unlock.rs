//! Removes a claim that somebody knows to be dead.

use deploy_core::{
    backend::{BackendError, Claim, ErrorKind, Scope},
    model::Target,
};

use super::{Answered, SshTransport, failure};
use crate::{
    claim::ClaimRecord,
    session::{OnStdinEnd, Script},
};

/// A claim as it was found on a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// What it says; `None` when it cannot be read.
    pub claim: Option<Claim>,
    line: String,
}

impl SshTransport {
    /// Who holds `target`, if anybody. Changes nothing.
    ///
    /// # Errors
    /// As [`live`](deploy_core::backend::Transport::live).
    pub async fn held(&self, target: &Target, scope: &Scope) -> Result<Option<Held>, BackendError> {
        let report = self.probe(target, scope).await?;
        Ok(report.claim_line.map(|line| Held {
            claim: ClaimRecord::parse(&line).map(|claim| claim.claim(&scope.run, &self.process)),
            line,
        }))
    }

    /// Removes the claim `held` from `target`: that one, and no other. Idempotent.
    ///
    /// # Errors
    /// `Claimed` when another run has taken the target since `held` was read.
    pub async fn unlock(
        &self,
        target: &Target,
        held: &Held,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("unlock {target}");
        let known = self.known(target, scope).await?;
        let script = Script::function("unlock")
            .on_stdin_end(OnStdinEnd::RunToEnd)
            .arg(self.layout.path())
            .arg(&held.line);
        match Answered::of(self.run(target, script, scope).await?) {
            Answered::Done(report) => {
                self.note(target, report);
                Ok(())
            }
            Answered::Claimed(_) => Err(BackendError::new(ErrorKind::Claimed, attempted)
                .with_source("another run has taken it meanwhile")),
            Answered::Else(output, _) => {
                Err(failure::explain(&output, &known, &self.layout.cache(), &attempted))
            }
        }
    }
}
