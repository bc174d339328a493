//! How a git version comes onto a host: packed here, unpacked there, switched by one rename.
//!
//! What happens on a target is done by a few fixed scripts in POSIX sh (`transport/scripts`), each
//! sent as one step. They decide nothing: ids, states and lists come from here as arguments.

mod adopt;
mod archive;
mod examine;
mod failure;
mod fetch;
mod finalize;
mod linked;
mod method;
mod preview;
mod promote;
mod rendered;
mod report;
mod share;
mod unlock;

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Closing, ErrorKind, Live, Scope, Standing, Transport},
    model::{Release, ReleaseId, Target, Version},
    plan::Change,
};
use jiff::Timestamp;

use crate::{
    cache::Cache,
    claim::{ClaimRecord, RunProcess},
    git::oid::Oid,
    layout::{BuildStep, Layout},
    pack::Packs,
    session::{OnStdinEnd, Output, Script, Sessions},
    state::{Content, LONGEST_NAME},
};
pub use adopt::{Adopt, Adoption, Found, GiveBack, Identity, Record, What};
pub use examine::{ReleaseSize, TransportExaminer};
use failure::status;
use method::Method;
pub use method::{FetchMethod, PullUrl, PullUrlError};
use rendered::Renders;
use report::{Lack, Report};
pub use unlock::Held;

/// What asks a target that has rendered files. Too rare to come with every shell.
const PROBE_RENDERED: &str = concat!(
    include_str!("transport/scripts/prelude.sh"),
    include_str!("transport/scripts/rendered.sh"),
    "show_rendered \"$1\" \"$2\"\nshift 2\n",
    include_str!("transport/scripts/probe.sh")
);
/// How much of a report is kept: a state, a claim, the marks of a few hundred releases, and what was
/// rendered into some.
const REPORT: usize = 1024 * 1024;
/// How much of the complaints of our own scripts is kept.
const COMPLAINTS: usize = 16 * 1024;
/// How often a step is sent again because the target had changed in between.
const ROUNDS: usize = 4;

/// Brings versions of a git repository onto hosts. See `docs/fetch.md` and `docs/layout.md`.
#[derive(Debug)]
pub struct SshTransport {
    sessions: Sessions,
    layout: Layout,
    steps: Vec<BuildStep>,
    repository: PathBuf,
    packs: Packs,
    method: Method,
    renders: Option<Renders>,
    process: RunProcess,
    since: Timestamp,
    /// What each target said last.
    reports: Mutex<HashMap<Target, Report>>,
    /// What was fetched and compared by this very value, and needs no second look.
    compared: Mutex<HashSet<(Target, ReleaseId)>>,
}

impl SshTransport {
    /// Brings versions of the repository that `repository` is in to where `layout` says. Claims
    /// on targets are made in the name of `process`.
    pub fn new(
        sessions: Sessions,
        repository: impl Into<PathBuf>,
        layout: Layout,
        process: RunProcess,
    ) -> Self {
        let repository = repository.into();
        Self {
            sessions,
            layout,
            steps: Vec::new(),
            packs: Packs::new(&repository),
            repository,
            method: Method::Push,
            renders: None,
            process,
            since: Timestamp::now(),
            reports: Mutex::default(),
            compared: Mutex::default(),
        }
    }

    /// Runs `steps` in each new release, in this order, before it counts as complete.
    #[must_use]
    pub fn build_steps(mut self, steps: Vec<BuildStep>) -> Self {
        self.steps = steps;
        self
    }

    /// Keeps what spares work in later runs, such as which blobs large files are, in a directory of
    /// this user's own in `directory`. That one may be removed at any time. Without this, or where
    /// `directory` does not exist, nothing is kept. Call it after [`fetch_by`](Self::fetch_by).
    #[must_use]
    pub fn cache_in(mut self, directory: &Path) -> Self {
        self.packs.keep_in(Cache::of_user(directory));
        if let Method::Archive(archives) = &mut self.method {
            archives.keep_in(Cache::of_user(directory));
        }
        self
    }

    /// Where things lie on the targets.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether `version` can be brought to targets at all: its commit and those of its submodules
    /// are here, and no symbolic link in it stands at or above a shared directory. What is needed
    /// of it is brought here: large files, and its archive, which is built if need be. Until then
    /// [`release`](Transport::release) does not know an archive. Touches no target.
    ///
    /// # Errors
    /// `NotFound`, `Rejected` or `TimedOut`, with the reason.
    pub async fn admit(&self, version: &Version) -> Result<(), BackendError> {
        match self.archives() {
            None => self.flat(version).await.map(drop),
            Some(_) if !self.steps.is_empty() => {
                let attempted = format!("lay out {}", version.id.short());
                let why = "an archive is complete as it was built: build steps are not run in it";
                Err(BackendError::new(ErrorKind::Rejected, attempted).with_source(why))
            }
            Some(archives) => {
                archives.of(version, &commit_of(version)?, &self.packs).await.map(drop)
            }
        }
    }

