//! All sessions of a run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use deploy_core::{
    backend::{BackendError, Scope},
    model::Target,
};

use super::{
    captured::Output,
    config::SshConfig,
    dial::{DialError, Dialed},
    host::Session,
    road::Roads,
    script::Script,
};

/// All sessions of a run, by target: one connection each, opened at first use.
///
/// Cheap to clone; clones share everything. Must be used within a tokio runtime with I/O and time
/// enabled.
#[derive(Debug, Clone)]
pub struct Sessions {
    roads: Arc<Roads>,
    open: Arc<Mutex<HashMap<Target, Session>>>,
}

impl Sessions {
    /// No session yet. Nothing is read or connected before the first use.
    pub fn new(config: SshConfig) -> Self {
        Self { roads: Arc::new(Roads::new(config)), open: Arc::default() }
    }

    /// The session with `target`. Connects to nothing.
    pub fn session(&self, target: &Target) -> Session {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Session::new(target.clone(), self.roads.clone());
        open.entry(target.clone()).or_insert_with(new).clone()
    }

    /// Whether `target` is this machine, and needs no login.
    pub(crate) fn is_local(&self, target: &Target) -> bool {
        self.roads.config().is_local(target)
    }

    /// Runs `script` on `target`; see [`Session::run`].
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn run(
        &self,
        target: &Target,
        script: &Script,
        scope: &Scope,
    ) -> Result<Output, BackendError> {
        self.session(target).run(script, scope).await
    }

    /// Opens a stream to `host` and `port` as `target` sees them; see [`Session::dial`].
    ///
    /// # Errors
    /// As [`Session::dial`].
    pub async fn dial(
        &self,
        target: &Target,
        host: &str,
        port: u16,
        scope: &Scope,
    ) -> Result<Dialed, DialError> {
        self.session(target).dial(host, port, scope).await
    }

    /// Closes all connections whose steps have ended; the others close when theirs have.
    pub async fn close(&self) {
        let sessions: Vec<Session> = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.drain().map(|(_, session)| session).collect()
        };
        for session in sessions {
            session.close().await;
        }
        self.roads.close().await;
    }
}
