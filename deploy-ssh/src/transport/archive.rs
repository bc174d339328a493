//! Brings a release that was built here onto a target, whole and compared.

use std::sync::Arc;

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Stream},
    model::{Release, Target},
};

use super::{
    Answered, Report, SshTransport, commit_of, failure, rendered::Rendering, status, within,
};
use crate::{
    archive::{Archive, Packing},
    session::{Script, Stdin},
    state::{Content, Mark},
};

const ARCHIVE: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/manifest.sh"),
    include_str!("scripts/release.sh"),
    include_str!("scripts/archive.sh")
);
/// The same, for releases with rendered files.
const ARCHIVE_RENDERED: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/rendered.sh"),
    include_str!("scripts/manifest.sh"),
    include_str!("scripts/release.sh"),
    include_str!("scripts/archive.sh")
);
/// What a target needs beside what every release needs.
pub(super) const TOOLS: [&str; 7] = ["tar", "sha256sum", "sed", "sort", "uniq", "xargs", "dd"];

/// What is sent of an archive.
#[derive(Clone, Copy)]
struct Sent<'a> {
    archive: &'a Arc<Archive>,
    /// The release that is built upon, and its manifest.
    base: Option<(&'a str, &'a str)>,
}

impl SshTransport {
    /// Puts `release`, which is made of an archive, beside what is live.
    pub(super) async fn bring_archive(
        &self,
        target: &Target,
        release: &Release,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("fetch {release:?} to {target}", release = release.to_string());
        let known = self.known(target, scope).await?;
        let id = release.id.as_str();
        if let Some(mark) = known.releases.get(id) {
            match self.call_archive(target, mark, None, scope, &attempted).await {
                Ok(()) => {}
                Err(Unfit::Damaged) => self.mend_archive(target, release, scope).await?,
                Err(Unfit::Else(error)) => return Err(error),
            }
            self.set_compared(target, &release.id);
            return Ok(());
        }
        let (archive, mark, rendered) = self.new_archive_mark(target, release, &attempted).await?;
        let base = known.releases.get(&known.live).and_then(|live| match &live.content {
            Content::Manifest(digest) => Some((live.id.as_str(), digest.as_str())),
            Content::Tree(_) | Content::Adopted(_) => None,
        });
        let sent = Sent { archive: &archive, base };
        match self.call_archive(target, &mark, Some(sent), scope, &attempted).await {
            Err(Unfit::Damaged) if base.is_some() => {
                let text = b"the release before cannot be built upon: everything is sent\n";
                scope.output.write(target, scope.stage, Stream::Stderr, text);
                let sent = Sent { base: None, ..sent };
                self.call_archive(target, &mark, Some(sent), scope, &attempted).await
            }
            other => other,
        }
        .map_err(|unfit| unfit.into_error(&attempted))?;
        if mark.rendered {
            self.finish(target, &mark, rendered, scope).await?;
        }
        self.set_compared(target, &release.id);
        Ok(())
    }

