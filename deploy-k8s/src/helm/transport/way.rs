//! By which way a release comes to what it is to be: a revision that helm still has, or the chart.

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Transport},
    model::{Release, Target},
};
use kube::Client;

use super::{HelmTransport, pending::is_near};
use crate::{
    failure::Effect,
    helm::{
        place::HelmPlace,
        running::{self, Running},
    },
    record::{Record, Stored},
};

/// By which way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::helm) enum Way {
    /// The chart and the values of today are given the tag.
    Upgrade,
    /// helm makes a revision again that it still has: what ran, and not what today's chart makes of it.
    Rollback(u32),
    /// What a run of ours has begun, where nothing was, is taken away.
    Uninstall,
    /// There is nothing, and so it stays.
    Stay,
}

impl HelmTransport {
    /// The way to `to`.
    ///
    /// # Errors
    /// `Rejected` where what `to` was is not known any more; else as any call.
    pub(in crate::helm) async fn way(
        &self,
        (target, place): (&Target, &HelmPlace),
        client: &Client,
        (running, record): (&Running, &Record),
        to: &Release,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Way, BackendError> {
        let deployed = running.deployed.as_ref();
        if deployed.is_some_and(|it| running.is_torn() && it.id.as_ref() == Some(&to.id)) {
            return Ok(deployed.map_or(Way::Upgrade, |it| Way::Rollback(it.revision.number)));
        }
        let is_good = record.good.iter().any(|good| good.release.id == to.id);
        let known = match is_good {
            true => {
                self.revision_of((place, client), (running, record), to, scope, attempted).await?
            }
            false => None,
        };
        if let Some(number) = known {
            return Ok(Way::Rollback(number));
        }
        // helmfile makes no revision where nothing changes: then one is several releases.
        let is_same = || {
            let tag = deployed.and_then(|it| it.revision.tag(&place.chart));
            !place.chart.describes() && tag.is_some() && tag == self.tag(to, attempted).ok()
        };
        if self.release(target, &to.version)?.id == to.id || is_same() {
            return Ok(Way::Upgrade);
        }
        let HelmPlace { namespace, release, .. } = place;
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source(format!(
                "helm's history of {release} has {to} no more, and the chart or its values have \
                 changed since: what ran then is not known"
            ))
            .with_hint(format!(
                "check out the chart as it was and deploy {to}; or look for a revision: \
                 helm history {release} --namespace {namespace}"
            )))
    }

    /// The newest whole revision that is `to`.
    async fn revision_of(
        &self,
        (place, client): (&HelmPlace, &Client),
        (running, record): (&Running, &Record),
        to: &Release,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Option<u32>, BackendError> {
        for number in running.history.whole() {
            if record.revisions.get(&number) == Some(&to.id) {
                return Ok(Some(number));
            }
            let at = (client, place);
            if running::id_of(at, number, scope, attempted).await?.as_ref() == Some(&to.id) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// The way to what was there before the first deploy. Nothing is taken away but what a run of ours has
    /// made where nothing was.
    ///
    /// # Errors
    /// `Rejected` where it is not known what was there.
    pub(super) fn way_to_nothing(
        &self,
        place: &HelmPlace,
        running: &Running,
        stored: &Stored,
        attempted: &str,
    ) -> Result<Way, BackendError> {
        let record = &stored.record;
        if running.history.revisions.is_empty() {
            return Ok(Way::Stay);
        }
        if is_ours_alone(record, running) {
            return Ok(Way::Uninstall);
        }
        let origin = record.origin.as_ref().and_then(|origin| origin.parse().ok());
        if let Some(origin) =
            origin.filter(|origin| running.history.whole().any(|it| it == *origin))
        {
            let is_there = running.deployed.as_ref().is_some_and(|it| it.origin == origin);
            return Ok(if is_there && !running.is_torn() {
                Way::Stay
            } else {
                Way::Rollback(origin)
            });
        }
        let HelmPlace { namespace, release, .. } = place;
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source(format!(
                "helm had {release} before the first deploy, and which revision that was is not known: \
                 nothing is uninstalled"
            ))
            .with_hint(format!(
                "look at `helm history {release} --namespace {namespace}`, and go back by `helm rollback`"
            )))
    }

    /// Goes a way that is no upgrade.
    ///
    /// # Errors
    /// As [`Helm::run`](crate::helm::command::Helm::run).
    pub(super) async fn go(
        &self,
        (target, place): (&Target, &HelmPlace),
        way: Way,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let words = match way {
            Way::Rollback(number) => {
                vec!["rollback".to_owned(), place.release.clone(), number.to_string()]
            }
            Way::Uninstall => vec!["uninstall".to_owned(), place.release.clone()],
            Way::Upgrade | Way::Stay => return Ok(()),
        };
        self.helm.run((target, place), &words, Effect::Changes, scope, attempted).await.map(drop)
    }
}

/// Whether all of the release began with an install by a run of ours, where helm knew of nothing.
pub(super) fn is_ours_alone(record: &Record, running: &Running) -> bool {
    let began = running.began;
    record.install.as_ref().is_some_and(|install| began.is_some() && is_near(install.at, began))
}
