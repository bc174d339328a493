//! How a version comes onto a target.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BackendError, Scope};
use crate::{
    model::{Release, Target, Version},
    plan::{Change, Noun},
    record::RunId,
};

/// Brings versions onto targets.
///
/// One value serves many targets at once; what belongs to one call comes as [`Scope`].
///
/// # Guarantees
/// Every method is idempotent: after a lost answer it may be called again with the same arguments
/// and a higher `scope.attempt`. A future that is dropped may leave work running on the target; the
/// next call on the same target must cope with that.
///
/// # Errors
/// [`ErrorKind::Unreachable`](super::ErrorKind::Unreachable) only when nothing was begun;
/// [`ErrorKind::Lost`](super::ErrorKind::Lost) or `TimedOut` when it is unknown how far it came.
///
/// # How to implement it
/// 1. Decide what names a release: the version's id, and a digest of whatever else decides what is
///    served. [`release`](Self::release) computes it without asking anybody.
/// 2. Keep releases beside each other, each under its id, and let one link, or one field, say which
///    is live. `fetch` makes a release under another name and gives it its own as the last step, so
///    that what a crash leaves is never taken for whole. `promote` changes the one link.
/// 3. Let each call that changes something begin with the claim: made where there is none, ours
///    already, taken over from a run that is proven dead, or else `Claimed`. Make it with one step
///    that fails when it exists (`link`, `O_EXCL`, a conditional write).
/// 4. Keep a list of what is good, newest first; only `finalize` with `closing.good` adds to it.
/// 5. Answer each error with its [`ErrorKind`](super::ErrorKind): the engine repeats `Unreachable`
///    and `Lost`, probes after `Lost` and `TimedOut`, and takes the rest at its word.
/// 6. End before `scope.deadline`, and soon after `scope.cancel`, whatever the target does.
/// 7. Run [`testing::conformance`](crate::testing::conformance) against it.
///
/// Mistakes that the suite finds: a promote that forgets to compare with `change.from`; a repeat
/// that fails since all is done already; a late call of a dead run that takes the target back; an
/// incomplete release that counts as fetched; pruning what is live.
///
/// `examples/custom_transport.rs` is a whole one. A transport may hold another, as in
/// `examples/outside`.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// The release that `version` is on `target`: the version together with a digest of whatever
    /// else decides what is served there (rule 3). Pure: asks nobody, and always answers the same
    /// for the same transport.
    ///
    /// # Errors
    /// `Rejected` when this version cannot be served on this target.
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError>;

    /// What its targets are called, for people.
    fn noun(&self) -> Noun {
        Noun::Host
    }

    /// Asks what `target` serves, what is good there, who claims it and what it lacks.
    ///
    /// # Guarantees
    /// Changes nothing on the target. Cancel-safe.
    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError>;

    /// Puts `change.to` beside the live release, whole and verified, and claims the target for
    /// `scope.run` with the first thing it writes (design: claim).
    ///
    /// # Guarantees
    /// What the target serves does not change. A release counts as fetched only when it is
    /// complete; leftovers of a crashed run are cleaned and never trusted. When `change.to` is
    /// `None` there is nothing to do.
    ///
    /// # Errors
    /// `Claimed` when another run, not known to be dead, holds the target.
    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError>;

    /// Makes `change.to` what the target serves, in one atomic step; `None` means nothing.
    ///
    /// # Guarantees
    /// Conditional (rule 12): only when the target serves `change.from`. When it already serves
    /// `change.to` the answer is `Ok` and nothing is switched. A damaged `change.to` that was
    /// served before is rebuilt first. In any case the target is held for `scope.run`, as by
    /// `fetch`: services are operated under a promote to what is served already.
    ///
    /// # Errors
    /// `Conflict` when the target serves something else: names what, and by whom. `Claimed` when
    /// another run, not known to be dead, holds the target: it may have taken over from this one.
    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError>;

    /// Ends the run on `target`: marks what became good, prunes, and gives up the claim.
    ///
    /// # Guarantees
    /// Prunes only releases that the target's own state lists or that bear our mark, never the live
    /// one, nor the way back, nor one in use (rule 22); and only when `closing.good` is given.
    /// Succeeds when there is nothing to do.
    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError>;
}

/// What a target answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// What it serves; `None` on a fresh target.
    pub serving: Option<Serving>,
    /// The versions that once finished here, newest first.
    pub good: Vec<Good>,
    /// Who holds it, if anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Whether it serves something that is not ours: what another tool or a person put there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// Whether a part of something else may be there: a promote failed half-way. What it serves is then told
    /// as a release of its own, so that whatever is deployed next is brought there as a whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub torn: bool,
    /// What it lacks to be deployed to: each a phrase that says what to do. A target that lacks
    /// something fails its preflight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// What else is worth telling a person: a file that somebody changed, an odd clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What is as it should be, for whoever wants to know more: how unchanged files come along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Live {
    /// The release it serves.
    pub fn release(&self) -> Option<&Release> {
        self.serving.as_ref().map(|serving| &serving.release)
    }

    /// Whether `release` once finished here.
    pub fn is_good(&self, release: &Release) -> bool {
        self.good.iter().any(|good| good.release == *release)
    }

    /// Whether what it serves became good after it was last promoted. After a way back it did not,
    /// and then its services may not use it: the way back may have failed at their restart.
    pub fn is_settled(&self) -> bool {
        let Some(serving) = &self.serving else { return false };
        let good = self.good.iter().find(|good| good.release == serving.release);
        good.is_some_and(|good| serving.since.is_none_or(|since| good.at >= since))
    }

    /// The last good release that is not live, with its files still present.
    pub fn last_good_not_live(&self) -> Option<&Release> {
        let live = self.release();
        self.good
            .iter()
            .find(|good| good.present && Some(&good.release) != live)
            .map(|good| &good.release)
    }
}

/// What a target serves, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    /// The release.
    pub release: Release,
    /// When it was promoted, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Who promoted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// In which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// A version that once finished on a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Good {
    /// The release.
    pub release: Release,
    /// The run that finished with it.
    pub run: RunId,
    /// Who ran it.
    pub by: String,
    /// When it finished.
    pub at: Timestamp,
    /// Whether its files are still there, so that it can be gone back to.
    pub present: bool,
}

/// A run's hold on a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The run that holds it.
    pub run: RunId,
    /// Who runs it.
    pub who: String,
    /// Since when.
    pub since: Timestamp,
    /// What is known of that run.
    pub standing: Standing,
}

/// What is known of the run that holds a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is the asking run itself.
    Ours,
    /// It is proven dead: its process, on this machine and in this boot, is gone. It may be taken
    /// over.
    Dead,
    /// It may be alive: only `unlock` removes it.
    Foreign,
}

/// How a run ends on a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Closing {
    /// The release that became good; `None` when the run marks nothing good here.
    pub good: Option<Release>,
    /// Where the target goes back to from `good`: spared by pruning.
    pub back: Option<Release>,
}
