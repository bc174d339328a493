//! A panic in what a site adds: contained where the engine can, and else an exit code that says
//! whether anything was touched.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "made for other tests too")]
#[path = "cli/place.rs"]
mod place;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use deploy_cli::DeployCli;
use deploy_core::{
    backend::{BackendError, Checker, Scope, Situation, Verdict},
    model::Target,
    plan::CheckPolicy,
    run::{Backend, OwnedCheck},
};

use crate::place::Place;

#[derive(Debug, Clone, Copy, PartialEq)]
enum When {
    Asked,
    Dropped,
}

/// A check that panics: where the engine sees it, or where nobody does.
#[derive(Debug)]
struct Panics {
    when: When,
    asked: AtomicBool,
}

#[async_trait]
impl Checker for Panics {
    fn describe(&self) -> String {
        "panics".into()
    }

    async fn check(&self, _: &Target, _: &Situation, _: &Scope) -> Result<Verdict, BackendError> {
        self.asked.store(true, Ordering::SeqCst);
        assert!(self.when != When::Asked, "in a check");
        Ok(Verdict::Healthy)
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        let asked = self.asked.load(Ordering::SeqCst);
        assert!(self.when != When::Dropped || !asked, "after the promote");
    }
}

fn with(mut backend: Backend, when: When) -> Backend {
    let checker = Arc::new(Panics { when, asked: AtomicBool::new(false) });
    backend.checks.push(OwnedCheck { policy: CheckPolicy::new("panics"), checker });
    backend
}

fn run(cli: DeployCli) -> ExitCode {
    cli.run(["deploy-cli", "deploy", "--yes"].map(Into::into))
}

// One test, since the directory one stands in is the whole process's.
#[test]
fn a_panic_says_by_its_exit_code_whether_anything_was_touched() {
    let place = Place::new();
    for (name, value) in [("user.name", "Ann"), ("user.email", "ann@example.org")] {
        place.git(&["config", name, value]);
    }
    std::env::set_current_dir(place.path("repo")).unwrap();

    let before = DeployCli::new().with_backend(|_, _| panic!("before anything"));
    assert_eq!(run(before), ExitCode::from(1));
    assert_eq!(place.live(), "", "nothing was touched");
    place.cli(&["unlock", "--lock-only"]).ends(0).says("was not locked");

    place.cli(&["deploy"]).ends(0);
    place.version(2, "two");
    let contained = DeployCli::new().with_backend(|_, backend| Ok(with(backend, When::Asked)));
    // The same check panics on the way back too: nobody can say that the old version is well.
    assert_eq!(run(contained), ExitCode::from(4));
    assert_eq!(place.live(), "one", "it went back nonetheless");
    place.cli(&["unlock", "--lock-only"]).ends(0).says("was not locked");

    let after = DeployCli::new().with_backend(|_, backend| Ok(with(backend, When::Dropped)));
    assert_eq!(run(after), ExitCode::from(4));
    assert_eq!(place.live(), "two");
    place.cli(&["unlock", "--lock-only"]).ends(0).says("was not locked");
    std::env::set_current_dir("/").unwrap();
}
