//! The one function around every call of a backend: retry, deadline, cancel, and panics.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    backend::{BackendError, Cancel, ErrorKind, OutputSink, Scope},
    plan::{Retry, Stage},
    record::RunId,
};

/// How long a call may go on after its deadline or the order to give up, to kill what it began and
/// to say what it knows. Then it is dropped, and its outcome is unknown.
const GRACE: Duration = Duration::from_secs(5);

/// Longer than any run, and short enough to be added to the time of any clock.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The moment so long from now. A time that no clock reaches, as a configuration may have it, is a
/// year.
pub(super) fn from_now(time: Duration) -> Instant {
    Instant::now() + time.min(FAR)
}

/// What belongs to all calls of a run.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) run: RunId,
    pub(super) who: String,
    pub(super) retry: Retry,
    pub(super) output: Arc<dyn OutputSink>,
}

/// What belongs to one call, all its attempts together.
pub(super) struct Call<'a> {
    pub(super) caller: &'a Caller,
    pub(super) stage: Stage,
    /// How long all attempts together may take.
    pub(super) within: Duration,
    /// Whether the target goes back.
    pub(super) rolling_back: bool,
    /// Ends the call at once.
    pub(super) kill: &'a Cancel,
    /// Keeps a further attempt from starting.
    pub(super) halt: &'a Cancel,
    /// Whether a transient failure is repeated.
    pub(super) repeat: bool,
    /// Is told each failure that is repeated.
    pub(super) told: &'a (dyn Fn(u32, &BackendError) + Sync),
}

/// Calls `act` until it succeeds, fails for good, or may not be repeated any more.
///
/// Of several failures the last is returned, with one exception: when an earlier attempt may have
/// taken effect and the last did not reach the target, the earlier one is. "Nothing was begun" is
/// true of the last attempt only.
pub(super) async fn attempt<T, F>(
    call: Call<'_>,
    mut act: impl FnMut(Scope) -> F,
) -> Result<T, BackendError>
where
    F: Future<Output = Result<T, BackendError>>,
{
    let deadline = from_now(call.within);
    let mut number = 1;
    let mut doubt: Option<BackendError> = None;
    loop {
        let scope = Scope {
            run: call.caller.run.clone(),
            who: call.caller.who.clone(),
            stage: call.stage,
            attempt: number,
            rolling_back: call.rolling_back,
            deadline,
            cancel: call.kill.child(),
            output: Arc::clone(&call.caller.output),
        };
        let error = match bounded(call.stage, deadline, call.kill, act(scope)).await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.kind() == ErrorKind::Unreachable => doubt.take().unwrap_or(error),
            Err(error) => error,
        };
        let wait = call.caller.retry.after(number).filter(|wait| from_now(*wait) < deadline);
        let (Some(wait), true, true) = (wait, call.repeat, error.kind().is_transient()) else {
            return Err(error);
        };
        if call.halt.is_cancelled() || call.kill.is_cancelled() {
            return Err(error);
        }
        (call.told)(number, &error);
        tokio::select! {
            () = sleep(wait) => number += 1,
            () = call.halt.cancelled() => return Err(error),
            () = call.kill.cancelled() => return Err(error),
        }
        doubt = Some(error).filter(|error| error.kind().is_uncertain());
    }
}

async fn bounded<T>(
    stage: Stage,
    deadline: Instant,
    kill: &Cancel,
    call: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    let mut call = pin!(guarded(call));
    let (kind, why) = tokio::select! {
        biased;
        answer = &mut call => return answer.unwrap_or_else(|panic| Err(panicked(stage, &panic))),
        () = kill.cancelled() => (ErrorKind::Cancelled, "told to stop, and gave no answer"),
        () = sleep_until(deadline) => (ErrorKind::TimedOut, "no answer within its time"),
    };
    match timeout(GRACE, call).await {
        Ok(answer) => answer.unwrap_or_else(|panic| Err(panicked(stage, &panic))),
        Err(_) => Err(BackendError::new(kind, stage.to_string()).with_source(why)),
    }
}

fn panicked(stage: Stage, panic: &Panic) -> BackendError {
    BackendError::new(ErrorKind::Broken, stage.to_string())
        .with_source(format!("panicked: {}", panic.0))
        .with_hint("this is a defect of the tool: please report it")
}

/// What a panic said.
pub(super) struct Panic(pub(super) String);

impl Panic {
    fn of(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "without a message".to_owned()))
    }
}

/// Runs `future`, and turns a panic in it into a value: one target's panic is that target's
/// failure. The future is not polled again after it panicked.
pub(super) async fn guarded<T>(future: impl Future<Output = T>) -> Result<T, Panic> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(payload) => Poll::Ready(Err(Panic::of(payload.as_ref()))),
    })
    .await
}
