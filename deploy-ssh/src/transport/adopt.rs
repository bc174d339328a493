//! Takes over what lies at the live path of a target, and gives it back. See `docs/adopt.md`.
//!
//! What is served is never copied: its directory is moved into our releases, and a link to it is put
//! where it was, both by one exchange of two names. Then it is a release like any other, but for its
//! content, which nobody else has.

mod found;
mod record;
mod steps;

use std::sync::Arc;

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Standing},
    model::{Release, Target, Version, VersionId},
};
use jiff::Timestamp;

pub use self::{
    found::{Found, What},
    record::Record,
    steps::{Adopt, GiveBack},
};
use super::{Answered, Report, SshTransport, failure};
use crate::{
    claim::ClaimRecord,
    git::{command::Git, oid::Oid},
    layout,
    session::{Output, Script, Stdin},
};

const LOOK: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("adopt/scripts/layout.sh"),
    include_str!("adopt/scripts/look.sh")
);
const COMPARE: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("adopt/scripts/layout.sh"),
    include_str!("adopt/scripts/compare.sh")
);
/// The digits of a content in the name of a version that the repository does not know.
const DIGITS: usize = 7;

/// Which version lies on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The version: a commit of the repository, or one that is known on the target only.
    pub version: Version,
    /// Whether the repository has it.
    pub is_known: bool,
    /// How many files are not as the commit has them.
    pub differing: usize,
    /// The first of them. The target's own words.
    pub differs: Vec<String>,
    digest: String,
}

/// What is taken over on a target: what was found, and the release that it becomes.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// What was found.
    pub found: Found,
    /// Which version it is; `None` where an adoption that was broken off is finished.
    pub identity: Option<Identity>,
    /// The release that it becomes.
    pub release: Release,
}

impl Adoption {
    /// What becomes of `found`, of which `identity` is the version.
    ///
    /// # Errors
    /// `Broken` when the version cannot be a release.
    pub fn new(found: Found, identity: Identity) -> Result<Self, BackendError> {
        let release = layout::adopted(&identity.version, &identity.digest).ok_or_else(|| {
            BackendError::new(ErrorKind::Broken, "name what was found")
                .with_source(format!("{:?} is no commit", identity.version))
        })?;
        Ok(Self { found, identity: Some(identity), release })
    }

    /// What becomes of `found`, which a run that was broken off has left; `None` where that is not
    /// what was found.
    pub fn of_unfinished(found: Found) -> Option<Self> {
        if !matches!(found.what, What::Half | What::Ours) {
            return None;
        }
        let id = found.record.as_ref()?.release.clone();
        let release = found.report.release(id.as_str())?;
        Some(Self { found, identity: None, release })
    }
}

impl SshTransport {
    /// Looks at what lies at the live path of `target`. Changes nothing there, but for an exchange
    /// that is tried in a directory of its own, which is removed again.
    ///
    /// # Errors
    /// As [`live`](deploy_core::backend::Transport::live).
    pub async fn find(&self, target: &Target, scope: &Scope) -> Result<Found, BackendError> {
        let attempted = format!("look at {} on {target}", self.layout.path());
        let script = Script::new(LOOK).arg(self.layout.path());
        let output = self.run(target, script, scope).await?;
        let mut found = Found::parse(&output.stdout.bytes());
        found.is_unfinished |= self.is_left_by_dead(&found, scope);
        match output.success() && found.report.is_done {
            true => Ok(found),
            false => Err(not_whole(&output, &attempted)),
        }
    }

    /// Whether the run that adopted it died before it gave up its claim.
    fn is_left_by_dead(&self, found: &Found, scope: &Scope) -> bool {
        let claim = found.report.claim_line.as_deref().and_then(ClaimRecord::parse);
        let (Some(claim), Some(record)) = (claim, &found.record) else { return false };
        claim.run == record.run && claim.standing(&scope.run, &self.process) == Standing::Dead
    }

    /// Tells which version `found` is: `commit`, where most of its files are there, or else one of
    /// its own. Reads every file. Changes nothing.
    ///
    /// # Errors
    /// `Denied` when a file cannot be read.
    pub async fn identify(
        &self,
        target: &Target,
        found: &Found,
        commit: Option<&Version>,
        scope: &Scope,
    ) -> Result<Identity, BackendError> {
        if let Some(version) = commit.filter(|_| found.has_git) {
            let compared = self.compare(target, Some(&version.id), scope).await?;
            if compared.differing * 2 <= compared.number {
                return Ok(of_commit(version, compared));
            }
        }
        of_its_own(self.compare(target, None, scope).await?)
    }

