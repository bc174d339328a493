//! The in-memory fleet keeps the promises that it is used to test others by.

#![expect(clippy::unwrap_used, reason = "a test may panic, also outside its own function")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use deploy_core::{
    backend::VersionSource,
    backend::{Ask, Checker, Completion, Lock, LockGuard, OutputSink, Restarter, Step, Transport},
    model::{Release, Target, Version, VersionId},
    record::{Clock, Observer, RunId},
    testing::{
        Fleet,
        conformance::{self, Harness},
    },
};

#[derive(Default)]
struct InMemory {
    fleet: Fleet,
    targets: AtomicUsize,
}

#[async_trait]
impl Harness for InMemory {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.fleet.clone())
    }

    async fn fresh(&self) -> Target {
        let number = self.targets.fetch_add(1, Ordering::SeqCst);
        Target::new(format!("h{number}")).unwrap()
    }

    fn versions(&self) -> [Version; 4] {
        ["v1", "v2", "v3", "v4"].map(|id| Version { id: VersionId::new(id).unwrap(), name: None })
    }

    fn keep(&self) -> usize {
        1
    }

    fn dead(&self, run: &RunId) -> Arc<dyn Transport> {
        self.fleet.bury(run);
        self.transport()
    }

    async fn served(&self, target: &Target) -> Option<VersionId> {
        self.fleet.host(target).release().map(|release| release.version.id.clone())
    }

    async fn present(&self, target: &Target, release: &Release) -> bool {
        self.fleet.host(target).present.contains(&release.id)
    }
}

#[tokio::test(start_paused = true)]
async fn the_fleet_keeps_every_promise_of_a_transport() {
    let harness = InMemory::default();
    harness.fleet.set_keep(harness.keep());
    conformance::all(&harness).await;
}

#[test]
fn every_trait_is_object_safe() {
    fn object_safe<T: ?Sized>() {}
    object_safe::<dyn VersionSource>();
    object_safe::<dyn Transport>();
    object_safe::<dyn Restarter>();
    object_safe::<dyn Checker>();
    object_safe::<dyn Step>();
    object_safe::<dyn Lock>();
    object_safe::<dyn LockGuard>();
    object_safe::<dyn Ask>();
    object_safe::<dyn Completion>();
    object_safe::<dyn OutputSink>();
    object_safe::<dyn Observer>();
    object_safe::<dyn Clock>();
    object_safe::<dyn Harness>();
}
