//! What runs of a release, as helm's history tells.

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope},
    model::{Release, ReleaseId},
};
use jiff::Timestamp;
use kube::Client;

use super::{
    history::{self, History, Revision},
    place::HelmPlace,
};
use crate::image::Image;

/// What a description of ours begins with.
const OURS: &str = "deploy ";
/// What helm describes a rollback with.
const ROLLBACK: &str = "Rollback to ";
/// How many rollbacks are followed to what they went back to.
const FOLLOWED: usize = 16;

/// What runs.
pub(super) struct Running {
    pub history: History,
    pub deployed: Option<Deployed>,
    /// When the release was installed first.
    pub began: Option<Timestamp>,
}

/// The revision that is deployed.
pub(super) struct Deployed {
    pub revision: Revision,
    /// The revision that it is the same as: the one that was rolled back to, else itself.
    pub origin: u32,
    /// The release that it is, where it is described as one of ours.
    pub id: Option<ReleaseId>,
}

/// How we describe the revision that is `release`.
pub(super) fn description(release: &Release, scope: &Scope) -> String {
    format!("{OURS}{} run {} by {}", release.id, scope.run, scope.who)
}

/// The release that a revision so described is.
fn id_in(description: &str) -> Option<ReleaseId> {
    let id = description.strip_prefix(OURS)?.split(' ').next()?;
    ReleaseId::new(id).ok()
}

/// The revision that a revision so described went back to.
fn way_back(description: &str) -> Option<u32> {
    description.strip_prefix(ROLLBACK)?.parse().ok()
}

/// The release that a revision is, where it is described as one of ours.
///
/// # Errors
/// As [`history::revision`].
pub(super) async fn id_of(
    (client, place): (&Client, &HelmPlace),
    number: u32,
    scope: &Scope,
    attempted: &str,
) -> Result<Option<ReleaseId>, BackendError> {
    let release = (place.namespace.as_str(), place.release.as_str());
    let read = history::revision(client, release, number, scope, attempted).await;
    match read {
        // helm keeps ten of them.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => Ok(id_in(&read?.info.description)),
    }
}

impl Running {
    /// Asks the cluster.
    ///
    /// # Errors
    /// As any call; `Broken` when a revision is not as helm writes it.
    pub(super) async fn read(
        client: &Client,
        place: &HelmPlace,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Self, BackendError> {
        let release = (place.namespace.as_str(), place.release.as_str());
        let history = history::history(client, release, scope, attempted).await?;
        let Some(number) = history.deployed() else {
            let newest = history.revisions.last().map(|(number, _)| *number);
            let began = match newest {
                Some(newest) => {
                    let read = history::revision(client, release, newest, scope, attempted).await;
                    match read {
                        // It went away meanwhile.
                        Err(error) if error.kind() == ErrorKind::NotFound => None,
                        read => read?.info.first_deployed,
                    }
                }
                None => None,
            };
            return Ok(Self { history, deployed: None, began });
        };
        let revision = history::revision(client, release, number, scope, attempted).await?;
        let mut told = revision.info.description.clone();
        let mut origin = number;
        for _ in 0..FOLLOWED {
            let Some(earlier) = way_back(&told).filter(|earlier| history.has(*earlier)) else {
                break;
            };
            let revision = history::revision(client, release, earlier, scope, attempted).await?;
            (told, origin) = (revision.info.description, earlier);
        }
        let began = revision.info.first_deployed;
        let deployed = Deployed { revision, origin, id: id_in(&told) };
        Ok(Self { history, deployed: Some(deployed), began })
    }

    /// Whether what is there may be a part of a revision that failed.
    pub(super) fn is_torn(&self) -> bool {
        self.history.failed().is_some()
    }
}

impl Deployed {
    /// Whether it is `release`: by its description; where that is not ours, by the tag that it was given.
    pub(super) fn is(&self, release: &Release, place: &HelmPlace) -> bool {
        match &self.id {
            Some(id) => *id == release.id,
            None => {
                let tag = self.revision.tag(&place.chart);
                tag.is_some_and(|tag| Self::is_of_tag(&tag, release))
            }
        }
    }

    /// Whether a release is of this tag.
    pub(super) fn is_of_tag(tag: &str, release: &Release) -> bool {
        let tag = Some(tag.to_owned());
        Image { name: String::new(), tag, digest: None }.is_of(&release.version)
    }

    /// It, in a sentence.
    pub(super) fn told(&self) -> String {
        let Revision { number, info, .. } = &self.revision;
        let since = info.last_deployed.map(moment).unwrap_or_default();
        format!("the revision {number} ({:?}{since})", info.description)
    }
}

/// Since when, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    format!(", {}", at.strftime("%Y-%m-%d %H:%M:%S UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_tell_what_a_revision_is() {
        let id = |text: &str| id_in(text).map(|id| id.to_string());
        assert_eq!(id("deploy 0101-0202 run r1 by ann").as_deref(), Some("0101-0202"));
        assert_eq!((id("Upgrade complete"), id("deploy ")), (None, None));
        assert_eq!(way_back("Rollback to 7"), Some(7));
        assert_eq!((way_back("Rollback to it"), way_back("Upgrade complete")), (None, None));
    }
}
