//! How the image of a workload is changed, while others change what they like of it.

use std::time::Duration;

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Serving},
    plan::Change,
};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Asked, BY, FIELD_MANAGER, IMAGE, WorkloadTransport, gone, seen::Seen};
use crate::{
    failure::{self, Effect},
    record::Stored,
};

/// The run that set the image.
const RUN: &str = "deploy/run";
/// How long it waits when the object changed in between.
const PAUSE: Duration = Duration::from_millis(20);

impl WorkloadTransport {
    /// Writes into the record what is about to be served. It is believed only once the workload agrees.
    pub(super) async fn announce(
        &self,
        asked: &Asked<'_>,
        seen: &Seen,
        change: &Change,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let serving = change.to.as_ref().map(|to| Serving {
            release: to.clone(),
            since: Some(Timestamp::now()),
            by: Some(scope.who.clone()),
            run: Some(scope.run.clone()),
        });
        let note = |stored: &mut Stored| {
            if change.from.is_none() {
                stored.record.origin = Some(seen.image.clone());
            }
            stored.record.serving = serving.clone();
        };
        asked.record.change(scope, attempted, note).await
    }

    /// Makes `image` the workload's, as long as it runs the image that was `seen`. A workload that rolls
    /// changes with each of its pods, so it is tried until the scope ends, and the claim looked at each
    /// time. Returns what is there where somebody has set another image.
    pub(super) async fn swap(
        &self,
        asked: &Asked<'_>,
        mut seen: Seen,
        image: &str,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Option<Seen>, BackendError> {
        let expected = seen.image.clone();
        loop {
            let patch = Self::patch(asked, &seen, image, scope);
            match self.apply(asked, &patch, false, scope, attempted).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                done => return done.map(|()| None),
            }
            // A call after the end of the scope says so.
            tokio::time::sleep(PAUSE.min(scope.remaining())).await;
            self.hold(asked.target, scope, attempted).await?;
            let again = self.get(asked, scope, attempted).await?;
            seen = again.ok_or_else(|| gone(asked, attempted))?;
            if seen.image == image {
                return Ok(None);
            }
            if seen.image != expected {
                return Ok(Some(seen));
            }
        }
    }

    /// The patch that makes `image` the container's, and says who did it.
    pub(super) fn patch(
        asked: &Asked<'_>,
        seen: &Seen,
        image: &str,
        scope: &Scope,
    ) -> serde_json::Value {
        let place = asked.place;
        json!({
            "apiVersion": "apps/v1",
            "kind": place.workload.kind.as_str(),
            "metadata": {
                "name": place.workload.name,
                "namespace": place.namespace,
                // Whoever changed it meanwhile makes this fail.
                "resourceVersion": seen.version,
                "annotations": { RUN: scope.run.as_str(), BY: scope.who, IMAGE: image },
            },
            "spec": { "template": { "spec": {
                "containers": [{ "name": place.container, "image": image }],
            }}},
        })
    }

    pub(super) async fn apply(
        &self,
        asked: &Asked<'_>,
        patch: &serde_json::Value,
        dry_run: bool,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let mut options = PatchParams::apply(FIELD_MANAGER).force();
        options.dry_run = dry_run;
        let effect = if dry_run { Effect::Asks } else { Effect::Changes };
        let (name, patch) = (&asked.place.workload.name, Patch::Apply(patch));
        let applying = asked.objects.patch(name, &options, &patch);
        failure::within(applying, effect, scope, attempted).await.map(drop)
    }
}
