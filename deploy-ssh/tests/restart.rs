//! Restart by a command and by a pid file, over a real sshd and on this machine. systemd is tried
//! on real hosts, see the fleet tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/health.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod health;
#[macro_use]
#[path = "support/links.rs"]
mod links;
#[path = "support/sshd.rs"]
mod sshd;

use std::{fs, path::Path, process::Command, sync::Arc};

use deploy_core::{
    backend::{ErrorKind, Instance, Operator, Restarter, Scope, Step},
    model::Target,
    plan::Action,
};
use deploy_ssh::{
    Method, RemoteCommand, RestartOptions, ServiceRestarter,
    session::{Sessions, SshConfig},
};
use health::{Premises, situation};
use sshd::{Seen, one_host, scope, target};

over_both_links!(
    a_command_restarts_and_its_failure_is_told,
    people_see_what_a_command_says_and_none_of_our_own_words,
    sighup_goes_to_the_process_of_the_pid_file,
    a_pid_file_that_holds_no_process_is_refused,
    a_process_that_dies_of_sighup_is_a_failure,
    what_the_method_knows_is_done_and_the_rest_is_refused_unasked,
    a_command_is_run_as_it_was_typed,
);

fn restarter(sessions: &Sessions, premises: &Premises, method: Method) -> ServiceRestarter {
    let options = RestartOptions { method, sudo: false };
    ServiceRestarter::new(sessions.clone(), premises.surroundings(), options)
}

async fn a_command_restarts_and_its_failure_is_told(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let by = |command: &str| {
        let command = command.to_owned();
        restarter(sessions, &premises, Method::Command { command, service: None })
    };
    let good = by("echo \"$DEPLOY_VERSION\" > ../restarted");
    let before = good.running(on, &scope()).await.unwrap();
    assert!(before.active, "what has no status must not be stopped");
    good.restart(on, &before, &situation(), &scope()).await.unwrap();
    let told = fs::read_to_string(premises.release().join("../restarted")).unwrap();
    assert_eq!(told, "v2 $(x)\n");
    good.stop(on, &Instance::default(), &scope()).await.unwrap();
    assert_eq!(good.evidence(on, &before, &scope()).await.unwrap(), "");

    let bad = by("echo result done; echo no such thing >&2; exit 5");
    let error = bad.restart(on, &before, &situation(), &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.cause(), "exit status 5");
    assert!(error.evidence().unwrap().contains("no such thing"));
}

/// A process that is killed when dropped.
struct Daemon(std::process::Child);

impl Daemon {
    fn start(program: &str) -> Self {
        let child = Command::new("sh").arg("-c").arg(program).spawn().unwrap();
        // Time to set its trap.
        std::thread::sleep(std::time::Duration::from_millis(300));
        Self(child)
    }

    /// One that writes down in `heard` each HUP that it gets.
    fn hearing(heard: &Path) -> Self {
        Self::start(&format!(
            "trap 'echo heard >> \"{}\"' HUP; while :; do sleep 0.1; done",
            heard.display()
        ))
    }

