//! What every [`Transport`] promises, as tests that each backend runs against a target of its own.
//!
//! A backend's test suite implements [`Harness`] and calls [`all`], or each promise by itself. A
//! broken promise panics with what was expected.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    backend::{Cancel, Closing, Discard, ErrorKind, Live, Scope, Standing, Transport},
    model::{Release, Target, Version, VersionId},
    plan::{Change, Stage, Work},
    record::RunId,
};

/// What a backend's test suite provides.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The transport that is tested. It keeps `keep` good releases when it prunes.
    fn transport(&self) -> Arc<dyn Transport>;

    /// A target on which nothing was ever deployed, and that lacks nothing.
    async fn fresh(&self) -> Target;

    /// Four different versions, oldest first.
    fn versions(&self) -> [Version; 4];

    /// How many good releases a finalize keeps, the live one included: at least 1, at most 2, so
    /// that four versions make it prune.
    fn keep(&self) -> usize;

    /// A transport to the same targets, of a process that is proven dead, in which `run` was at
    /// work: what it does is what that run did before, or what of it comes late.
    fn dead(&self, run: &RunId) -> Arc<dyn Transport>;

    /// What `target` serves, found out without the transport; `None` when nothing.
    async fn served(&self, target: &Target) -> Option<VersionId>;

    /// Whether the files of `release` are on `target`, found out without the transport.
    async fn present(&self, target: &Target, release: &Release) -> bool;
}

/// Runs all promises, each on a fresh target.
pub async fn all(harness: &dyn Harness) {
    release_is_pure(harness).await;
    a_fresh_target_serves_nothing(harness).await;
    fetch_changes_nothing_that_is_served(harness).await;
    promote_switches_and_may_be_repeated(harness).await;
    promote_is_conditional(harness).await;
    promote_to_nothing(harness).await;
    finalize_marks_good_and_gives_up_the_claim(harness).await;
    only_good_is_marked(harness).await;
    a_promote_of_what_is_served_holds_the_target(harness).await;
    a_claim_keeps_others_out(harness).await;
    a_claim_of_a_dead_run_is_taken_over(harness).await;
    pruning_spares_what_is_needed(harness).await;
}

/// The same version is the same release, and different ones are different; nobody is asked.
pub async fn release_is_pure(harness: &dyn Harness) {
    let bench = Bench::new(harness, "pure").await;
    let [one, two, ..] = harness.versions();
    assert_eq!(bench.release(&one), bench.release(&one), "the same version, asked twice");
    assert_ne!(bench.release(&one), bench.release(&two), "two versions");
    assert_eq!(bench.release(&one).version.id, one.id, "a release is of its version");
}

/// A fresh target answers, serves nothing, has nothing good, is free, and lacks nothing.
pub async fn a_fresh_target_serves_nothing(harness: &dyn Harness) {
    let bench = Bench::new(harness, "fresh").await;
    let live = bench.live().await;
    assert_eq!(live.release(), None, "what a fresh target serves");
    assert!(live.good.is_empty() && live.claim.is_none(), "a fresh target: {live:?}");
    assert!(live.lacks.is_empty(), "a fresh target lacks: {:?}", live.lacks);
    assert_eq!(harness.served(&bench.target).await, None, "what is served in truth");
}

/// Fetch puts a release beside the live one, and may be repeated.
pub async fn fetch_changes_nothing_that_is_served(harness: &dyn Harness) {
    let bench = Bench::new(harness, "fetch").await;
    let [one, two, ..] = harness.versions();
    bench.deploy(&one).await;
    let change = bench.change(Some(&one), Some(&two));
    for attempt in 1..=2 {
        bench.fetch(&change, attempt).await;
        assert_eq!(bench.live().await.release(), change.from.as_ref(), "after fetch {attempt}");
        assert_eq!(harness.served(&bench.target).await, Some(one.id.clone()), "in truth");
    }
    assert!(harness.present(&bench.target, &bench.release(&two)).await, "what was fetched");
    let nothing = bench.change(Some(&one), None);
    bench.fetch(&nothing, 1).await;
}

