//! Whether a host has what a version needs to come there: what the probe knows, room, clock, origin.

mod room;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, ErrorKind, Examiner, Finding, Scope, Standing},
    model::Target,
};
use tokio::time::Instant;

use super::{SshTransport, report::Report};
use crate::{
    git::command::Git,
    session::{OnStdinEnd, Script},
};
use room::Room;

/// Asks for room and clock. Too rare to come with every shell.
const ROOM: &str = concat!(include_str!("scripts/prelude.sh"), include_str!("scripts/room.sh"));
/// Asks for the origin.
const ORIGIN: &str = concat!(
    include_str!("scripts/prelude.sh"),
    "url=$1\n",
    include_str!("scripts/pull.sh"),
    include_str!("scripts/origin.sh")
);
/// How long an origin may take to answer a target.
const ORIGIN_PATIENCE: Duration = Duration::from_secs(25);
/// Clocks may differ by so many seconds before it is told.
const SKEW: u64 = 10;

/// How much room a release takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseSize {
    /// Bytes in its files.
    pub bytes: u64,
    /// How many files it has.
    pub files: u64,
}

impl ReleaseSize {
    /// That of the commit that is checked out in the repository around `directory`; `None` where
    /// there is none.
    pub async fn of_head(directory: &Path) -> Option<Self> {
        let args = ["ls-tree", "-r", "-l", "-z", "HEAD"];
        let listed = Git::new(directory).output("measure a release", &args).await.ok()?;
        let mut size = Self { bytes: 0, files: 0 };
        for entry in String::from_utf8_lossy(&listed).split('\0') {
            let Some((facts, _)) = entry.split_once('\t') else { continue };
            size.files += 1;
            let bytes = facts.rsplit(' ').next().and_then(|bytes| bytes.parse::<u64>().ok());
            size.bytes += bytes.unwrap_or_default();
        }
        Some(size)
    }
}

/// Examines what a transport needs on a target.
#[derive(Debug)]
pub struct TransportExaminer {
    transport: Arc<SshTransport>,
    size: Option<ReleaseSize>,
}

impl TransportExaminer {
    /// Examines for `transport`, whose releases are about as large as `size`.
    pub fn new(transport: Arc<SshTransport>, size: Option<ReleaseSize>) -> Self {
        // Nobody knows here how large an archive will be.
        let size = size.filter(|_| transport.archives().is_none());
        Self { transport, size }
    }

    /// What the probe says.
    fn probed(&self, report: &Report, scope: &Scope) -> Vec<Finding> {
        let transport = &self.transport;
        let lacks = report.lacks(&transport.layout, transport.archives().is_none());
        let refused = "a deploy would refuse the host before it begins";
        let mut findings: Vec<Finding> = lacks
            .into_iter()
            .map(|lack| Finding::problem("host", lack.what).because(refused).cured_by(lack.cure))
            .collect();
        let rendered = report.rendered.lacks.iter();
        findings.extend(rendered.map(|lack| Finding::problem("templates", lack).because(refused)));
        if findings.is_empty() {
            findings.push(Finding::ok("host", "tools, live path and rights are there"));
        }
        findings.push(Finding::ok("layout", transport.sharing(report)));
        findings.extend(self.claimed(report, scope));
        if report.is_busy {
            findings.push(
                Finding::problem("claim", "an earlier switch is still at work there")
                    .cured_by("wait for its end"),
            );
        }
        let unproven = report.live_release().filter(|live| {
            report.state().is_ok_and(|state| state.good.iter().all(|good| good.release != *live))
        });
        if let Some(live) = unproven {
            let version = &live.version;
            findings.push(
                Finding::warning("live", "its last deploy never finished")
                    .because("what it serves is not known to be good")
                    .cured_by(format!("deploy-cli deploy {version} finishes it")),
            );
        }
        findings
    }

    fn claimed(&self, report: &Report, scope: &Scope) -> Option<Finding> {
        let claim = report.claim()?.claim(&scope.run, &self.transport.process);
        let (run, who) = (&claim.run, &claim.who);
        match claim.standing {
            Standing::Ours => None,
            Standing::Dead => Some(
                Finding::warning("claim", format!("run {run} of {who} died and left its claim"))
                    .because("the next deploy takes it over")
                    .cured_by("deploy-cli unlock"),
            ),
            Standing::Foreign => Some(
                Finding::problem("claim", format!("run {run} of {who} holds it"))
                    .because("a deploy would be refused with exit code 5")
                    .cured_by("wait for that run; if it is dead: deploy-cli unlock"),
            ),
        }
    }

