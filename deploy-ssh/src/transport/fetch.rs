//! Brings a release onto a target, whole and compared.

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Stream},
    model::{Release, Target},
};
use tokio::time::Instant;

use super::{
    Answered, PullUrl, Report, SshTransport, commit_of, failure, rendered::Rendering, share::Share,
    status, within,
};
use crate::{
    git::oid::Oid,
    layout::BuildStep,
    pack::Flat,
    session::{Script, Stdin, quote},
    state::{Content, Mark},
};

/// What pulls before it fetches. Too rare to come with every shell.
const PULL_AND_FETCH: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/release.sh"),
    include_str!("scripts/pull.sh"),
    include_str!("scripts/fetch.sh")
);
/// Both for releases with rendered files, which are rare too.
const FETCH_RENDERED: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/rendered.sh"),
    include_str!("scripts/release.sh"),
    include_str!("scripts/fetch.sh")
);
const PULL_AND_FETCH_RENDERED: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/rendered.sh"),
    include_str!("scripts/release.sh"),
    include_str!("scripts/pull.sh"),
    include_str!("scripts/fetch.sh")
);
/// Runs a build step as a person would: with their home and their environment.
const BUILD: &str = r#"cd "$1" || exit 1; umask 022; exec sh -c "$2""#;

/// How far one call of the script goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// To a complete release.
    All,
    /// To a tree that build steps may work in.
    Unpack,
    /// From there to a complete release.
    Seal,
    /// To a whole release, of one that is there.
    Mend,
}

/// One call of the script.
struct Call<'a> {
    part: Part,
    flat: &'a Flat,
    mark: &'a Mark,
    base: Option<&'a str>,
    share: Share,
}

/// Where the objects of a call come from.
struct Objects<'a> {
    /// What is sent.
    stdin: Stdin,
    /// What the target pulls the commit from.
    pulled_from: Option<&'a PullUrl>,
}

impl SshTransport {
    /// Puts `release` beside what is live.
    pub(super) async fn bring(
        &self,
        target: &Target,
        release: &Release,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("fetch {release:?} to {target}", release = release.to_string());
        let known = self.known(target, scope).await?;
        let (flat, mark, rendered) = match known.releases.get(release.id.as_str()) {
            // It was laid out by the rules of its own day, and stays so.
            Some(mark) => {
                let commit = commit_of(&release.version)?;
                let flat = within(scope, &attempted, self.packs.flat_of_old(&commit)).await?;
                (flat, mark.clone(), None)
            }
            None => {
                let flat = within(scope, &attempted, self.flat(&release.version)).await?;
                let content = Content::Tree(flat.tree.to_string());
                let (mark, rendered) = self.new_mark(target, release, content, &attempted).await?;
                (flat, mark, rendered)
            }
        };
        let part = if self.steps.is_empty() { Part::All } else { Part::Unpack };
        // What was adopted is not made as ours are made, and may be written to.
        let base = known.releases.get(&known.live).filter(|live| !live.is_adopted());
        let base = base.map(|_| known.live.as_str());
        let share = self.share(&known);
        let call = Call { part, flat: &flat, mark: &mark, base, share };
        let report = self.call(target, &call, scope, &attempted).await?;
        if part == Part::Unpack && !report.is_complete {
            self.build(target, release, &known, scope).await?;
            let seal = Call { part: Part::Seal, ..call };
            self.call(target, &seal, scope, &attempted).await?;
        }
        if mark.rendered && !report.is_complete {
            self.finish(target, &mark, rendered, scope).await?;
        }
        self.set_compared(target, &release.id);
        Ok(())
    }

