//! One connection that many want, made by the first.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;

use super::{driver::Connection, error::ConnectError};

/// Holds a connection, and makes a new one when it is lost.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    tries: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Arc<Connection>>,
    failed: Option<ConnectError>,
}

impl Slot {
    /// The connection; made with `connect` when there is none that is `usable`.
    ///
    /// Those who wait while somebody else tries share a failure: a hundred targets behind a jump
    /// host that is down wait for it once.
    pub(crate) async fn get(
        &self,
        usable: impl Fn(&Connection) -> bool,
        connect: impl Future<Output = Result<Connection, ConnectError>>,
    ) -> Result<Arc<Connection>, ConnectError> {
        let seen = self.tries.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(connection) = state.connection.as_ref().filter(|c| usable(c)) {
            return Ok(connection.clone());
        }
        if let Some(failed) = state.failed.as_ref()
            && self.tries.load(Ordering::Acquire) != seen
        {
            return Err(failed.clone());
        }
        state.connection = None;
        let result = connect.await.map(Arc::new);
        self.tries.fetch_add(1, Ordering::Release);
        state.failed = result.as_ref().err().cloned();
        state.connection = result.as_ref().ok().cloned();
        result
    }

    /// Lets go of the connection.
    pub(crate) async fn clear(&self) {
        self.state.lock().await.connection = None;
    }
}
