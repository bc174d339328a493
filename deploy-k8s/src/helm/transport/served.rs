//! Which release a target serves, by what helm and the record tell.

use deploy_core::{
    backend::{BackendError, ErrorKind, Good, Transport},
    model::{Release, ReleaseId, Target},
    record::RunId,
};

use super::{HelmTransport, way::is_ours_alone};
use crate::{
    helm::running::{Deployed, Running},
    image::Image,
    record::Record,
};

/// What the id of a release begins with that is there in part.
const TORN: &str = "torn:";

impl HelmTransport {
    /// The release that is deployed: as it is remembered, or by the tag that it was given.
    pub(super) fn served(
        &self,
        target: &Target,
        running: &Running,
        record: &Record,
    ) -> Result<Option<Release>, BackendError> {
        let Some(deployed) = &running.deployed else { return Ok(None) };
        let place = self.place(target)?;
        if let Some(known) = deployed.id.as_ref().and_then(|id| record.release(id)) {
            return Ok(Some(known.clone()));
        }
        let Some(tag) = deployed.revision.tag(&place.chart) else { return Ok(None) };
        let numbers = [deployed.origin, deployed.revision.number];
        let known = numbers.iter().find_map(|it| record.release(record.revisions.get(it)?));
        if let Some(known) = known.filter(|it| Deployed::is_of_tag(&tag, it)) {
            return Ok(Some(known.clone()));
        }
        let version = Image::parse(&format!("{}:{tag}", self.image)).version();
        version.map(|version| self.release(target, &version)).transpose()
    }
}

/// What stands for a target where a part of another revision may be: the release that is deployed, but not as
/// a whole; where nothing is deployed, the one that a run of ours began.
pub(super) fn torn(
    whole: Option<&Release>,
    (running, record): (&Running, &Record),
) -> Result<Option<Release>, BackendError> {
    let begun = || {
        let serving = record.serving.as_ref().filter(|_| running.deployed.is_none());
        serving.filter(|_| is_ours_alone(record, running)).map(|serving| &serving.release)
    };
    whole.or_else(begun).map(in_part).transpose()
}

/// `release`, in part.
fn in_part(release: &Release) -> Result<Release, BackendError> {
    let id = ReleaseId::new(format!("{TORN}{}", release.id)).map_err(|error| {
        BackendError::new(ErrorKind::Broken, "tell what is there in part").with_source(error)
    })?;
    Ok(Release { id, version: release.version.clone() })
}

/// Whether a plan that was made for `from` was made for a target of which `whole` is deployed, be it whole
/// or not: what was torn may be repaired by now, and what was whole may be torn by the attempt before.
pub(super) fn is_planned_for(from: Option<&Release>, whole: Option<&Release>) -> bool {
    let Some(from) = from else { return whole.is_none() };
    match (from.id.as_str().strip_prefix(TORN), whole) {
        (None, whole) => whole == Some(from),
        (Some(id), Some(whole)) => whole.id.as_str() == id,
        (Some(_), None) => true,
    }
}

/// Whether nobody of us has deployed yet, and somebody else has: what is there is what one goes back to.
pub(super) fn is_first(record: &Record, running: &Running) -> bool {
    let is_unknown = record.serving.is_none() && record.good.is_empty() && record.origin.is_none();
    let is_others = running.deployed.as_ref().is_some_and(|it| it.id.is_none());
    is_unknown && is_others && !is_ours_alone(record, running)
}

/// What was deployed before the first deploy, as if it had been one.
pub(super) fn found(release: &Release, running: &Running) -> Result<Good, BackendError> {
    let run = RunId::new("found").map_err(|error| {
        BackendError::new(ErrorKind::Broken, "take what is deployed for good").with_source(error)
    })?;
    let at = running.deployed.as_ref().and_then(|it| it.revision.info.last_deployed);
    let (by, at) = ("what was there".to_owned(), at.unwrap_or_default());
    Ok(Good { release: release.clone(), run, by, at, present: true })
}

#[cfg(test)]
mod tests {
    use deploy_core::model::Version;

    use super::*;

    #[test]
    fn what_is_there_in_part_is_another_release_that_plans_still_fit() {
        let release = |id: &str| {
            let version = Version { id: id.parse().unwrap(), name: None };
            Release { id: id.parse().unwrap(), version }
        };
        let (one, other) = (release("a-1"), release("b-2"));
        let part = in_part(&one).unwrap();
        assert_ne!(part, one);
        for (from, whole, fits) in [
            (Some(&one), Some(&one), true),
            (Some(&part), Some(&one), true),
            (Some(&part), None, true),
            (None, None, true),
            (Some(&part), Some(&other), false),
            (Some(&one), Some(&other), false),
            (Some(&one), None, false),
            (None, Some(&one), false),
        ] {
            assert_eq!(is_planned_for(from, whole), fits, "{from:?} {whole:?}");
        }
    }
}
