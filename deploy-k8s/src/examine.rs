//! What would stop a deploy to a cluster, found before one.

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Examiner, Finding, Scope, Transport},
    model::Target,
};

use crate::{helm::HelmTransport, workload::WorkloadTransport};

#[async_trait]
impl Examiner for WorkloadTransport {
    async fn examine(&self, target: &Target, scope: &Scope) -> Result<Vec<Finding>, BackendError> {
        of_live(self, target, scope).await
    }
}

#[async_trait]
impl Examiner for HelmTransport {
    async fn examine(&self, target: &Target, scope: &Scope) -> Result<Vec<Finding>, BackendError> {
        of_live(self, target, scope).await
    }
}

/// What a target answers when it is asked what it serves.
async fn of_live(
    transport: &dyn Transport,
    target: &Target,
    scope: &Scope,
) -> Result<Vec<Finding>, BackendError> {
    let live = transport.live(target, scope).await?;
    let mut findings = vec![Finding::ok("cluster", "it is the one that is meant, and answers")];
    findings.extend(live.lacks.iter().map(|lack| {
        Finding::problem("workload", lack.clone()).because("a deploy would leave it out")
    }));
    findings.extend(live.notes.iter().map(|note| Finding::warning("workload", note.clone())));
    if let Some(claim) = &live.claim {
        let told = format!("run {} of {} holds it since {}", claim.run, claim.who, claim.since);
        findings.push(Finding::problem("claim", told).because("a deploy would be refused"));
    }
    Ok(findings)
}
