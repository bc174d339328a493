//! What changes in rendered files, from what the targets said of theirs.

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, FileDiff, Preview, Scope},
    plan::Change,
};

use super::{SshTransport, rendered::Rendered};
use crate::template::{Shown, differences};

#[async_trait]
impl Preview for SshTransport {
    /// Asks nobody: as far as a target could say what was rendered into its releases: what was rendered before
    /// anything was shown, or by another tool, counts as nothing.
    async fn diffs(&self, change: &Change, _: &Scope) -> Result<Vec<FileDiff>, BackendError> {
        let (Some(_), Some(to)) = (&self.renders, &change.to) else { return Ok(Vec::new()) };
        let rendered = self.reports().get(&change.target).map(|report| report.rendered.clone());
        let rendered = rendered.unwrap_or_default();
        let from = change.from.as_ref().and_then(|from| rendered.shown.get(from.id.as_str()));
        let from = from.map(|shown| Shown::clone(shown)).unwrap_or_default();
        // What is there already is shown as it is, whatever the templates are now.
        let to_shown = match rendered.shown.get(to.id.as_str()) {
            Some(shown) => Shown::clone(shown),
            None => match self.planned(&change.target, &to.version) {
                Ok(Some(rendering)) => rendering.shown(),
                Ok(None) | Err(_) => return Ok(Vec::new()),
            },
        };
        let rotated = match &change.from {
            Some(from) => is_rotated(&rendered, from.id.as_str(), to.id.as_str()),
            None => false,
        };
        let diffs = differences(&from, &to_shown, rotated).into_iter();
        Ok(diffs.map(|(file, diff)| FileDiff { file, diff }).collect())
    }
}

/// Whether two releases were, or will be, made with different secrets.
fn is_rotated(rendered: &Rendered, from: &str, to: &str) -> bool {
    let made = |id: &str| rendered.made.iter().find(|made| made.id == id);
    match (made(from), made(to)) {
        (Some(from), Some(to)) => from.print.generation != to.print.generation,
        (Some(from), None) => !from.is_current,
        (None, _) => false,
    }
}