    /// As [`admit`](Self::admit), for the way back, which must not fail because something cannot be
    /// built today: an archive that is not kept is missed only where a target needs it.
    ///
    /// # Errors
    /// As [`admit`](Self::admit), but nothing is built.
    pub async fn admit_back(&self, version: &Version) -> Result<(), BackendError> {
        match self.archives() {
            None => self.flat(version).await.map(drop),
            Some(archives) => {
                archives.recall(version, &commit_of(version)?).await;
                Ok(())
            }
        }
    }

    async fn flat(&self, version: &Version) -> Result<Arc<crate::pack::Flat>, BackendError> {
        let flat = self.packs.flat(&commit_of(version)?).await?;
        for shared in self.layout.shared() {
            if let Some(link) = flat.link_above(shared) {
                return Err(BackendError::new(
                    ErrorKind::Rejected,
                    format!("lay out {}", version.id.short()),
                )
                .with_source(format!(
                    "it has the symbolic link {link:?} at or above the shared directory {shared:?}"
                ))
                .with_hint("remove the link from the repository, or the directory from `shared`"));
            }
        }
        Ok(flat)
    }

    /// Asks a target everything in one step.
    async fn probe(&self, target: &Target, scope: &Scope) -> Result<Report, BackendError> {
        let attempted = format!("ask {target} what it serves");
        let tools: &[&str] = if self.archives().is_some() { &archive::TOOLS } else { &[] };
        let script = self.probe_script(target).args(tools.iter().copied());
        let output = self.run(target, script, scope).await?;
        let mut report = Report::parse(&output.stdout.bytes());
        if let Some(renders) = &self.renders {
            let is_root = report.user().is_some_and(|(_, is_root)| is_root);
            let wanted = renders.wanted(target);
            let hidden = report.rendered.judge(renders, wanted.as_deref(), is_root);
            self.sessions.session(target).hide(hidden);
        }
        if !output.success() || !report.is_done || output.stdout.is_truncated() {
            let error = BackendError::new(ErrorKind::Broken, attempted);
            return Err(error
                .with_source(format!("its answer is not whole (exit status {})", output.status))
                .with_evidence(output.stderr.last_lines(20)));
        }
        self.note(target, report.clone());
        Ok(report)
    }

    fn probe_script(&self, target: &Target) -> Script {
        // It changes nothing and is short: nobody needs to watch over it.
        let unwatched = |script: Script| script.on_stdin_end(OnStdinEnd::RunToEnd);
        let Some(renders) = &self.renders else {
            return unwatched(Script::function("probe")).arg(self.layout.path());
        };
        // Secrets are only asked for where the target is to get some.
        let wanted = renders.wanted(target).filter(|wanted| !wanted.secrets.is_empty());
        let secrets = wanted.and(renders.templates().secrets_path()).unwrap_or_default();
        unwatched(Script::new(PROBE_RENDERED))
            .arg(self.layout.path())
            .arg(secrets)
            .arg(self.layout.known_service_user().unwrap_or_default())
    }

    /// What the target said last, or says now.
    async fn known(&self, target: &Target, scope: &Scope) -> Result<Report, BackendError> {
        let known = self.reports().get(target).cloned();
        match known {
            Some(report) => Ok(report),
            None => self.probe(target, scope).await,
        }
    }

    /// Remembers what a target said after a change, along with what only a probe says.
    fn note(&self, target: &Target, report: Report) {
        let mut reports = self.reports();
        let old = reports.remove(target);
        reports.insert(target.clone(), report.after(old));
    }

    fn reports(&self) -> std::sync::MutexGuard<'_, HashMap<Target, Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_compared(&self, target: &Target, id: &ReleaseId) -> bool {
        let compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        compared.contains(&(target.clone(), id.clone()))
    }

    fn set_compared(&self, target: &Target, id: &ReleaseId) {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        compared.insert((target.clone(), id.clone()));
    }

    /// Runs one of our own scripts. What it says is for us; only its complaints are for people.
    async fn run(
        &self,
        target: &Target,
        script: Script,
        scope: &Scope,
    ) -> Result<Output, BackendError> {
        self.sessions.run(target, &script.answers().keep(REPORT, COMPLAINTS), scope).await
    }

    /// Our claim on a target, the same for all calls of a run.
    fn claim(&self, scope: &Scope) -> String {
        ClaimRecord {
            run: scope.run.clone(),
            who: who(scope),
            since: self.since,
            process: self.process.clone(),
        }
        .line()
    }

    /// The claim that kept us out, to be taken over, if it may be.
    ///
    /// # Errors
    /// `Claimed`, with who holds the target, when it may not.
    fn take_over(
        &self,
        target: &Target,
        held: String,
        attempted: &str,
        scope: &Scope,
    ) -> Result<String, BackendError> {
        let error = BackendError::new(ErrorKind::Claimed, attempted);
        let unlock = format!("if that run is dead: `deploy-cli unlock --hosts {target}`");
        let Some(record) = ClaimRecord::parse(&held) else {
            return Err(error.with_source("its claim cannot be read").with_hint(unlock));
        };
        match record.standing(&scope.run, &self.process) {
            Standing::Ours | Standing::Dead => Ok(held),
            Standing::Foreign => Err(error
                .with_source(format!(
                    "the run {} of {:?} on {:?} holds it since {:.0}",
                    record.run, record.who, record.process.host, record.since
                ))
                .with_hint(unlock)),
        }
    }
}

