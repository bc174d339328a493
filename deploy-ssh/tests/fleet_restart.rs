//! Restarts and service checks on real hosts: systemd with sudo over SSH, and init scripts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/booted.rs"]
mod booted;
#[path = "support/health.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod health;

use std::time::Duration;

use deploy_core::{
    backend::{Checker, ErrorKind, Operator, Restarter, Scope, Verdict},
    model::Target,
    plan::{Action, Stage},
};
use deploy_ssh::{
    Method, RestartOptions, ServiceCheck, ServiceName, ServiceRestarter,
    session::{Sessions, SshConfig},
};
use health::{Premises, situation};
use xtask::{Fleet, HostKind};

/// One host and a session with it.
struct Host {
    fleet: Fleet,
    premises: Premises,
    sessions: Sessions,
    target: Target,
}

impl Host {
    fn boot(name: &str, kind: HostKind) -> Self {
        let mut config = SshConfig::default();
        config.heartbeat = Duration::from_millis(500);
        let (fleet, sessions, target) = booted::boot(name, kind, config);
        Self { fleet, premises: Premises::new(), sessions, target }
    }

    /// Installs a unit, and lets the deployer do to it what the documentation says.
    fn unit(&self, name: &str, service: &str) {
        let text = format!(
            "printf '[Service]\\n%s\\n' '{service}' > /etc/systemd/system/{name}.service
             systemctl daemon-reload
             for verb in start stop restart reload 'kill -s HUP'; do
               echo \"deploy ALL=(root) NOPASSWD: /usr/bin/systemctl $verb {name}.service\"
             done > /etc/sudoers.d/{name}"
        );
        self.fleet.shell("h1", &text).unwrap();
    }

    fn restarter(&self, method: fn(ServiceName) -> Method, service: &str) -> ServiceRestarter {
        let options =
            RestartOptions { method: method(ServiceName::new(service).unwrap()), sudo: true };
        ServiceRestarter::new(self.sessions.clone(), self.premises.surroundings(), options)
    }

    fn check(&self, service: &str, stay_up: u64) -> ServiceCheck {
        ServiceCheck {
            sessions: self.sessions.clone(),
            service: ServiceName::new(service).unwrap(),
            stay_up: Duration::from_secs(stay_up),
            sudo: true,
        }
    }

    async fn ask(&self, service: &str, stay_up: u64) -> Verdict {
        self.check(service, stay_up).check(&self.target, &situation(), &scope(1)).await.unwrap()
    }