/// Promote switches, and a repeat after a lost answer does nothing.
pub async fn promote_switches_and_may_be_repeated(harness: &dyn Harness) {
    let bench = Bench::new(harness, "promote").await;
    let [one, two, ..] = harness.versions();
    for (from, to) in [(None, &one), (Some(&one), &two)] {
        let change = bench.change(from, Some(to));
        bench.fetch(&change, 1).await;
        for attempt in 1..=2 {
            bench.promote(&change, attempt).await.expect("promote what was fetched");
            assert_eq!(bench.live().await.release(), change.to.as_ref(), "attempt {attempt}");
            assert_eq!(harness.served(&bench.target).await, Some(to.id.clone()), "in truth");
        }
    }
    let back = bench.change(Some(&two), Some(&one));
    bench.go_back(&back, 1).await.expect("promote back to what was live");
    assert_eq!(harness.served(&bench.target).await, Some(one.id.clone()), "after going back");
}

/// A target that does not serve what the plan was made for is left alone (rule 12).
pub async fn promote_is_conditional(harness: &dyn Harness) {
    let bench = Bench::new(harness, "conditional").await;
    let [one, two, three, _] = harness.versions();
    bench.deploy(&one).await;
    bench.fetch(&bench.change(Some(&one), Some(&three)), 1).await;
    for from in [Some(&two), None] {
        let stale = bench.change(from, Some(&three));
        let error = bench.promote(&stale, 1).await.expect_err("a promote from something else");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}: {}", error.cause());
        assert_eq!(harness.served(&bench.target).await, Some(one.id.clone()), "left alone");
    }
}

/// A first deploy goes back to nothing (rule 7).
pub async fn promote_to_nothing(harness: &dyn Harness) {
    let bench = Bench::new(harness, "nothing").await;
    let [one, ..] = harness.versions();
    let change = bench.change(None, Some(&one));
    bench.fetch(&change, 1).await;
    bench.promote(&change, 1).await.expect("promote what was fetched");
    let back = bench.change(Some(&one), None);
    for attempt in 1..=2 {
        bench.go_back(&back, attempt).await.expect("promote to nothing");
        assert_eq!(bench.live().await.release(), None, "attempt {attempt}");
        assert_eq!(harness.served(&bench.target).await, None, "in truth");
    }
}

/// Finalize marks good, newest first, gives up the claim, and may be repeated.
pub async fn finalize_marks_good_and_gives_up_the_claim(harness: &dyn Harness) {
    let bench = Bench::new(harness, "finalize").await;
    let [one, two, ..] = harness.versions();
    bench.deploy(&one).await;
    let change = bench.change(Some(&one), Some(&two));
    bench.fetch(&change, 1).await;
    bench.promote(&change, 1).await.expect("promote what was fetched");
    assert!(!bench.live().await.is_good(&bench.release(&two)), "good before it finished");
    let closing = Closing { good: change.to.clone(), back: change.from.clone() };
    for attempt in 1..=2 {
        bench.finalize(&closing, attempt).await;
        let live = bench.live().await;
        let first = live.good.first().expect("a good release");
        assert_eq!(Some(&first.release), change.to.as_ref(), "the newest good, {attempt}");
        assert_eq!(first.run, bench.run, "the run that made it good");
        assert!(first.present, "its files");
        assert!(live.claim.is_none(), "the claim: {:?}", live.claim);
        let times = live.good.iter().filter(|good| good.release == first.release).count();
        assert_eq!(times, 1, "how often it is listed");
    }
}

/// A promote to what is served already switches nothing, and holds the target for the run.
pub async fn a_promote_of_what_is_served_holds_the_target(harness: &dyn Harness) {
    let bench = Bench::new(harness, "hold").await;
    let [one, two, ..] = harness.versions();
    bench.deploy(&one).await;
    let before = bench.live().await;
    let same = bench.change(Some(&one), Some(&one));
    for attempt in 1..=2 {
        bench.promote(&same, attempt).await.expect("promote what is served");
        let live = bench.live().await;
        let claim = live.claim.expect("the claim of the run");
        assert_eq!((claim.run, claim.standing), (bench.run.clone(), Standing::Ours));
        assert_eq!((live.serving, live.good), (before.serving.clone(), before.good.clone()));
    }
    let other = bench.as_other("hold-other");
    let error = other.promote(&same, 1).await.expect_err("a promote of what another run holds");
    assert_eq!(error.kind(), ErrorKind::Claimed, "{error}: {}", error.cause());
    bench.finalize(&Closing::default(), 1).await;
    let stale = other.change(Some(&two), Some(&two));
    let error = other.promote(&stale, 1).await.expect_err("a promote of what is not served");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}: {}", error.cause());
    assert_eq!(harness.served(&bench.target).await, Some(one.id), "in truth");
}