#[async_trait]
impl Transport for SshTransport {
    fn release(&self, target: &Target, version: &Version) -> Result<Release, BackendError> {
        let rejected = |why: &str| {
            let attempted = format!("lay out {} on {target}", version.id.short());
            BackendError::new(ErrorKind::Rejected, attempted).with_source(why)
        };
        if version.name.as_ref().is_some_and(|name| name.len() > LONGEST_NAME) {
            return Err(rejected("its name is too long"));
        }
        self.release_on(target, version)?
            .ok_or_else(|| rejected("it is not a commit of a git repository"))
    }

    async fn live(&self, target: &Target, scope: &Scope) -> Result<Live, BackendError> {
        let report = self.probe(target, scope).await?;
        let claim = report.claim_line.as_deref().and_then(ClaimRecord::parse);
        if report.is_busy && claim.is_some_and(|claim| claim.run == scope.run) {
            let error = BackendError::new(ErrorKind::Conflict, "ask what it serves");
            return Err(error.with_source("an earlier switch of this run is still at work there"));
        }
        let needs_git = self.archives().is_none();
        let rendered = report.rendered.clone();
        let sharing = self.sharing(&report);
        let lost = self.lost_links(target, &report);
        let mut live = report.into_live(&self.layout, needs_git, &scope.run, &self.process);
        live.details.push(sharing);
        live.notes.extend(lost.iter().map(Lack::in_a_line));
        if let Some(renders) = &self.renders {
            live.notes.extend(rendered.notes(renders.templates().secrets_path()));
            live.lacks.extend(rendered.lacks);
        }
        Ok(live)
    }

    async fn fetch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let Some(release) = &change.to else { return Ok(()) };
        let known = self.known(target, scope).await?;
        let is_archive = match known.releases.get(release.id.as_str()) {
            Some(mark) if mark.is_adopted() => return Ok(()),
            // It stays what it was made of, however new ones are made.
            Some(mark) => matches!(mark.content, Content::Manifest(_)),
            None => self.archives().is_some(),
        };
        match is_archive {
            true => self.bring_archive(target, release, scope).await,
            false => self.bring(target, release, scope).await,
        }
    }

    async fn promote(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.switch(target, change, scope).await
    }

    async fn finalize(
        &self,
        target: &Target,
        closing: &Closing,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        self.close(target, closing, scope).await
    }
}

/// Who runs it, as it is written on targets: what is longer than anybody's name is cut off, so that
/// what is written can be read again.
fn who(scope: &Scope) -> String {
    scope.who.chars().take(200).collect()
}

fn commit_of(version: &Version) -> Result<Oid, BackendError> {
    Oid::of(&version.id).ok_or_else(|| {
        BackendError::new(ErrorKind::Rejected, format!("read the version {version:?}"))
            .with_source("it is not a commit of a git repository")
    })
}

/// Ends work on this machine with the call that it belongs to.
async fn within<T>(
    scope: &Scope,
    attempted: &str,
    work: impl Future<Output = Result<T, BackendError>>,
) -> Result<T, BackendError> {
    tokio::select! {
        done = work => done,
        () = tokio::time::sleep_until(scope.deadline) => {
            Err(BackendError::new(ErrorKind::TimedOut, attempted))
        }
        () = scope.cancel.cancelled() => Err(BackendError::new(ErrorKind::Cancelled, attempted)),
    }
}

/// What a script answered, when it is one of the answers that are dealt with.
enum Answered {
    /// It did what it was asked.
    Done(Report),
    /// Somebody holds the target: their claim.
    Claimed(String),
    /// It met something else.
    Else(Output, Report),
}

impl Answered {
    fn of(output: Output) -> Self {
        let report = Report::parse(&output.stdout.bytes());
        match output.status {
            0 if report.is_done => Self::Done(report),
            status::CLAIMED => Self::Claimed(report.claimed.unwrap_or_default()),
            _ => Self::Else(output, report),
        }
    }
}
