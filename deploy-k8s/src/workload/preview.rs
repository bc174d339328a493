//! What a plan shows of a workload.

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, ErrorKind, FileDiff, Preview, Scope},
    plan::{Change, Work},
};
use kube::{
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use super::{Asked, FIELD_MANAGER, WorkloadTransport, gone, seen::Seen};
use crate::{
    failure::{self, Effect},
    image::Image,
    manifest::{self, Key, Live, Object, Report},
};

#[async_trait]
impl Preview for WorkloadTransport {
    /// Reads the workload, and applies the image as a dry run.
    async fn diffs(&self, change: &Change, scope: &Scope) -> Result<Vec<FileDiff>, BackendError> {
        if change.work != Work::Move || change.from == change.to {
            return Ok(Vec::new());
        }
        let attempted = format!("look at what changes on {}", change.target);
        let asked = self.asked(&change.target, scope).await?;
        let name = &asked.place.workload.name;
        let got = asked.objects.get_opt(name);
        let object = failure::within(got, Effect::Asks, scope, &attempted).await?;
        let found = object.and_then(|object| {
            Seen::of(&object, &asked.place.container).map(|seen| (object, seen))
        });
        let Some((now, seen)) = found else { return Err(gone(&asked, &attempted)) };
        let stored = asked.record.read(scope, &attempted).await?;
        let image = self.wanted(change.to.as_ref(), &stored, &attempted)?;
        let serving = stored.record.serving.as_ref();
        let deployed =
            serving.map(|serving| Image::of(&self.image, &serving.release.version).written());
        let live = match asked.after(&seen, &image, scope, &attempted).await {
            Ok(after) => {
                let now = written(&now, &attempted)?;
                // As if what was deployed were applied again.
                let again = deployed.as_ref().filter(|deployed| **deployed != seen.image);
                let again = again.map(|deployed| with_image(now.clone(), &asked, deployed));
                let after = Some(written(&after, &attempted)?);
                Live::There { now, after, again, unknown: None }
            }
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Cancelled) => {
                return Err(error);
            }
            Err(error) => Live::Unknown(manifest::reason(&error)),
        };
        let is_unknown = matches!(live, Live::Unknown(_));
        let before = if is_unknown { Some(seen.image) } else { deployed };
        let seen = manifest::Seen {
            key: asked.key(),
            deployed: Some(asked.object(before.as_ref().unwrap_or(&image))),
            rendered: Some(asked.object(&image)),
            live,
        };
        Ok(Report::of(&[seen], &asked.place.namespace).finish())
    }
}

impl Asked<'_> {
    fn key(&self) -> Key {
        Key {
            kind: self.place.workload.kind.as_str().to_owned(),
            api_version: "apps/v1".to_owned(),
            name: self.place.workload.name.clone(),
            namespace: self.place.namespace.clone(),
        }
    }

    /// What we set of the workload.
    fn object(&self, image: &str) -> Object {
        let containers = json!([{ "name": self.place.container, "image": image }]);
        let value = json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        Object { key: self.key(), value }
    }

    /// What it would become.
    async fn after(
        &self,
        seen: &Seen,
        image: &str,
        scope: &Scope,
        attempted: &str,
    ) -> Result<DynamicObject, BackendError> {
        let mut patch = WorkloadTransport::patch(self, seen, image, scope);
        patch["metadata"]["resourceVersion"].take();
        let mut options = PatchParams::apply(FIELD_MANAGER).force();
        options.dry_run = true;
        let (name, patch) = (&self.place.workload.name, Patch::Apply(&patch));
        let applying = self.objects.patch(name, &options, &patch);
        failure::within(applying, Effect::Asks, scope, attempted).await
    }
}

fn with_image(mut object: Value, asked: &Asked<'_>, image: &str) -> Value {
    let containers = object.pointer_mut("/spec/template/spec/containers");
    let containers = containers.and_then(Value::as_array_mut).into_iter().flatten();
    for container in containers.filter(|it| it["name"] == *asked.place.container) {
        container["image"] = image.into();
    }
    object
}

fn written(object: &DynamicObject, attempted: &str) -> Result<Value, BackendError> {
    serde_json::to_value(object)
        .map_err(|error| BackendError::new(ErrorKind::Broken, attempted).with_source(error))
}
