//! Hooks that failed.

use deploy_core::backend::Scope;
use kube::Client;

use super::{
    history::{Hook, Revision},
    job,
};

impl Hook {
    fn has_failed(&self) -> bool {
        self.last_run.phase == "Failed"
    }
}

/// The first hook of a revision that failed, in a few words, and what a person would look at.
pub(super) async fn failed(
    place: (&Client, &str),
    revision: &Revision,
    scope: &Scope,
) -> Option<(String, Option<String>)> {
    let hook = revision.hooks.iter().find(|hook| hook.has_failed())?;
    let Hook { kind, name, events, .. } = hook;
    let told = format!("the hook {} ({}) failed", named(kind, name), events.join(", "));
    let evidence = match kind.as_str() {
        "Job" => job::evidence(place, name, scope).await,
        _ => None,
    };
    Some((told, evidence))
}

fn named(kind: &str, name: &str) -> String {
    format!("{}/{name}", kind.to_ascii_lowercase())
}