    fn says(&self, script: &str) -> String {
        let output = self.fleet.shell("h1", script).unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn scope(attempt: u32) -> Scope {
    booted::scope(Stage::Restart, attempt)
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn a_repeat_is_not_deceived_by_a_start_before_the_switch() {
    let host = Host::boot("ssh-crashed", HostKind::Systemd);
    host.unit("plain", "ExecStart=/bin/sleep 1000");
    let plain = host.restarter(Method::Restart, "plain");
    let on = &host.target;
    let before = plain.running(on, &scope(1)).await.unwrap();
    let link = format!("{}/live", host.premises.surroundings().layout.cache());
    let switch = format!(
        "systemctl start plain; sleep 4; mkdir -p \"$(dirname '{link}')\"; ln -sfn x '{link}'"
    );
    host.fleet.shell("h1", &switch).unwrap();
    let old = plain.running(on, &scope(1)).await.unwrap();
    plain.restart(on, &before, &situation(), &scope(2)).await.unwrap();
    let new = plain.running(on, &scope(1)).await.unwrap();
    assert_ne!(old, new);
    plain.restart(on, &old, &situation(), &scope(2)).await.unwrap();
    assert_eq!(plain.running(on, &scope(1)).await.unwrap(), new);
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn too_many_starts_do_not_prevent_one_more() {
    let host = Host::boot("ssh-limit", HostKind::Systemd);
    host.unit("plain", "ExecStart=/bin/sleep 1000");
    let plain = host.restarter(Method::Restart, "plain");
    let burst = "for i in 1 2 3 4 5 6; do systemctl restart plain || true; done";
    host.fleet.shell("h1", burst).unwrap();
    let before = plain.running(&host.target, &scope(1)).await.unwrap();
    assert!(!before.active, "systemd did not count the starts");
    plain.restart(&host.target, &before, &situation(), &scope(1)).await.unwrap();
}

const TRAPS: &str = "ExecStart=/bin/bash -c \"trap : HUP; while :; do sleep 1 & wait; done\"\n\
                     ExecReload=/bin/kill -HUP $MAINPID";

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn a_restart_is_another_start_and_a_repeat_is_none() {
    let host = Host::boot("ssh-restart", HostKind::Systemd);
    host.unit("plain", "ExecStart=/bin/sleep 1000");
    let plain = host.restarter(Method::Restart, "plain");
    let on = &host.target;
    let before = plain.running(on, &scope(1)).await.unwrap();
    assert!(!before.active);
    plain.restart(on, &before, &situation(), &scope(1)).await.unwrap();
    let first = plain.running(on, &scope(1)).await.unwrap();
    assert!(first.active && first != before);
    // The answer was lost: the repeat finds it done.
    plain.restart(on, &before, &situation(), &scope(2)).await.unwrap();
    assert_eq!(plain.running(on, &scope(1)).await.unwrap(), first);
    // The request was lost: the repeat does it.
    plain.restart(on, &first, &situation(), &scope(2)).await.unwrap();
    assert_ne!(plain.running(on, &scope(1)).await.unwrap(), first);
    assert_eq!(host.ask("plain", 2).await, Verdict::Healthy);
    assert!(plain.evidence(on, &before, &scope(1)).await.unwrap().contains("Started plain"));
    plain.stop(on, &before, &scope(1)).await.unwrap();
    plain.stop(on, &before, &scope(1)).await.unwrap();
    assert!(!plain.running(on, &scope(1)).await.unwrap().active);
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn reload_and_sighup_leave_the_same_process_alive() {
    let host = Host::boot("ssh-reload", HostKind::Systemd);
    host.unit("traps", TRAPS);
    host.unit("plain", "ExecStart=/bin/sleep 1000\nExecReload=/bin/kill -HUP $MAINPID");
    let on = &host.target;
    for method in [Method::Reload, Method::Hup] {
        host.fleet.shell("h1", "systemctl stop traps").unwrap();
        let traps = host.restarter(method, "traps");
        let before = traps.running(on, &scope(1)).await.unwrap();
        traps.restart(on, &before, &situation(), &scope(1)).await.unwrap();
        let started = traps.running(on, &scope(1)).await.unwrap();
        assert!(started.active, "what did not run is started");
        traps.restart(on, &started, &situation(), &scope(1)).await.unwrap();
        assert_eq!(traps.running(on, &scope(1)).await.unwrap(), started);

        // It dies of SIGHUP.
        host.fleet.shell("h1", "systemctl restart plain").unwrap();
        let plain = host.restarter(method, "plain");
        let before = plain.running(on, &scope(1)).await.unwrap();
        let error = plain.restart(on, &before, &situation(), &scope(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(error.cause().contains("did not survive"), "{}", error.cause());
    }
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn a_service_that_does_not_come_up_fails_with_evidence() {
    let host = Host::boot("ssh-nostart", HostKind::Systemd);
    host.unit("missing", "ExecStart=/no/such/program");
    host.unit("loops", "ExecStart=/bin/sh -c \"exit 4\"\nRestart=always\nRestartSec=100ms");
    host.unit("dies", "ExecStart=/bin/sh -c \"echo dying; sleep 2; exit 3\"");
    let on = &host.target;
    for (name, seen) in [("missing", "/no/such/program"), ("loops", "status=4")] {
        let restarter = host.restarter(Method::Restart, name);
        let before = restarter.running(on, &scope(1)).await.unwrap();
        let error = restarter.restart(on, &before, &situation(), &scope(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(error.evidence().unwrap().contains(seen), "{:?}", error.evidence());
        let verdict = host.ask(name, 1).await;
        assert!(matches!(verdict, Verdict::Unhealthy { .. }), "{verdict:?}");
    }
    let dies = host.restarter(Method::Restart, "dies");
    let before = dies.running(on, &scope(1)).await.unwrap();
    dies.restart(on, &before, &situation(), &scope(1)).await.unwrap();
    let Verdict::Unhealthy { reason, evidence } = host.ask("dies", 5).await else {
        panic!("not unhealthy")
    };
    assert!(reason.contains("did not stay up"), "{reason}");
    assert!(evidence.unwrap().contains("dying"));
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn a_missing_right_or_service_is_told_as_such() {
    let host = Host::boot("ssh-denied", HostKind::Systemd);
    let on = &host.target;
    let ssh = host.restarter(Method::Restart, "ssh");
    let before = ssh.running(on, &scope(1)).await.unwrap();
    assert!(before.active);
    let error = ssh.restart(on, &before, &situation(), &scope(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let line = "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart ssh.service";
    assert!(error.hint().unwrap().ends_with(line), "{:?}", error.hint());
    assert_eq!(ssh.running(on, &scope(1)).await.unwrap(), before);

    let none = host.restarter(Method::Restart, "no-such");
    let before = none.running(on, &scope(1)).await.unwrap();
    let error = none.restart(on, &before, &situation(), &scope(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn a_restart_runs_to_its_end_when_the_cable_is_pulled() {
    let host = Host::boot("ssh-cut", HostKind::Systemd);
    host.unit("slow", "ExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 4");
    let on = &host.target;
    let slow = host.restarter(Method::Restart, "slow");
    host.fleet.shell("h1", "systemctl start slow").unwrap();
    let before = slow.running(on, &scope(1)).await.unwrap();
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        host.fleet.cut("h1").unwrap();
    };
    let (now, then) = (situation(), scope(1));
    let (lost, ()) = tokio::join!(slow.restart(on, &before, &now, &then), cut);
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Lost);
    host.fleet.join("h1").unwrap();
    slow.restart(on, &before, &situation(), &scope(2)).await.unwrap();
    let starts = "journalctl -q -u slow --no-pager | grep -c 'Started slow'";
    assert_eq!(host.says(starts), "2", "once by hand, and once by the restart");
}

/// A service as hosts without systemd have it.
const INIT_SCRIPT: &str = r#"#!/bin/sh
case $1 in
status) [ -f /run/old.pid ] && kill -0 "$(cat /run/old.pid)" || exit 3 ;;
stop) [ ! -f /run/old.pid ] || kill "$(cat /run/old.pid)"; rm -f /run/old.pid ;;
start) setsid sleep 1000 & echo $! > /run/old.pid ;;
restart) "$0" stop; exec "$0" start ;;
esac
"#;

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn init_scripts_are_restarted_where_there_is_no_systemd() {
    let host = Host::boot("ssh-initd", HostKind::Light);
    let install = format!(
        "cat > /etc/init.d/old <<'SCRIPT'\n{INIT_SCRIPT}SCRIPT\nchmod 755 /etc/init.d/old
         for verb in start stop restart status; do
           echo \"deploy ALL=(root) NOPASSWD: /usr/sbin/service old $verb\"
         done > /etc/sudoers.d/old"
    );
    host.fleet.shell("h1", &install).unwrap();
    let on = &host.target;
    let old = host.restarter(Method::Restart, "old");
    let before = old.running(on, &scope(1)).await.unwrap();
    assert!(!before.active);
    old.restart(on, &before, &situation(), &scope(1)).await.unwrap();
    let first = old.running(on, &scope(1)).await.unwrap();
    assert!(first.active);
    old.restart(on, &first, &situation(), &scope(1)).await.unwrap();
    let second = old.running(on, &scope(1)).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(host.ask("old", 1).await, Verdict::Healthy);
    let seen = old.state(on, &scope(1)).await.unwrap();
    assert_eq!((seen.state.as_str(), seen.instance.clone()), ("active", second.clone()));
    assert!(seen.since.is_some(), "{seen:?}");
    for (action, starts) in [(Action::Start, 0), (Action::Restart, 1), (Action::Stop, 0)] {
        let before = old.running(on, &scope(1)).await.unwrap();
        old.operate(on, action, &before, &situation(), &scope(1)).await.unwrap();
        let after = old.running(on, &scope(1)).await.unwrap();
        assert_eq!(after.active, action != Action::Stop);
        assert_eq!(after != before, starts == 1 || action == Action::Stop, "{action}");
    }
    let down = old.running(on, &scope(1)).await.unwrap();
    old.operate(on, Action::Start, &down, &situation(), &scope(1)).await.unwrap();
    let second = old.running(on, &scope(1)).await.unwrap();
    let hup = host.restarter(Method::Hup, "old");
    let error = hup.restart(on, &second, &situation(), &scope(1)).await.unwrap_err();
    assert!(error.cause().contains("no systemd"), "{}", error.cause());
    old.stop(on, &before, &scope(1)).await.unwrap();
    assert!(!old.running(on, &scope(1)).await.unwrap().active);
    assert!(matches!(host.ask("old", 1).await, Verdict::Unhealthy { .. }));
}
