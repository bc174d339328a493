//! Whether a host is healthy: its service, a port, HTTP, a command, a script of the release, a
//! command that NRPE knows, a log.
//!
//! What each check does exactly is told in `docs/health.md`.

mod command;
mod http;
mod log;
mod nrpe;
mod pattern;
mod port;
mod service;
mod url;

use std::time::Duration;

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use tokio::time::Instant;

pub(crate) use command::told;
use command::too_late;
pub use command::{CommandCheck, ScriptCheck, ScriptPathError};
pub use http::{
    Authorities, AuthoritiesError, HttpCheck, HttpExpectation, HttpFrom, HttpHeader,
    HttpHeaderError, HttpMethod, HttpMethodError, HttpRequest, JsonPlace, JsonPlaceError,
};
pub use log::{LogCheck, LogSource, LogSourceError, LogWish};
pub use nrpe::{NrpeCheck, NrpeCommand, NrpeCommandError};
pub use pattern::{Pattern, PatternError};
pub use port::PortCheck;
pub use service::ServiceCheck;
pub use url::{CheckUrl, CheckUrlError};

/// How long one attempt to get an answer over the network may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The same scope with a deadline for one attempt, a little before the check's own, so that there
/// is time to say what was seen.
fn one_attempt(scope: &Scope) -> Scope {
    let spare = scope.remaining() / 20;
    let deadline = (scope.deadline - spare).min(Instant::now() + ATTEMPT);
    Scope { deadline, ..scope.clone() }
}

/// Waits for `ask` until the attempt's deadline; `None` when that passed.
async fn within<T>(
    attempt: &Scope,
    attempted: &str,
    ask: impl Future<Output = T>,
) -> Result<Option<T>, BackendError> {
    tokio::select! {
        answer = ask => Ok(Some(answer)),
        () = tokio::time::sleep_until(attempt.deadline) => Ok(None),
        () = attempt.cancel.cancelled() => {
            Err(BackendError::new(ErrorKind::Cancelled, attempted))
        }
    }
}