    /// The way to it by its pid file, which is written.
    fn by_file(&self, pid_file: &Path) -> Method {
        fs::write(pid_file, format!("{}\n", self.0.id())).unwrap();
        Method::HupPidFile(pid_file.to_str().unwrap().to_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn people_see_what_a_command_says_and_none_of_our_own_words(
    sessions: &Sessions,
    on: &Target,
) {
    let premises = Premises::new();
    let command = "echo hello; echo world >&2".to_owned();
    let restarter = restarter(sessions, &premises, Method::Command { command, service: None });
    let seen = Arc::new(Seen::default());
    let scope = Scope { output: seen.clone(), ..scope() };
    let before = restarter.running(on, &scope).await.unwrap();
    assert_eq!(seen.text(), "");
    restarter.restart(on, &before, &situation(), &scope).await.unwrap();
    assert_eq!(seen.text(), "hello\nworld\n");
}

async fn sighup_goes_to_the_process_of_the_pid_file(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let (heard, pid_file) = (premises.path("heard"), premises.path("pid file"));
    let daemon = Daemon::hearing(&heard);
    let by_file = daemon.by_file(&pid_file);
    let restarter = restarter(sessions, &premises, by_file);
    let before = restarter.running(on, &scope()).await.unwrap();
    assert!(before.active && before.mark.contains(&format!("{}:", daemon.0.id())), "{before:?}");
    restarter.restart(on, &before, &situation(), &scope()).await.unwrap();
    assert_eq!(fs::read_to_string(heard).unwrap(), "heard\n");
    assert_eq!(restarter.running(on, &scope()).await.unwrap(), before);
}

async fn a_pid_file_that_holds_no_process_is_refused(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let pid_file = premises.path("pid");
    let by_file = Method::HupPidFile(pid_file.to_str().unwrap().to_owned());
    let restarter = restarter(sessions, &premises, by_file);
    for bad in ["-1", "0", "1", "", "12 13", "-1\n12", "x", "+5", "0x10", "99999999999", "4194305"]
    {
        fs::write(&pid_file, bad).unwrap();
        let before = restarter.running(on, &scope()).await.unwrap();
        assert!(!before.active, "{bad:?}");
        let error = restarter.restart(on, &before, &situation(), &scope()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{bad:?}");
        assert!(error.cause().starts_with("the pid file "), "{bad:?}: {}", error.cause());
    }
}

async fn a_process_that_dies_of_sighup_is_a_failure(sessions: &Sessions, on: &Target) {
    let premises = Premises::new();
    let pid_file = premises.path("pid");
    // Exits on SIGHUP, and is reaped at once, as a service would be.
    let daemon =
        Daemon::start(&format!("sleep 100 & echo $! > '{}'; wait; sleep 100", pid_file.display()));
    let by_file = Method::HupPidFile(pid_file.to_str().unwrap().to_owned());
    let restarter = restarter(sessions, &premises, by_file);
    let before = restarter.running(on, &scope()).await.unwrap();
    let error = restarter.restart(on, &before, &situation(), &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("did not survive"), "{}", error.cause());
    drop(daemon);
}

async fn what_the_method_knows_is_done_and_the_rest_is_refused_unasked(
    sessions: &Sessions,
    on: &Target,
) {
    let premises = Premises::new();
    let command = "echo \"$DEPLOY_TARGET\" >> ../restarted".to_owned();
    let by_command = restarter(sessions, &premises, Method::Command { command, service: None });
    for action in [Action::Start, Action::Stop, Action::Reload] {
        let error = by_command.describe_action(action).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(error.cause().contains("names no service"), "{}", error.cause());
    }
    let before = by_command.state(on, &scope()).await.unwrap();
    assert_eq!((before.state.as_str(), before.since), ("unknown", None));
    let (now, then) = (situation(), scope());
    by_command.operate(on, Action::Restart, &before.instance, &now, &then).await.unwrap();
    let told = fs::read_to_string(premises.release().join("../restarted")).unwrap();
    assert_eq!(told, format!("{on}\n"));

    let (heard, pid_file) = (premises.path("heard"), premises.path("pid file"));
    let daemon = Daemon::hearing(&heard);
    let by_file = daemon.by_file(&pid_file);
    let by_file = restarter(sessions, &premises, by_file);
    assert!(by_file.describe_action(Action::Restart).is_err());
    let before = by_file.state(on, &scope()).await.unwrap();
    assert!(before.instance.active && before.since.is_some(), "{before:?}");
    let (now, then) = (situation(), scope());
    by_file.operate(on, Action::Reload, &before.instance, &now, &then).await.unwrap();
    assert_eq!(fs::read_to_string(heard).unwrap(), "heard\n");
}

async fn a_command_is_run_as_it_was_typed(sessions: &Sessions, on: &Target) {
    let run = async |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let command = RemoteCommand::new(sessions.clone(), words).unwrap();
        let ended = command.run(on, &situation(), &scope()).await;
        (ended, command.take(on))
    };
    let (ended, said) = run(&["printf '%s|' \"$HOME\" a\\ b; cat; exit 7"]).await;
    let home = std::env::var("HOME").unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Rejected);
    let said = said.unwrap();
    assert_eq!((said.output.status, said.output.stdout.text()), (7, format!("{home}|a b|")));

    let exact = ["printf", "%s|", "$HOME", "a  b", "", "*", "it's", "two\nlines", "-n"];
    let (ended, said) = run(&exact).await;
    ended.unwrap();
    assert_eq!(said.unwrap().output.stdout.text(), "$HOME|a  b||*|it's|two\nlines|-n|");

    // Equal where it is equal, also in what is not kept of it.
    let flood =
        |word: &str| format!("head -c 60000 /dev/zero; echo {word}; head -c 60000 /dev/zero");
    let (one, same, other) = (flood("one"), flood("one"), flood("two"));
    let (one, same, other) = (run(&[&one]).await.1, run(&[&same]).await.1, run(&[&other]).await.1);
    let (one, same, other) = (one.unwrap(), same.unwrap(), other.unwrap());
    assert!(one.is_same(&same) && !one.is_same(&other));
    assert_eq!(one.output.stdout, other.output.stdout, "the ends that are kept are equal");
    assert!(RemoteCommand::new(sessions.clone(), Vec::new()).is_err());
}
