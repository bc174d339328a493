//! A transport around another: all goes as before, and each switch is told to somebody.
//!
//! This is how a site adds to a transport without changing it: by holding it, and by keeping its
//! promises. What is told may be told twice, since a switch may be repeated.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Closing, Live, Scope, Transport},
    model::{Release, Target, Version},
    plan::Change,
};

/// Who is told: the target, and what it serves now.
pub type Tell = Arc<dyn Fn(&Target, Option<&Release>) + Send + Sync>;

/// Tells of each switch that another transport makes.
pub struct Told<T> {
    inner: T,
    tell: Tell,
}

impl<T> Told<T> {
    /// Tells `tell` of each switch of `inner`.
    pub fn new(inner: T, tell: Tell) -> Self {
        Self { inner, tell }
    }
}

impl<T: fmt::Debug> fmt::Debug for Told<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl<T: Transport> Transport for Told<T> {
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError> {
        self.inner.release(target, version)
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        self.inner.live(target, scope).await
    }

    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.inner.fetch(target, change, scope).await
    }

    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.inner.promote(target, change, scope).await?;
        (self.tell)(target, change.to.as_ref());
        Ok(())
    }

    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.inner.finalize(target, closing, scope).await
    }
}