    /// The mark that a new release of `content` will get, and what will be rendered into it.
    ///
    /// # Errors
    /// `NotFound` when the present configuration makes another release.
    pub(super) async fn new_mark(
        &self,
        target: &Target,
        release: &Release,
        content: Content,
        attempted: &str,
    ) -> Result<(Mark, Option<Rendering>), BackendError> {
        let mut mark = Mark {
            id: release.id.to_string(),
            version: release.version.clone(),
            content,
            shared: self.layout.shared().to_vec(),
            rendered: false,
            built: None,
        };
        let Some(rendered) = self.rendered_into(target, &mark).await? else {
            let gone =
                format!("{} is gone there, and was made by another configuration", release.id);
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(gone)
                .with_hint("deploy the version anew"));
        };
        mark.rendered = !rendered.is_empty();
        Ok((mark, Some(rendered)))
    }

    /// Repairs a release that is there but damaged, of objects that are brought anew.
    pub(super) async fn mend(
        &self,
        target: &Target,
        release: &Release,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("mend {release:?} on {target}", release = release.to_string());
        let commit = commit_of(&release.version)?;
        let flat = within(scope, &attempted, self.packs.flat(&commit)).await?;
        let known = self.known(target, scope).await?;
        let Some(mark) = known.releases.get(release.id.as_str()) else {
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source(format!("{} is gone there", release.id)));
        };
        let call = Call { part: Part::Mend, flat: &flat, mark, base: None, share: Share::None };
        self.call(target, &call, scope, &attempted).await.map(drop)
    }

    /// Sends the script, with whatever pack it needs; heals a store that proves corrupt, once.
    async fn call(
        &self,
        target: &Target,
        call: &Call<'_>,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Report, BackendError> {
        let (mut dead, mut is_fresh, mut is_restored) = (String::new(), false, false);
        for _ in 0..super::ROUNDS {
            let known = self.known(target, scope).await?;
            let objects = self.objects(call, &known, is_fresh, scope, attempted).await?;
            let Objects { stdin, pulled_from } = objects;
            let is_sent = !matches!(stdin, Stdin::Empty);
            let name = call.mark.version.name.clone().unwrap_or_default();
            let format = within(scope, attempted, self.packs.format()).await?;
            let script = self
                .fetch_script(call, scope, &dead, pulled_from.is_some())
                .arg(if is_fresh { "1" } else { "0" })
                .arg(if is_sent { "1" } else { "0" })
                .arg(format)
                .arg(pulled_from.map_or("", PullUrl::as_str))
                .arg(name)
                .args(&call.mark.shared)
                .stdin(stdin);
            match Answered::of(self.run(target, script, scope).await?) {
                Answered::Done(report) => {
                    self.pass_on(target, &report, scope);
                    self.note(target, report.clone());
                    return Ok(report);
                }
                Answered::Claimed(held) => dead = self.take_over(target, held, attempted, scope)?,
                Answered::Else(output, _)
                    if output.status == status::OBJECTS
                        && !is_fresh
                        && !failure::is_environment(&output) =>
                {
                    let text = b"the store of objects is corrupt: it is made anew\n";
                    scope.output.write(target, scope.stage, Stream::Stderr, text);
                    is_fresh = true;
                }
                Answered::Else(output, _) if output.status == status::RENDERED && !is_restored => {
                    is_restored = true;
                    self.restore(target, call.mark, &output, scope).await?;
                }
                Answered::Else(output, _) => {
                    let cache = self.layout.cache();
                    let error = failure::explain(&output, &known, &cache, attempted);
                    return Err(match pulled_from {
                        Some(url) if output.status == status::PULL => {
                            error.with_hint(pull_hint(target, url))
                        }
                        _ => error,
                    });
                }
            }
        }
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("others took and left the target again and again"))
    }

    /// The objects that the target lacks for `call`, as far as it is known to have any. A release
    /// that was there already is mended by what is sent: its origin may be out of reach by now.
    async fn objects(
        &self,
        call: &Call<'_>,
        known: &Report,
        is_fresh: bool,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Objects<'_>, BackendError> {
        let flat = call.flat;
        let nothing = Objects { stdin: Stdin::Empty, pulled_from: None };
        let has_all = known.haves.iter().any(|h| h.commit == flat.commit && h.tree == flat.tree);
        let haves = match call.part {
            Part::Seal => return Ok(nothing),
            Part::All | Part::Unpack if has_all && !is_fresh => return Ok(nothing),
            Part::All | Part::Unpack if !is_fresh => &known.haves[..],
            Part::All | Part::Unpack | Part::Mend => &[],
        };
        let is_new = !known.releases.contains_key(&call.mark.id);
        if let Some(url) = self.pull_url().filter(|_| is_new) {
            let beside = self.packs.beside_commit(&flat.commit, haves);
            let beside = within(scope, attempted, beside).await?;
            let stdin = beside.map_or(Stdin::Empty, Stdin::File);
            return Ok(Objects { stdin, pulled_from: Some(url) });
        }
        let pack = self.packs.pack(&flat.commit, haves);
        let stdin = Stdin::File(within(scope, attempted, pack).await?);
        Ok(Objects { stdin, ..nothing })
    }

    fn fetch_script(&self, call: &Call<'_>, scope: &Scope, dead: &str, is_pulled: bool) -> Script {
        let part = match call.part {
            Part::All => "all",
            Part::Unpack => "unpack",
            Part::Seal => "seal",
            Part::Mend => "mend",
        };
        let script = match (is_pulled, call.mark.rendered) {
            (false, false) => Script::function("fetch"),
            (true, false) => Script::new(PULL_AND_FETCH),
            (false, true) => Script::new(FETCH_RENDERED),
            (true, true) => Script::new(PULL_AND_FETCH_RENDERED),
        };
        script
            .arg(self.layout.path())
            .arg(scope.run.as_str())
            .arg(self.claim(scope))
            .arg(dead)
            .arg(part)
            .arg(&call.mark.id)
            .arg(call.flat.commit.as_str())
            .arg(call.flat.tree.as_str())
            .arg(call.mark.open_line())
            .arg(call.share.word())
            .arg(call.base.unwrap_or_default())
    }

    /// Passes on what a person would like to know of a fetch that went well.
    pub(super) fn pass_on(&self, target: &Target, report: &Report, scope: &Scope) {
        for remark in &report.remarks {
            let line = format!("{remark}\n");
            scope.output.write(target, scope.stage, Stream::Stdout, line.as_bytes());
        }
    }

    async fn build(
        &self,
        target: &Target,
        release: &Release,
        known: &Report,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        for step in &self.steps {
            self.build_step(target, step, release, known, scope).await?;
        }
        Ok(())
    }

    async fn build_step(
        &self,
        target: &Target,
        step: &BuildStep,
        release: &Release,
        known: &Report,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let path = self.layout.release_path(&release.id);
        let previous = known.live_release().map(|live| live.to_string()).unwrap_or_default();
        let script = Script::new(BUILD)
            .arg(&path)
            .arg(&step.command)
            .env("DEPLOY_LIVE_PATH", self.layout.path())
            .env("DEPLOY_RELEASE_PATH", &path)
            .env("DEPLOY_VERSION", release.to_string())
            .env("DEPLOY_COMMIT", release.version.id.as_str())
            .env("DEPLOY_PREVIOUS_VERSION", previous)
            .env("DEPLOY_TARGET", target.as_str());
        let mut scope = scope.clone();
        let own = Instant::now().checked_add(step.timeout);
        scope.deadline = own.map_or(scope.deadline, |own| own.min(scope.deadline));
        let attempted = format!("run the step {:?} on {target}", step.name);
        self.sessions.run(target, &script, &scope).await?.require_success(attempted).map(drop)
    }
}

/// What a person can do about a target that cannot pull.
fn pull_hint(target: &Target, url: &PullUrl) -> String {
    let url = quote(url.as_str());
    format!("try it on {target}, as the user that deploys there: `git ls-remote {url}`")
}

/// The commits of releases, for the haves that are still of use.
pub(super) fn commits_of<'a>(marks: impl Iterator<Item = &'a Mark>) -> Vec<Oid> {
    marks.filter_map(|mark| Oid::of(&mark.version.id)).collect()
}
