//! Operations of helm that were begun and have not ended: waited for, or repaired.

use std::{fmt, time::Duration};

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope},
    model::Target,
};
use jiff::{SignedDuration, Timestamp};
use kube::Client;

use super::{
    HelmTransport,
    way::{Way, is_ours_alone},
};
use crate::{
    helm::{
        history,
        place::HelmPlace,
        running::{Running, moment},
    },
    record::{Operation, Record, RecordPlace},
};

/// How often it is looked whether an operation of somebody else has ended.
const LOOK: Duration = Duration::from_secs(1);
/// How long before the end of its time a call gives up waiting, to say for whom.
const LAST: Duration = Duration::from_secs(2);
/// How far apart the words of a record and of helm about the begin of one operation may be.
const APART: SignedDuration = SignedDuration::from_mins(5);

/// An operation that was begun and has not ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pending {
    number: u32,
    status: String,
    description: String,
    since: Option<Timestamp>,
    /// The run of ours that began it.
    ours: Option<Operation>,
}

impl Pending {
    /// The one of the release at `place`, if there is one.
    ///
    /// # Errors
    /// As any call.
    pub(super) async fn read(
        client: &Client,
        place: &HelmPlace,
        (running, operation): (&Running, Option<&Operation>),
        scope: &Scope,
        attempted: &str,
    ) -> Result<Option<Self>, BackendError> {
        let Some((number, status)) = running.history.pending() else { return Ok(None) };
        let release = (place.namespace.as_str(), place.release.as_str());
        let read = history::revision(client, release, number, scope, attempted).await;
        let info = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?.info,
        };
        let since = info.last_deployed;
        let is_ours = |it: &&Operation| it.revision == number && is_near(it.at, since);
        let ours = operation.filter(is_ours).cloned();
        let (status, description) = (status.to_owned(), info.description);
        Ok(Some(Self { number, status, description, since, ours }))
    }

    /// Whether a run of ours began it.
    pub(super) fn is_ours(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether nobody is at work on it any more, as whoever has claimed the release can tell: a run of
    /// ours would have the claim, and of others nothing is known but that they take long.
    fn is_left(&self, now: Timestamp, stale_after: Duration) -> bool {
        let stale_after = SignedDuration::try_from(stale_after).unwrap_or(SignedDuration::MAX);
        self.ours.is_some() || self.since.is_none_or(|at| now.duration_since(at) > stale_after)
    }

    /// What a plan tells of it.
    pub(super) fn note(&self, stale_after: Duration) -> String {
        let then = match &self.ours {
            Some(_) => "a deploy that has claimed the release repairs it".to_owned(),
            None => format!(
                "it is at work or was broken off; a deploy waits for it, and repairs it when it is \
                 older than {} s",
                stale_after.as_secs()
            ),
        };
        format!("{self}: {then}")
    }
}

/// Whether helm began at `since` what a run was about to begin at `at`.
pub(super) fn is_near(at: Timestamp, since: Option<Timestamp>) -> bool {
    since.is_none_or(|since| since.duration_since(at).abs() <= APART)
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, status, description, .. } = self;
        let since = self.since.map(moment).unwrap_or_default();
        write!(f, "the revision {number} is {status} ({description:?}{since}), begun by ")?;
        match &self.ours {
            Some(Operation { run, by, .. }) => write!(f, "{by} in the run {run}"),
            None => f.write_str("somebody else's helm"),
        }
    }
}

impl HelmTransport {
    /// What runs, once no operation is under way: what was left behind is repaired, others are
    /// waited for. The release must be claimed.
    ///
    /// # Errors
    /// `Conflict` with who is at work when they do not end in time; else as any call.
    pub(super) async fn at_rest(
        &self,
        (target, place): (&Target, &HelmPlace),
        (client, record): (&Client, &RecordPlace),
        scope: &Scope,
        attempted: &str,
    ) -> Result<Running, BackendError> {
        loop {
            let running = Running::read(client, place, scope, attempted).await?;
            if running.history.pending().is_none() {
                return Ok(running);
            }
            let stored = record.read(scope, attempted).await?;
            let known = (&running, stored.record.operation.as_ref());
            let read = Pending::read(client, place, known, scope, attempted);
            let Some(pending) = read.await? else { continue };
            if pending.is_left(Timestamp::now(), self.stale_after) {
                let known = (&running, &stored.record, record);
                self.repair((target, place), known, scope, attempted).await?;
                continue;
            }
            if scope.remaining() <= LAST {
                return Err(BackendError::new(ErrorKind::Conflict, attempted)
                    .with_source(format!("{pending}, and has not ended"))
                    .with_hint("wait for it; what was broken off is repaired when it is old"));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = scope.cancel.cancelled() => {
                    return Err(BackendError::new(ErrorKind::Cancelled, attempted));
                }
            }
        }
    }

    /// Brings a release whose operation was broken off back to what is deployed.
    async fn repair(
        &self,
        (target, place): (&Target, &HelmPlace),
        (running, known, record): (&Running, &Record, &RecordPlace),
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let way = match running.history.deployed() {
            Some(deployed) => Way::Rollback(deployed),
            // It was never there as a whole.
            None if is_ours_alone(known, running) => Way::Uninstall,
            None => {
                let HelmPlace { namespace, release, .. } = place;
                return Err(BackendError::new(ErrorKind::Rejected, attempted)
                    .with_source(format!(
                        "an install of {release} was broken off, and no run has begun it: nothing is \
                         uninstalled"
                    ))
                    .with_hint(format!(
                        "if nobody is at work on it: helm uninstall {release} --namespace {namespace}"
                    )));
            }
        };
        let operation = Operation::of(running.history.next(), scope);
        let begin = record.change(scope, attempted, |stored| {
            stored.record.operation = Some(operation.clone());
        });
        begin.await?;
        self.go((target, place), way, scope, attempted).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(since: Option<Timestamp>, ours: Option<Operation>) -> Pending {
        let (status, description) = ("pending-upgrade".into(), "Preparing upgrade".into());
        Pending { number: 3, status, description, since, ours }
    }

    #[test]
    fn an_operation_is_left_behind_when_it_is_ours_or_old() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let grace = Duration::from_secs(600);
        let ours =
            Operation { revision: 3, run: "r1".parse().unwrap(), by: "ann".into(), at: at(1000) };
        for (since, ours, now, is_left) in [
            (Some(at(1000)), None, 1600, false),
            (Some(at(1000)), None, 1601, true),
            (Some(at(1000)), None, 900, false),
            (None, None, 0, true),
            (Some(at(1000)), Some(ours.clone()), 1001, true),
        ] {
            assert_eq!(pending(since, ours).is_left(at(now), grace), is_left, "{since:?} {now}");
        }
        let told = pending(Some(at(1000)), Some(ours)).note(grace);
        assert!(told.contains("by ann in the run r1"), "{told}");
        let told = pending(Some(at(1000)), None).note(grace);
        assert!(told.contains("1970-01-01 00:16:40 UTC") && told.contains("600 s"), "{told}");
    }

    #[test]
    fn a_record_and_helm_speak_of_one_operation_when_it_began_at_one_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(is_near(at(1000), Some(at(1003))) && is_near(at(1000), None));
        assert!(!is_near(at(1000), Some(at(1301))) && !is_near(at(1000), Some(at(600))));
    }
}