    /// Compares what is served with `commit`, or reads it for what it is.
    async fn compare(
        &self,
        target: &Target,
        commit: Option<&VersionId>,
        scope: &Scope,
    ) -> Result<Compared, BackendError> {
        let attempted = format!("compare what is served on {target}");
        let (list, format) = match commit {
            Some(commit) => self.listed(commit, &attempted).await?,
            None => (String::new(), "sha1"),
        };
        let script = Script::new(COMPARE)
            .arg(self.layout.path())
            .arg(if commit.is_some() { "1" } else { "0" })
            .arg(format)
            .args(self.layout.shared())
            .stdin(Stdin::Bytes(Arc::from(list.into_bytes())));
        let output = self.run(target, script, scope).await?;
        match Compared::parse(&output.stdout.bytes()).filter(|_| output.success()) {
            Some(compared) => Ok(compared),
            None => Err(not_whole(&output, &attempted)),
        }
    }

    /// The files of a commit, a line for each, and how its ids are written.
    async fn listed(
        &self,
        commit: &VersionId,
        attempted: &str,
    ) -> Result<(String, &'static str), BackendError> {
        let Some(commit) = Oid::of(commit) else { return Ok((String::new(), "sha1")) };
        let git = Git::new(&self.repository);
        let args = ["ls-tree", "-r", "-z", "--full-tree", commit.as_str()];
        let listed = git.output(attempted, &args).await?;
        let mut lines = String::new();
        for entry in listed.split(|byte| *byte == 0) {
            let Ok(entry) = std::str::from_utf8(entry) else { continue };
            let Some((meta, path)) = entry.split_once('\t') else { continue };
            let mut meta = meta.split(' ');
            if let (Some(mode), Some(_), Some(object)) = (meta.next(), meta.next(), meta.next())
                && !path.chars().any(char::is_control)
            {
                lines.push_str(&format!("{mode} {object} {path}\n"));
            }
        }
        Ok((lines, if commit.as_str().len() == 40 { "sha1" } else { "sha256" }))
    }
}

/// What a comparison came to.
struct Compared {
    number: usize,
    differing: usize,
    differs: Vec<String>,
    digest: String,
}

impl Compared {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (mut compared, mut is_done) =
            (Self { number: 0, differing: 0, differs: Vec::new(), digest: String::new() }, false);
        for line in String::from_utf8_lossy(bytes).lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "compared" => compared.number = value.trim().parse().ok()?,
                "differ" => compared.differing = value.trim().parse().ok()?,
                "differs" if compared.differs.len() < 20 => {
                    compared.differs.push(value.to_owned());
                }
                "digest" => value.get(..64)?.clone_into(&mut compared.digest),
                "done" => is_done = true,
                _ => {}
            }
        }
        (is_done && Oid::parse(&compared.digest).is_some()).then_some(compared)
    }
}

fn of_commit(version: &Version, compared: Compared) -> Identity {
    let mut version = version.clone();
    if compared.differing > 0 {
        let name = version.name.unwrap_or_else(|| version.id.short().to_owned());
        version.name = Some(format!("{name} with changes"));
    }
    let Compared { differing, differs, digest, .. } = compared;
    Identity { version, is_known: true, differing, differs, digest }
}

/// A version that is known on its target only: by its content, and by a name that says since when.
fn of_its_own(compared: Compared) -> Result<Identity, BackendError> {
    let today = Timestamp::now().strftime("%Y-%m-%d");
    let (id, short) = (&compared.digest[..40], &compared.digest[..DIGITS]);
    let name = format!("adopted-{today}-{short}");
    let id = VersionId::new(id)
        .map_err(|error| BackendError::new(ErrorKind::Broken, &*name).with_source(error))?;
    let version = Version { id, name: Some(name) };
    let (differing, differs) = (0, Vec::new());
    Ok(Identity { version, is_known: false, differing, differs, digest: compared.digest })
}

/// The error for an answer that cannot be used.
fn not_whole(output: &Output, attempted: &str) -> BackendError {
    let is_denied = output.stderr.text().contains("Permission denied");
    let kind = if is_denied { ErrorKind::Denied } else { ErrorKind::Broken };
    BackendError::new(kind, attempted)
        .with_source(format!("its answer is not whole (exit status {})", output.status))
        .with_evidence(output.stderr.last_lines(20))
}
