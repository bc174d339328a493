//! What an API server's answers mean to the engine.

use std::{error::Error, future::Future};

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use kube::{client::AuthError, core::Status};

/// Whether a call changes something. What became of a change is unknown when its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Asks,
    Changes,
}

/// Waits for `call` as long as `scope` allows, and says what its failure means.
///
/// # Errors
/// `TimedOut` or `Cancelled` by the scope; else by [`of`].
pub(crate) async fn within<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
    effect: Effect,
    scope: &Scope,
    attempted: &str,
) -> Result<T, BackendError> {
    tokio::select! {
        answer = call => answer.map_err(|error| of(error, effect, attempted)),
        () = tokio::time::sleep_until(scope.deadline) => {
            Err(BackendError::new(ErrorKind::TimedOut, attempted)
                .with_source("the API server gave no answer in time"))
        }
        () = scope.cancel.cancelled() => Err(BackendError::new(ErrorKind::Cancelled, attempted)),
    }
}

/// The meaning of a failed call.
pub(crate) fn of(error: kube::Error, effect: Effect, attempted: &str) -> BackendError {
    if let kube::Error::Api(status) = &error {
        return refused(status, effect, attempted);
    }
    if let Some(auth) = auth(&error) {
        return denied(auth, None, attempted);
    }
    let kind = match (&error, effect) {
        (kube::Error::SerdeError(_) | kube::Error::FromUtf8(_), _) => ErrorKind::Broken,
        (_, Effect::Asks) => ErrorKind::Unreachable,
        (_, Effect::Changes) if is_unconnected(&error) => ErrorKind::Unreachable,
        (_, Effect::Changes) => ErrorKind::Lost,
    };
    // The innermost cause tells what happened; the others say that something did.
    let mut cause: &(dyn Error + 'static) = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    BackendError::new(kind, attempted).with_source(cause.to_string())
}

/// What went wrong with our credentials, where it was that.
pub(crate) fn auth(error: &kube::Error) -> Option<&AuthError> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(kube::Error::Auth(auth)) = cause.downcast_ref() {
            return Some(auth);
        }
        if let Some(auth) = cause.downcast_ref() {
            return Some(auth);
        }
        next = cause.source();
    }
    None
}

/// The error for credentials that could not be had, perhaps of `program`. What a program printed may
/// be a token, and what it was given too: neither is told.
pub(crate) fn denied(error: &AuthError, program: Option<&str>, attempted: &str) -> BackendError {
    let program = program.map(|name| format!(" ({name})")).unwrap_or_default();
    let program = format!("the program that gives its credentials{program}");
    let told = match error {
        AuthError::AuthExecRun { out, .. } => format!("{program} failed: {}", out.status),
        AuthError::AuthExecStart(error) => format!("{program} cannot be run: {error}"),
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) | AuthError::ExecPluginFailed => {
            format!("{program} gave none that can be read")
        }
        AuthError::AuthExec(_) | AuthError::AuthExecSerialize(_) => format!("{program} failed"),
        AuthError::ReadTokenFile(error, file) => {
            format!("the token in {} cannot be read: {error}", file.display())
        }
        _ => "its credentials in the kubeconfig cannot be used".to_owned(),
    };
    BackendError::new(ErrorKind::Denied, attempted).with_source(told).with_hint(CREDENTIALS)
}

const CREDENTIALS: &str = "its credentials in the kubeconfig may have expired: renew them";

fn refused(status: &Status, effect: Effect, attempted: &str) -> BackendError {
    let kind = match status.code {
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        // It was not begun: a list that changed while its pages were asked for and has to be begun anew,
        // too many requests, or nobody there to take them.
        410 | 429 | 503 => ErrorKind::Unreachable,
        500.. if effect == Effect::Changes => ErrorKind::Lost,
        500.. => ErrorKind::Unreachable,
        _ => ErrorKind::Rejected,
    };
    let told = match status.message.trim() {
        "" => format!("the API server answered {}", status.code),
        message => message.to_owned(),
    };
    let error = BackendError::new(kind, attempted).with_source(told);
    match status.code {
        401 => error.with_hint(CREDENTIALS),
        403 => error.with_hint("docs/kubernetes-rights.yaml has the least that a deployer needs"),
        404 => match missing_namespace(status) {
            Some(name) => {
                error.with_hint(format!("make it first: kubectl create namespace {name}"))
            }
            None => error,
        },
        _ => error,
    }
}

/// The namespace that is not there, where that is what is missing.
fn missing_namespace(status: &Status) -> Option<&str> {
    let details = status.details.as_ref().filter(|details| details.kind == "namespaces")?;
    Some(&details.name)
}

/// Whether it failed before anything could be sent.
fn is_unconnected(error: &kube::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(client) = cause.downcast_ref::<hyper_util::client::legacy::Error>() {
            return client.is_connect();
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: u16, effect: Effect) -> ErrorKind {
        let status = Status { code, message: "no".into(), ..Status::default() };
        of(kube::Error::Api(Box::new(status)), effect, "ask").kind()
    }

    #[test]
    fn answers_are_told_apart_by_what_they_leave() {
        use Effect::{Asks, Changes};
        for (code, effect, expected) in [
            (401, Asks, ErrorKind::Denied),
            (403, Changes, ErrorKind::Denied),
            (404, Asks, ErrorKind::NotFound),
            (409, Changes, ErrorKind::Conflict),
            (422, Changes, ErrorKind::Rejected),
            (410, Asks, ErrorKind::Unreachable),
            (429, Changes, ErrorKind::Unreachable),
            (500, Asks, ErrorKind::Unreachable),
            (500, Changes, ErrorKind::Lost),
            (503, Changes, ErrorKind::Unreachable),
            (504, Changes, ErrorKind::Lost),
        ] {
            assert_eq!(kind(code, effect), expected, "{code} {effect:?}");
        }
    }
}
