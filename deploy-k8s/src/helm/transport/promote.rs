//! A release brought to what it is to be, if it still is what the plan was made for.

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Serving},
    model::Release,
    plan::{Change, Work},
};
use jiff::Timestamp;
use kube::Client;

use super::{HelmTransport, served, way::Way};
use crate::{
    helm::{history, place::HelmPlace, running::Running},
    record::{Operation, RecordPlace},
};

impl HelmTransport {
    /// Brings the release that is claimed to `change.to`.
    ///
    /// # Errors
    /// `Conflict` when it is not what the plan was made for; `Rejected` with what helm said.
    pub(super) async fn bring(
        &self,
        place: &HelmPlace,
        change: &Change,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let (target, to) = (&change.target, change.to.as_ref());
        let client = place.cluster.client(scope).await?;
        let record = self.record(&client, place);
        if let Work::Operate(_) = change.work {
            let running = Running::read(&client, place, scope, attempted).await?;
            let stored = record.read(scope, attempted).await?;
            let whole = self.served(target, &running, &stored.record)?;
            let is_kept = served::is_planned_for(change.from.as_ref(), whole.as_ref());
            return if is_kept { Ok(()) } else { Err(changed(whole, &running, attempted)) };
        }
        let running = self.at_rest((target, place), (&client, &record), scope, attempted).await?;
        let stored = record.read(scope, attempted).await?;
        let whole = self.served(target, &running, &stored.record)?;
        let is_torn = running.is_torn();
        if to.is_some() && whole.as_ref() == to && !is_torn {
            return Ok(());
        }
        let is_planned = served::is_planned_for(change.from.as_ref(), whole.as_ref());
        let way = match to {
            Some(_) if !is_planned && whole.as_ref() != to => {
                Err(changed(whole, &running, attempted))
            }
            Some(to) => {
                let known = (&running, &stored.record);
                self.way((target, place), &client, known, to, scope, attempted).await
            }
            None => match self.way_to_nothing(place, &running, &stored, attempted) {
                Ok(Way::Stay) => Ok(Way::Stay),
                _ if !is_planned && !is_torn => Err(changed(whole, &running, attempted)),
                way => way,
            },
        }?;
        if way == Way::Stay {
            return Ok(());
        }
        // A revision that was good is gone back to whatever its tag means by now.
        if let (Some(to), Some(tags), Way::Upgrade) = (to, &self.tags, way) {
            tags.demand_last((target, &self.image), to, scope, attempted).await?;
        }
        self.begin((place, to), (&running, &record), way, scope, attempted).await?;
        let done = match (way, to) {
            (Way::Upgrade, Some(to)) => {
                self.apply((target, place), to, false, scope, attempted).await.map(drop)
            }
            _ => self.go((target, place), way, scope, attempted).await,
        };
        let next = running.history.next();
        match (done, to) {
            (Ok(()), Some(to)) if !place.chart.describes() => {
                let record = (&client, &record);
                self.remember_revision(record, place, to, scope, attempted).await
            }
            // It ended by itself: whatever is pending then is not ours.
            (Err(error), _) if error.kind() == ErrorKind::Rejected => {
                self.end((&client, &record), place, next, scope, attempted).await?;
                Err(Self::explained(error, &client, place, next, scope).await)
            }
            (Ok(()), None) if way == Way::Uninstall => {
                record.change(scope, attempted, |stored| stored.record.install = None).await
            }
            (done, _) => done,
        }
    }

    /// Remembers what is about to be done.
    async fn begin(
        &self,
        (place, to): (&HelmPlace, Option<&Release>),
        (running, record): (&Running, &RecordPlace),
        way: Way,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let next = running.history.next();
        let operation = Operation::of(next, scope);
        let serving = to.map(|to| Serving {
            release: to.clone(),
            since: Some(Timestamp::now()),
            by: Some(scope.who.clone()),
            run: Some(scope.run.clone()),
        });
        // A rollback cannot be described.
        let undescribed =
            to.filter(|_| matches!(way, Way::Rollback(_)) || !place.chart.describes());
        record
            .change(scope, attempted, |stored| {
                let record = &mut stored.record;
                record.serving = serving.clone();
                record.operation = Some(operation.clone());
                if running.history.revisions.is_empty() {
                    record.install = Some(operation.clone());
                }
                record.revisions.retain(|number, _| running.history.has(*number));
                if let Some(to) = undescribed {
                    record.revisions.insert(next, to.id.clone());
                }
            })
            .await
    }

    /// Forgets the operation that has ended, and what it was to make, where it has not.
    async fn end(
        &self,
        (client, record): (&Client, &RecordPlace),
        place: &HelmPlace,
        next: u32,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let release = (place.namespace.as_str(), place.release.as_str());
        let history = history::history(client, release, scope, attempted).await?;
        record
            .change(scope, attempted, |stored| {
                let record = &mut stored.record;
                record.operation = None;
                if !history.has(next) {
                    record.revisions.remove(&next);
                }
                if history.revisions.is_empty() {
                    record.install = None;
                }
            })
            .await
    }
}

/// The error for a release that is something that the plan does not know of (rule 12).
fn changed(whole: Option<Release>, running: &Running, attempted: &str) -> BackendError {
    let what = whole.map_or_else(|| "nothing".into(), |it| it.to_string());
    let told = running.deployed.as_ref().map(|it| it.revision.info.description.as_str());
    BackendError::new(ErrorKind::Conflict, attempted)
        .with_source(format!("changed meanwhile to {what:?} ({})", told.unwrap_or_default()))
        .with_hint("plan again")
}
