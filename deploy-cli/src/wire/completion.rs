//! The mark of a whole success in the repository: `refs/tags/deploy/<env>/<run>`.

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Completion},
    plan::Plan,
    record::{Command, RunInfo},
};
use deploy_ssh::GitSource;

/// Pushes the success tag.
#[derive(Debug, Clone)]
pub(super) struct SuccessTag(pub(super) GitSource);

#[async_trait]
impl Completion for SuccessTag {
    async fn complete(&self, info: &RunInfo, plan: &Plan) -> Result<(), BackendError> {
        // A rollback may leave a version on each host; only one version for all can be tagged.
        let (Command::Deploy, Some(version)) = (info.command, &plan.version) else {
            return Ok(());
        };
        let why = info.why.as_ref().map_or(String::new(), |why| format!("\n\n{why}"));
        let message = format!("{} deployed {version} ({}){why}", info.who, info.app);
        self.0.mark_success(info.environment.as_ref(), &info.run, version, &message).await
    }
}
