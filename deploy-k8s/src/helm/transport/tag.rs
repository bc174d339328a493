//! Whether a tag still means the image that was planned: a chart is given nothing but the tag.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Stream, VersionSource},
    model::{Release, Target, VersionRef},
    record::RunId,
};

use crate::image::Image;

/// What knows which digest a tag means, and what was promoted after it was asked.
#[derive(Debug)]
pub(super) struct Tags {
    source: Arc<dyn VersionSource>,
    promoted: Mutex<HashMap<Target, (RunId, Release)>>,
}

impl Tags {
    pub(super) fn new(source: Arc<dyn VersionSource>) -> Self {
        Self { source, promoted: Mutex::default() }
    }

    /// Makes sure that the tag of the image that `to` is means the digest that was planned.
    ///
    /// # Errors
    /// `Conflict` with both digests when the tag was moved; else as the source fails.
    pub(super) async fn demand(
        &self,
        image: &str,
        to: &Release,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let image = Image::of(image, &to.version);
        let (Some(tag), Some(digest)) = (image.tag, image.digest) else { return Ok(()) };
        let planned = VersionRef::Named(format!("{tag}@{digest}"));
        tokio::select! {
            resolved = self.source.resolve(&planned) => resolved.map(drop),
            () = tokio::time::sleep_until(scope.deadline) => {
                Err(BackendError::new(ErrorKind::TimedOut, attempted)
                    .with_source("the registry gave no answer in time"))
            }
            () = scope.cancel.cancelled() => {
                Err(BackendError::new(ErrorKind::Cancelled, attempted))
            }
        }
    }

    /// The same, just before `to` is promoted on `target`. A way back is kept from nothing by a registry:
    /// what is wrong with its tag is told.
    ///
    /// # Errors
    /// As [`demand`](Self::demand), but on a way back.
    pub(super) async fn demand_last(
        &self,
        (target, image): (&Target, &str),
        to: &Release,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let demanded = self.demand(image, to, scope, attempted).await;
        let mut promoted = self.promoted.lock().unwrap_or_else(PoisonError::into_inner);
        // What follows another release in one run undoes that.
        let before = promoted.get(target).filter(|(run, _)| *run == scope.run);
        let is_back = before.is_some_and(|(_, release)| release != to);
        match demanded {
            Err(error) if is_back => {
                let told = format!("goes back all the same, but {}\n", error.cause());
                scope.output.write(target, scope.stage, Stream::Stderr, told.as_bytes());
            }
            demanded => demanded?,
        }
        if !is_back {
            promoted.insert(target.clone(), (scope.run.clone(), to.clone()));
        }
        Ok(())
    }
}