    async fn room(&self, target: &Target, scope: &Scope) -> Result<Vec<Finding>, BackendError> {
        let layout = &self.transport.layout;
        let user = layout.known_service_user().unwrap_or_default();
        let script = Script::new(ROOM)
            .on_stdin_end(OnStdinEnd::Kill)
            .purpose_is("ask for room and clock")
            .args([layout.path(), user]);
        let before = now();
        let output = self.transport.run(target, script, scope).await?;
        let after = now();
        let room = Room::parse(&output.stdout.text());
        if !output.success() || !room.is_done {
            return Err(BackendError::new(ErrorKind::Broken, format!("ask {target} for room"))
                .with_source("its answer is not whole")
                .with_evidence(output.stderr.last_lines(20)));
        }
        let mut findings = room.space(self.size.as_ref());
        findings.extend(room.leftovers(&layout.cache()));
        findings.push(clock(room.clock, before, after));
        if !user.is_empty() {
            findings.push(if room.nobody {
                Finding::problem("service user", format!("there is no user {user}"))
                    .because("the service runs as that user")
                    .cured_by(format!("useradd --system {user}"))
            } else {
                Finding::ok("service user", format!("the user {user} is there"))
            });
        }
        Ok(findings)
    }

    async fn origin(
        &self,
        target: &Target,
        scope: &Scope,
    ) -> Result<Option<Finding>, BackendError> {
        let Some(url) = self.transport.pull_url() else { return Ok(None) };
        let url = url.as_str();
        let script = Script::new(ORIGIN)
            .purpose_is("ask for the origin")
            .args([self.transport.layout.path(), url]);
        let mut scope = scope.clone();
        scope.deadline = scope.deadline.min(Instant::now() + ORIGIN_PATIENCE);
        let silent = || Finding::problem("origin", format!("{url} cannot be read from there"));
        let why = "each host pulls the version by itself";
        let how = format!("see there, as the login user, that `git ls-remote {url}` works");
        match self.transport.run(target, script, &scope).await {
            Ok(output) if output.success() => {
                Ok(Some(Finding::ok("origin", format!("{url} can be read from there"))))
            }
            Ok(output) => {
                let said = output.stderr.last_lines(3);
                Ok(Some(silent().because(why).cured_by(how).detail(said)))
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                let told = format!("no answer within {} s", ORIGIN_PATIENCE.as_secs());
                Ok(Some(silent().because(why).cured_by(how).detail(told)))
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Examiner for TransportExaminer {
    async fn examine(&self, target: &Target, scope: &Scope) -> Result<Vec<Finding>, BackendError> {
        let report = self.transport.probe(target, scope).await?;
        let mut findings = vec![Finding::ok("login", "the host answers, and its key is known")];
        findings.extend(self.probed(&report, scope));
        let lost = self.transport.lost_links(target, &report).into_iter();
        findings.extend(lost.map(|lost| {
            Finding::warning("shared", lost.what)
                .because("what is written there would seem lost from the next deploy on")
                .cured_by(lost.cure)
        }));
        findings.extend(self.room(target, scope).await?);
        findings.extend(self.origin(target, scope).await?);
        Ok(findings)
    }
}

/// Seconds since 1970 on this machine.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// Compares the clock of a target, read between `before` and `after`, with ours.
fn clock(told: Option<i64>, before: i64, after: i64) -> Finding {
    let why = "times in history and logs, and checks of logs and certificates, would mislead";
    let Some(told) = told else {
        return Finding::warning("clock", "its clock cannot be read").because(why);
    };
    // Saturating: whatever it says is only a number.
    let skew = told.saturating_sub(if told < before { before } else { after.min(told) });
    if skew.unsigned_abs() < SKEW {
        return Finding::ok("clock", "its clock is that of this machine");
    }
    let way = if skew > 0 { "ahead of" } else { "behind" };
    Finding::warning("clock", format!("its clock is {way} this machine's"))
        .because(why)
        .cured_by("timedatectl set-ntp true")
        .detail(format!("by {} s", skew.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use deploy_core::backend::Grade;

    #[test]
    fn the_time_that_the_question_took_is_no_skew() {
        let grade = |told, before, after| clock(told, before, after).grade;
        assert_eq!(grade(Some(105), 100, 110), Grade::Ok);
        assert_eq!(grade(Some(95), 100, 130), Grade::Ok);
        assert_eq!(grade(Some(60), 100, 130), Grade::Warning);
        assert_eq!(clock(Some(200), 100, 130).detail.unwrap(), "by 70 s");
        assert_eq!(grade(None, 100, 130), Grade::Warning);
        assert_eq!(grade(Some(i64::MIN), 100, 130), Grade::Warning);
    }
}
