//! Checks and steps over a real sshd and on this machine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/health.rs"]
mod health;
#[macro_use]
#[path = "support/links.rs"]
mod links;
#[path = "support/sshd.rs"]
mod sshd;

/// Makes each story a test over SSH, over an SSH that forwards nothing, and on this machine.
macro_rules! over_all_links {
    ($($story:ident),* $(,)?) => {
        over_both_links!($($story),*);
        mod where_forwarding_is_forbidden {
            use super::*;
            $(#[tokio::test] async fn $story() {
                let (_sshd, _client, sessions) = one_host("AllowTcpForwarding no");
                super::$story(&sessions, &target("h1")).await;
            })*
        }
    };
}

#[path = "check/http.rs"]
mod http;
#[path = "check/log.rs"]
mod log;
#[path = "check/nrpe.rs"]
mod nrpe;
#[path = "check/tls.rs"]
mod tls;

use std::{fs, sync::Arc, time::Duration};

use deploy_core::{
    backend::{Checker, ErrorKind, Step, Verdict},
    model::Target,
};
use deploy_ssh::{
    CheckUrl, CommandCheck, CommandStep, HttpCheck, PortCheck, ScriptCheck,
    session::{Sessions, SshConfig},
};
use health::{Premises, situation};
use sshd::{Seen, free_port, one_host, scope, scope_of, target};
use tokio::net::TcpListener;

over_all_links!(
    a_command_is_told_what_is_deployed,
    a_failed_command_brings_its_output,
    a_check_that_hangs_is_killed_with_its_group,
    a_check_that_floods_is_bounded,
    a_script_of_the_release_is_run,
    a_closed_port_is_not_yet_open,
    a_step_that_fails_is_rejected_with_its_output,
);

async fn ask(checker: &dyn Checker, on: &Target) -> Verdict {
    checker.check(on, &situation(), &scope()).await.unwrap()
}

fn seen(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::NotYet { seen } => seen,
        other => panic!("not \"not yet\": {other:?}"),
    }
}

fn command(sessions: &Sessions, premises: &Premises, command: impl Into<String>) -> CommandCheck {
    CommandCheck {
        sessions: sessions.clone(),
        surroundings: premises.surroundings(),
        command: command.into(),
    }
}

async fn a_command_is_told_what_is_deployed(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let told = premises.path("told");
    let text = format!(
        "{{ pwd; for v in LIVE_PATH RELEASE_PATH VERSION PREVIOUS_VERSION GROUP ENVIRONMENT \
         TARGET; do eval \"printf '%s\\n' \\\"\\$DEPLOY_$v\\\"\"; done; }} > '{}'",
        told.display()
    );
    assert_eq!(ask(&command(sessions, &premises, text), on).await, Verdict::Healthy);
    let (live, release) = (premises.path("live"), premises.release());
    let expected = format!(
        "{release}\n{live}\n{release}\nv2 $(x)\n89abcdef01\ncanary\nbeta\n{on}\n",
        release = release.display(),
        live = live.display()
    );
    assert_eq!(fs::read_to_string(told).unwrap(), expected);
}

async fn a_failed_command_brings_its_output(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let check = command(sessions, &premises, "echo first; echo the disk is full >&2; exit 2");
    let Verdict::Unhealthy { reason, evidence } = ask(&check, on).await else {
        panic!("not unhealthy")
    };
    assert_eq!(reason, "exit status 2");
    assert_eq!(evidence.as_deref(), Some("first\nthe disk is full"));
}

async fn a_check_that_hangs_is_killed_with_its_group(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let late = premises.path("late");
    let text = format!("echo waiting; (sleep 3; touch '{}') & wait", late.display());
    let check = command(sessions, &premises, text);
    let verdict = check.check(on, &situation(), &scope_of(Duration::from_secs(2))).await.unwrap();
    let Verdict::Unhealthy { reason, evidence } = verdict else { panic!("{verdict:?}") };
    assert!(reason.contains("did not end in its time"), "{reason}");
    assert!(evidence.unwrap().contains("waiting"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!late.exists(), "its child lived on");
    assert_eq!(ask(&command(sessions, &premises, "true"), on).await, Verdict::Healthy);
}

async fn a_check_that_floods_is_bounded(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let check = command(sessions, &premises, "yes flood | head -c 100000000; echo last; exit 1");
    let Verdict::Unhealthy { evidence, .. } = ask(&check, on).await else {
        panic!("not unhealthy")
    };
    let evidence = evidence.unwrap();
    assert!(evidence.ends_with("last") && evidence.len() < 100_000, "{}", evidence.len());
}

async fn a_script_of_the_release_is_run(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    premises.script("good one", "#!/bin/sh\ntest \"$DEPLOY_GROUP\" = canary");
    premises.script("bad", "#!/bin/sh\necho it is broken\nexit 3");
    let check =
        |path: &str| ScriptCheck::new(sessions.clone(), premises.surroundings(), path).unwrap();
    assert_eq!(ask(&check("good one"), on).await, Verdict::Healthy);
    let Verdict::Unhealthy { reason, evidence } = ask(&check("bad"), on).await else {
        panic!("not unhealthy")
    };
    assert_eq!((reason.as_str(), evidence.as_deref()), ("exit status 3", Some("it is broken")));
    let Verdict::Unhealthy { evidence, .. } = ask(&check("missing"), on).await else {
        panic!("not unhealthy")
    };
    assert_eq!(evidence.as_deref(), Some("the release has no file missing"));
    for bad in ["/bin/true", "../x", "a//b", ""] {
        let made = ScriptCheck::new(sessions.clone(), premises.surroundings(), bad);
        assert!(made.is_err(), "{bad:?}");
    }
}

async fn a_closed_port_is_not_yet_open(sessions: &Sessions, on: &Target) {
    let port = free_port();
    let check = PortCheck::new(sessions.clone(), port);
    let verdict = ask(&check, on).await;
    assert_eq!(seen(&verdict), format!("nothing answers at localhost:{port}"));
    let _listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert_eq!(ask(&check, on).await, Verdict::Healthy);
}

async fn a_step_that_fails_is_rejected_with_its_output(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    premises.script("migrate", "#!/bin/sh\necho \"migrating to $DEPLOY_VERSION\"; exit \"$1\"");
    let step = |command: &str| CommandStep {
        sessions: sessions.clone(),
        surroundings: premises.surroundings(),
        command: command.to_owned(),
    };
    let output = Arc::new(Seen::default());
    let scope = deploy_core::backend::Scope { output: output.clone(), ..scope() };
    step("./migrate 0").run(on, &situation(), &scope).await.unwrap();
    assert!(output.text().contains("migrating to v2 $(x)"));
    let error = step("./migrate 4").run(on, &situation(), &scope).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.evidence(), Some("migrating to v2 $(x)"));
    fs::remove_dir_all(premises.release()).unwrap();
    let error = step("true").run(on, &situation(), &scope).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_no_verdict() {
    let (sshd, _client, sessions) = one_host("");
    drop(sshd);
    let premises = Premises::new();
    let checks: [Box<dyn Checker>; 3] = [
        Box::new(PortCheck::new(sessions.clone(), 1)),
        Box::new(HttpCheck::new(sessions.clone(), CheckUrl::new("http://localhost:1/").unwrap())),
        Box::new(command(&sessions, &premises, "true")),
    ];
    for check in checks {
        let error = check.check(&target("h1"), &situation(), &scope()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{check:?}");
    }
}