/// A run that ends badly gives up its claim, and makes nothing good (rule 2).
pub async fn only_good_is_marked(harness: &dyn Harness) {
    let bench = Bench::new(harness, "closing").await;
    let [one, ..] = harness.versions();
    bench.finalize(&Closing::default(), 1).await;
    let change = bench.change(None, Some(&one));
    bench.fetch(&change, 1).await;
    bench.promote(&change, 1).await.expect("promote what was fetched");
    bench.finalize(&Closing::default(), 1).await;
    let live = bench.live().await;
    assert!(live.good.is_empty(), "good without having finished: {:?}", live.good);
    assert!(live.claim.is_none(), "the claim: {:?}", live.claim);
    assert_eq!(live.release(), change.to.as_ref(), "what is served stays");
}

/// From the first fetch until it is closed, a target belongs to its run.
pub async fn a_claim_keeps_others_out(harness: &dyn Harness) {
    let ours = Bench::new(harness, "ours").await;
    let theirs = ours.as_other("theirs");
    let [one, two, ..] = harness.versions();
    let change = ours.change(None, Some(&one));
    ours.fetch(&change, 1).await;
    let claim = ours.live().await.claim.expect("a claim after the first fetch");
    assert_eq!((claim.run, claim.standing), (ours.run.clone(), Standing::Ours), "to ourselves");
    let claim = theirs.live().await.claim.expect("a claim that others see");
    assert_eq!((claim.run, claim.standing), (ours.run.clone(), Standing::Foreign), "to others");
    let error = theirs.try_fetch(&theirs.change(None, Some(&two)), 1).await;
    let error = error.expect_err("a fetch on a target that another run holds");
    assert_eq!(error.kind(), ErrorKind::Claimed, "{error}: {}", error.cause());
    ours.finalize(&Closing::default(), 1).await;
    theirs.fetch(&theirs.change(None, Some(&two)), 1).await;
    let claim = theirs.live().await.claim.expect("a claim of the next run");
    assert_eq!(claim.standing, Standing::Ours, "to the next run");
}

/// What a dead run left is no obstacle and is not taken for good; and what it began and comes late
/// does nothing (rule 21).
pub async fn a_claim_of_a_dead_run_is_taken_over(harness: &dyn Harness) {
    let ours = Bench::new(harness, "alive").await;
    let mut dead = ours.as_other("dead");
    dead.transport = harness.dead(&dead.run);
    let [one, two, three, _] = harness.versions();
    ours.deploy(&one).await;
    let half_done = dead.change(Some(&one), Some(&two));
    dead.fetch(&half_done, 1).await;
    dead.promote(&half_done, 1).await.expect("promote what was fetched");

    let live = ours.live().await;
    let claim = live.claim.as_ref().expect("the claim of the dead run");
    assert_eq!((&claim.run, claim.standing), (&dead.run, Standing::Dead), "a dead run's claim");
    assert_eq!(live.release(), half_done.to.as_ref(), "what it left live");
    assert!(!live.is_good(&ours.release(&two)), "what it left is not good");

    let change = ours.change(Some(&two), Some(&three));
    ours.fetch(&change, 1).await;
    let claim = ours.live().await.claim.expect("a claim after the fetch");
    assert_eq!(claim.standing, Standing::Ours, "the claim after it was taken over");
    let late = dead.go_back(&dead.change(Some(&two), Some(&one)), 2).await;
    let error = late.expect_err("a switch of a run that lost the target");
    assert_eq!(error.kind(), ErrorKind::Claimed, "{error}: {}", error.cause());
    dead.finalize(&Closing::default(), 1).await;
    let claim = ours.live().await.claim.expect("our claim, after the dead run's end");
    assert_eq!(claim.standing, Standing::Ours, "a dead run gives up its own claim only");
    ours.promote(&change, 1).await.expect("promote what was fetched");
    assert_eq!(harness.served(&ours.target).await, Some(three.id.clone()), "in truth");
}

