//! The journal and log files of real hosts, as the login user sees them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/booted.rs"]
mod booted;
#[path = "support/health.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod health;

use std::time::Duration;

use deploy_core::{
    backend::{Checker, ErrorKind, Scope, Situation, Verdict},
    model::Target,
    plan::Stage,
};
use deploy_ssh::{
    LogCheck, LogSource, LogWish, Pattern, ServiceName,
    session::{Sessions, SshConfig},
};
use health::situation;
use xtask::{Fleet, HostKind};

struct Host {
    fleet: Fleet,
    sessions: Sessions,
    target: Target,
}

impl Host {
    fn boot(name: &str, kind: HostKind) -> Self {
        let (fleet, sessions, target) = booted::boot(name, kind, SshConfig::default());
        Self { fleet, sessions, target }
    }

    fn on(&self, script: &str) {
        self.fleet.shell("h1", script).unwrap();
    }

    fn check(&self, source: LogSource, wish: LogWish) -> LogCheck {
        LogCheck { sessions: self.sessions.clone(), source, wish, watch: Duration::ZERO }
    }

    async fn note(&self, check: &LogCheck) -> Situation {
        let noted = check.note(&self.target, &scope()).await.unwrap();
        Situation { noted, ..situation() }
    }

    async fn ask(&self, check: &LogCheck, now: &Situation) -> Verdict {
        // The journal takes what a service writes with a moment's delay.
        tokio::time::sleep(Duration::from_millis(500)).await;
        check.check(&self.target, now, &scope()).await.unwrap()
    }
}

fn scope() -> Scope {
    booted::scope(Stage::Check, 1)
}

fn journal(unit: &str) -> LogSource {
    LogSource::Journal(ServiceName::new(unit).unwrap())
}

fn never(pattern: &str) -> LogWish {
    LogWish::NoMatch(Pattern::new(pattern).unwrap())
}

fn once(pattern: &str) -> LogWish {
    LogWish::Match(Pattern::new(pattern).unwrap())
}

fn lines(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Unhealthy { evidence, .. } => evidence.as_deref().unwrap_or_default(),
        other => panic!("not unhealthy: {other:?}"),
    }
}

/// A service that says who it is when it starts, is told to reload, and ends.
const TALKER: &str = r#"
cat > /usr/local/bin/talker <<'END'
#!/bin/bash
name=$(cat /run/name)
echo "start $name"
trap 'echo "reload $name"' HUP
trap 'echo "ERROR end $name"; exit' TERM
while :; do sleep 1 & wait $!; done
END
chmod 755 /usr/local/bin/talker
printf '[Service]\nExecStart=/usr/local/bin/talker\nExecReload=/bin/kill -HUP $MAINPID\n' \
  > /etc/systemd/system/talker.service
systemctl daemon-reload
"#;

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn each_start_of_a_service_is_judged_by_its_own_lines() {
    let host = Host::boot("ssh-log-journal", HostKind::Systemd);
    host.on(TALKER);
    host.on("echo one > /run/name; systemctl start talker");
    let silent = host.check(journal("talker"), never("ERROR|one"));
    let ready = host.check(journal("talker.service"), once("^start two$"));
    let by_systemd = host.check(journal("talker"), once("^Started talker"));

    // Before the restart the old start goes on talking, and its last words are its own.
    let (then, now) = (host.note(&silent).await, host.note(&ready).await);
    host.on("systemctl reload talker; sleep 0.5");
    assert!(matches!(host.ask(&ready, &now).await, Verdict::NotYet { .. }));
    host.on("echo two > /run/name; systemctl restart talker");
    assert_eq!(host.ask(&ready, &now).await, Verdict::Healthy);
    assert_eq!(host.ask(&silent, &then).await, Verdict::Healthy);
    assert_eq!(host.ask(&by_systemd, &then).await, Verdict::Healthy);

    // A start that failed in between is not hidden by the next one.
    host.on("echo 'three ERROR' > /run/name; systemctl restart talker; sleep 0.5");
    host.on("echo four > /run/name; systemctl restart talker");
    let verdict = host.ask(&silent, &then).await;
    assert_eq!(lines(&verdict), "ERROR end two\nstart three ERROR\nERROR end three ERROR");
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn after_a_reload_it_is_the_same_start() {
    let host = Host::boot("ssh-log-reload", HostKind::Systemd);
    host.on(TALKER);
    host.on("echo one > /run/name; systemctl start talker; sleep 0.5");
    let silent = host.check(journal("talker"), never("start|reload"));
    let ready = host.check(journal("talker"), once("^reload one$"));
    let then = host.note(&silent).await;
    assert_eq!(host.ask(&silent, &then).await, Verdict::Healthy);
    assert!(matches!(host.ask(&ready, &then).await, Verdict::NotYet { .. }));
    host.on("systemctl reload talker; sleep 1");
    assert_eq!(host.ask(&ready, &then).await, Verdict::Healthy);
    assert_eq!(lines(&host.ask(&silent, &then).await), "reload one");
    // Reloads that find it stopped start it; what it said last before that is not held against it.
    host.on("systemctl stop talker; systemctl daemon-reload; sleep 0.5");
    let silent = host.check(journal("talker"), never("ERROR|Deactivated|Stopped"));
    let then = host.note(&silent).await;
    host.on("systemctl start talker; sleep 0.5; systemctl reload talker; sleep 1");
    assert_eq!(host.ask(&ready, &then).await, Verdict::Healthy);
    assert_eq!(host.ask(&silent, &then).await, Verdict::Healthy);
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn what_may_not_be_read_or_is_not_there_is_told() {
    let host = Host::boot("ssh-log-denied", HostKind::Systemd);
    let note = async |source: LogSource| {
        let check = host.check(source, never("x"));
        check.note(&host.target, &scope()).await.unwrap_err()
    };
    let error = note(journal("no-such")).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    host.on("mkdir -m 700 /root/log; for log in /root/log/a /var/log/b; do \
             echo x > $log; chmod 600 $log; done");
    for path in ["/root/log/a", "/var/log/b"] {
        let error = note(LogSource::file(path).unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{path}: {error:?}");
        assert_eq!(error.cause(), format!("deploy may not read {path}"));
        assert!(error.hint().unwrap().contains("setfacl -m u:deploy:r"), "{:?}", error.hint());
    }
    host.on("gpasswd -d deploy systemd-journal");
    host.sessions.close().await;
    let error = note(journal("ssh")).await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert_eq!(error.cause(), "deploy may not read the journal");
}

#[tokio::test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
async fn a_host_without_systemd_has_files_and_no_journal() {
    let host = Host::boot("ssh-log-light", HostKind::Light);
    let check = host.check(journal("ssh"), never("x"));
    let error = check.note(&host.target, &scope()).await.unwrap_err();
    assert_eq!(error.cause(), "the host has no systemd journal");
    host.on("echo before > /var/log/app.log; chmod 644 /var/log/app.log");
    let file = host.check(LogSource::file("/var/log/app.log").unwrap(), never("x"));
    let then = host.note(&file).await;
    host.on("mv /var/log/app.log /var/log/app.log.1; echo x >> /var/log/app.log.1");
    assert_eq!(lines(&host.ask(&file, &then).await), "x");
}