    /// The archive of a new release, the mark that it will get, and what will be rendered into it.
    async fn new_archive_mark(
        &self,
        target: &Target,
        release: &Release,
        attempted: &str,
    ) -> Result<(Arc<Archive>, Mark, Option<Rendering>), BackendError> {
        let commit = commit_of(&release.version)?;
        let Some(archive) = self.archives().and_then(|archives| archives.known(&commit)) else {
            let gone =
                format!("{} is gone there, and was made by another configuration", release.id);
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(gone)
                .with_hint("deploy the version anew"));
        };
        let content = Content::Manifest(archive.digest.clone());
        let (mark, rendered) = self.new_mark(target, release, content, attempted).await?;
        Ok((archive, mark, rendered))
    }

    /// Repairs a release that is there but damaged, of the archive that it was made of.
    pub(super) async fn mend_archive(
        &self,
        target: &Target,
        release: &Release,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("mend {release:?} on {target}", release = release.to_string());
        let known = self.known(target, scope).await?;
        let not_found = |why: String| {
            BackendError::new(ErrorKind::NotFound, attempted.clone())
                .with_source(why)
                .with_hint("deploy the version anew")
        };
        let mark = known.releases.get(release.id.as_str());
        let mark = mark.ok_or_else(|| not_found(format!("{} is gone there", release.id)))?;
        let commit = commit_of(&release.version)?;
        let archive = match (self.archives(), &mark.content) {
            (Some(archives), Content::Manifest(digest)) => {
                let found = async { Ok(archives.find(digest, &release.version, &commit).await) };
                within(scope, &attempted, found).await?
            }
            _ => None,
        };
        let archive = archive.ok_or_else(|| {
            not_found("it is damaged, and its archive is not kept on this machine".to_owned())
        })?;
        let sent = Sent { archive: &archive, base: None };
        let mended = self.call_archive(target, mark, Some(sent), scope, &attempted).await;
        mended.map_err(|unfit| unfit.into_error(&attempted))
    }

    async fn call_archive(
        &self,
        target: &Target,
        mark: &Mark,
        sent: Option<Sent<'_>>,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), Unfit> {
        let (mut dead, mut is_restored) = (String::new(), false);
        for _ in 0..super::ROUNDS {
            let known = self.known(target, scope).await?;
            let packing = if known.has_gzip() { Packing::Gzip } else { Packing::Plain };
            let stdin = match (sent, self.archives()) {
                (Some(sent), Some(archives)) => {
                    let base = sent.base.map(|(_, digest)| digest);
                    let stream = archives.stream(sent.archive, base, packing);
                    Stdin::File(within(scope, attempted, stream).await?)
                }
                _ => Stdin::Empty,
            };
            let bytes = sent.map(|sent| sent.archive.manifest_bytes.to_string());
            let script = self
                .archive_script(mark, sent, &known, scope, &dead)
                .arg(bytes.unwrap_or_default())
                .arg(if packing == Packing::Gzip { "gzip" } else { "plain" })
                .args(mark.shared.iter().cloned())
                .stdin(stdin);
            match Answered::of(self.run(target, script, scope).await?) {
                Answered::Done(report) => {
                    self.pass_on(target, &report, scope);
                    self.note(target, report);
                    return Ok(());
                }
                Answered::Claimed(held) => dead = self.take_over(target, held, attempted, scope)?,
                Answered::Else(output, _) if output.status == status::RENDERED && !is_restored => {
                    is_restored = true;
                    self.restore(target, mark, &output, scope).await?;
                }
                Answered::Else(output, _) => {
                    let error = failure::explain(&output, &known, &self.layout.cache(), attempted);
                    let unfit = [status::OBJECTS, status::DAMAGED].contains(&output.status);
                    return Err(match unfit && !failure::is_environment(&output) {
                        true if sent.is_none_or(|sent| sent.base.is_some()) => Unfit::Damaged,
                        _ => Unfit::Else(error),
                    });
                }
            }
        }
        Err(Unfit::Else(
            BackendError::new(ErrorKind::Conflict, attempted)
                .with_source("others took and left the target again and again"),
        ))
    }

    fn archive_script(
        &self,
        mark: &Mark,
        sent: Option<Sent<'_>>,
        known: &Report,
        scope: &Scope,
        dead: &str,
    ) -> Script {
        let digest = match &mark.content {
            Content::Manifest(digest) | Content::Tree(digest) | Content::Adopted(digest) => digest,
        };
        let base = sent.and_then(|sent| sent.base).map_or("", |(id, _)| id);
        Script::new(if mark.rendered { ARCHIVE_RENDERED } else { ARCHIVE })
            .arg(self.layout.path())
            .arg(scope.run.as_str())
            .arg(self.claim(scope))
            .arg(dead)
            .arg(&mark.id)
            .arg(digest)
            .arg(mark.open_line())
            .arg(self.share(known).word())
            .arg(base)
    }
}

/// Why a call did not come to a whole release.
enum Unfit {
    /// What lies there is not what it should be; with everything sent it can be made so.
    Damaged,
    /// Anything else.
    Else(BackendError),
}

impl From<BackendError> for Unfit {
    fn from(error: BackendError) -> Self {
        Self::Else(error)
    }
}

impl Unfit {
    fn into_error(self, attempted: &str) -> BackendError {
        match self {
            Self::Damaged => BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("what lies there cannot be made whole"),
            Self::Else(error) => error,
        }
    }
}