/// Pruning spares what is live and the way back, and counts good ones only (rule 22).
pub async fn pruning_spares_what_is_needed(harness: &dyn Harness) {
    let bench = Bench::new(harness, "prune").await;
    let versions = harness.versions();
    for version in &versions {
        bench.deploy(version).await;
    }
    let live = bench.live().await;
    let [one, _, three, four] = versions.map(|version| bench.release(&version));
    assert_eq!(live.release(), Some(&four), "what is live");
    assert!(harness.present(&bench.target, &four).await, "what is live is there");
    assert!(harness.present(&bench.target, &three).await, "the way back is there");
    assert!(!harness.present(&bench.target, &one).await, "the oldest was pruned");
    let back = live.last_good_not_live().expect("a way back");
    assert_eq!(*back, three, "the way back");
}

/// One run on one target.
struct Bench<'a> {
    harness: &'a dyn Harness,
    transport: Arc<dyn Transport>,
    target: Target,
    run: RunId,
}

impl<'a> Bench<'a> {
    async fn new(harness: &'a dyn Harness, run: &str) -> Self {
        let target = harness.fresh().await;
        let run = RunId::new(format!("conformance-{run}")).expect("a run id");
        Self { harness, transport: harness.transport(), target, run }
    }

    fn as_other(&self, run: &str) -> Self {
        let run = RunId::new(format!("conformance-{run}")).expect("a run id");
        let transport = self.harness.transport();
        Self { harness: self.harness, transport, target: self.target.clone(), run }
    }

    fn scope(&self, stage: Stage, attempt: u32) -> Scope {
        Scope {
            run: self.run.clone(),
            who: "conformance".to_owned(),
            stage,
            attempt,
            rolling_back: false,
            deadline: Instant::now() + Duration::from_secs(120),
            cancel: Cancel::new(),
            output: Arc::new(Discard),
        }
    }

    fn release(&self, version: &Version) -> Release {
        self.transport.release(&self.target, version).expect("the release of a version")
    }

    fn change(&self, from: Option<&Version>, to: Option<&Version>) -> Change {
        let from = from.map(|version| self.release(version));
        let to = to.map(|version| self.release(version));
        Change { target: self.target.clone(), back: from.clone(), from, to, work: Work::Move }
    }

    async fn live(&self) -> Live {
        let scope = self.scope(Stage::Connect, 1);
        self.transport.live(&self.target, &scope).await.expect("what is live")
    }

    async fn try_fetch(
        &self,
        change: &Change,
        attempt: u32,
    ) -> Result<(), crate::backend::BackendError> {
        let scope = self.scope(Stage::Fetch, attempt);
        self.transport.fetch(&self.target, change, &scope).await
    }

    async fn fetch(&self, change: &Change, attempt: u32) {
        if let Err(error) = self.try_fetch(change, attempt).await {
            panic!("fetch: {error}: {}", error.cause());
        }
    }

    async fn go_back(
        &self,
        change: &Change,
        attempt: u32,
    ) -> Result<(), crate::backend::BackendError> {
        let scope = Scope { rolling_back: true, ..self.scope(Stage::Promote, attempt) };
        self.transport.promote(&self.target, change, &scope).await
    }

    async fn promote(
        &self,
        change: &Change,
        attempt: u32,
    ) -> Result<(), crate::backend::BackendError> {
        let scope = self.scope(Stage::Promote, attempt);
        self.transport.promote(&self.target, change, &scope).await
    }

    async fn finalize(&self, closing: &Closing, attempt: u32) {
        let scope = self.scope(Stage::Finalize, attempt);
        if let Err(error) = self.transport.finalize(&self.target, closing, &scope).await {
            panic!("finalize: {error}: {}", error.cause());
        }
    }

    /// Brings the target to `version` from whatever it serves, and makes that good.
    async fn deploy(&self, version: &Version) {
        let from = self.live().await.release().cloned();
        let to = Some(self.release(version));
        let back = from.clone();
        let change = Change { target: self.target.clone(), from, to, back, work: Work::Move };
        self.fetch(&change, 1).await;
        if let Err(error) = self.promote(&change, 1).await {
            panic!("promote: {error}: {}", error.cause());
        }
        self.finalize(&Closing { good: change.to, back: change.back }, 1).await;
    }
}
