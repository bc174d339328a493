//! The rendered files of releases: planned before anything is touched, written when a release is
//! made, and again when they are damaged.

mod host;
mod plans;

use std::sync::Arc;

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope},
    model::{Release, Target, Version},
};

pub(super) use host::Rendered;
pub(super) use plans::Renders;

use super::{Answered, SshTransport, commit_of, failure, within};
use crate::{
    layout::{BuildStep, Layout, MadeOf},
    session::{Output, Script, Stdin},
    state::{Content, Mark},
    template::{Edition, Holds, Listing, Rendering as Files, Secrets, TemplateError, Templates},
};

const SECRETS: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/rendered.sh"),
    "show_secrets \"$1\"\n"
);

const FINISH: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/rendered.sh"),
    include_str!("scripts/finish.sh")
);
/// How far back the generation of a release is looked for.
const GENERATIONS: u32 = 2000;

/// What is rendered into a release, and with which generation of secrets.
#[derive(Debug, Clone)]
pub(super) struct Rendering {
    /// `None` without templates.
    files: Option<Arc<Files>>,
    generation: u32,
}

impl Rendering {
    /// Whether no file is rendered.
    pub(super) fn is_empty(&self) -> bool {
        self.files.as_ref().is_none_or(|files| files.files.is_empty())
    }

    /// The release that it makes of `version`.
    fn release(
        &self,
        layout: &Layout,
        version: &Version,
        steps: &[BuildStep],
        made_of: &MadeOf,
    ) -> Option<Release> {
        let rendered = self.files.as_ref().and_then(|files| files.decides(self.generation));
        layout.release(version, steps, made_of.clone(), rendered.as_deref())
    }
}

impl SshTransport {
    /// Renders `templates` into each release. [`render`](Self::render) must have been called for a
    /// version and its targets before [`release`](deploy_core::backend::Transport::release) is
    /// asked for it.
    ///
    /// # Errors
    /// When a file would be written to a shared directory.
    pub fn templates(mut self, templates: Templates) -> Result<Self, TemplateError> {
        templates.refuse_shared(self.layout.shared())?;
        self.renders = Some(Renders::new(templates));
        Ok(self)
    }

    /// Renders the templates of `version` for `targets`, with names in the places of secrets, and
    /// remembers what they become. From then on targets are asked whether they have the secrets
    /// that are written. Touches no target. Without templates there is nothing to do.
    ///
    /// # Errors
    /// `NotFound` when the version lacks a template; `Rejected` when one cannot be rendered for one
    /// of the targets: names template, line, variable and targets. What can be rendered for the
    /// other targets is remembered all the same.
    pub async fn render<'a>(
        &self,
        version: &Version,
        targets: impl IntoIterator<Item = &'a Target>,
    ) -> Result<(), BackendError> {
        let Some(renders) = &self.renders else { return Ok(()) };
        let edition = match self.edition(renders, version).await {
            Ok(edition) => edition,
            Err(error) => {
                let why = plans::Refused::of(&error);
                targets.into_iter().for_each(|target| renders.want(target, version, &why));
                return Err(error);
            }
        };
        let mut refused = plans::Refusals::default();
        for target in targets {
            let planned = renders.plan(&edition, target, &self.layout).await?;
            renders.wish(target, version);
            if let Err(why) = planned {
                refused.add(target, why);
            }
        }
        refused.into_result(&edition.attempted())
    }

    /// What `version` is rendered to on `target`, as far as it was planned; `None` without
    /// templates.
    ///
    /// # Errors
    /// `Rejected` with why it cannot be rendered; `Broken` when that was never tried.
    pub(super) fn planned(
        &self,
        target: &Target,
        version: &Version,
    ) -> Result<Option<Arc<Files>>, BackendError> {
        let Some(renders) = &self.renders else { return Ok(None) };
        renders.planned(target, version).map(Some)
    }

    /// The same, planned now if it was not.
    async fn rendering(
        &self,
        target: &Target,
        version: &Version,
    ) -> Result<Option<Arc<Files>>, BackendError> {
        let Some(renders) = &self.renders else { return Ok(None) };
        if !renders.is_planned(target, version) {
            let edition = self.edition(renders, version).await?;
            // Why it cannot be rendered is remembered, and told below.
            let _ = renders.plan(&edition, target, &self.layout).await?;
        }
        renders.planned(target, version).map(Some)
    }

    async fn edition(
        &self,
        renders: &Renders,
        version: &Version,
    ) -> Result<Arc<Edition>, BackendError> {
        if let Some(edition) = renders.edition(version) {
            return Ok(edition);
        }
        let commit = commit_of(version)?;
        let files = self.packs.files(&commit).await?;
        let archive = self.archives().map(|archives| archives.known(&commit));
        let holds = match &archive {
            None => Holds::Version,
            Some(Some(archive)) => Holds::Archive(archive),
            Some(None) => Holds::Unknown,
        };
        let edition = Edition::open(renders.templates(), version, files, holds).await?;
        Ok(renders.keep_edition(edition))
    }

    /// The release that `version` is on `target`, by what the target said last of its secrets: what
    /// was rendered with other secrets is another release.
    pub(super) fn release_on(
        &self,
        target: &Target,
        version: &Version,
    ) -> Result<Option<Release>, BackendError> {
        let made_of = self.made_of(version)?;
        let files = self.planned(target, version).map_err(|error| match error.kind() {
            ErrorKind::Broken => error,
            _ => self.not_made_anew(target, version, &error),
        })?;
        let release = |generation: u32| {
            let rendering = Rendering { files: files.clone(), generation };
            rendering.release(&self.layout, version, &self.steps, &made_of)
        };
        if files.as_ref().is_none_or(|files| files.secrets.is_empty()) {
            return Ok(release(0));
        }
        let reports = self.reports();
        let made = reports.get(target).map_or(&[][..], |report| &report.rendered.made);
        let current = made.iter().filter(|made| made.is_current).map(|made| made.print.generation);
        let newest = made.iter().map(|made| made.print.generation).max().unwrap_or(0);
        let mut generation = current.max().unwrap_or(newest.saturating_add(1));
        loop {
            let release = release(generation);
            let id = release.as_ref().map_or("", |release| release.id.as_str());
            if made.iter().all(|made| made.is_current || made.id != id) {
                return Ok(release);
            }
            generation = generation.saturating_add(1);
        }
    }

    /// Why `target` cannot have `version`: an earlier release of it would do, but none is there.
    fn not_made_anew(
        &self,
        target: &Target,
        version: &Version,
        why: &BackendError,
    ) -> BackendError {
        let kept = self.layout.kept();
        let cause = why.cause();
        let told = format!("it is not there (keep = {kept}), and cannot be made anew: {cause}");
        BackendError::new(why.kind(), format!("find the release of {version} on {target}"))
            .with_source(told)
            .with_hint(match why.hint() {
                Some(hint) if why.kind() != ErrorKind::NotFound => hint.to_owned(),
                _ => "choose a version that is still there: `deploy-cli rollback` without one \
                      takes the last good one"
                    .to_owned(),
            })
    }

    /// What the present configuration renders into the release of `mark`, and with which generation
    /// of secrets; `None` where it makes another release.
    pub(super) async fn rendered_into(
        &self,
        target: &Target,
        mark: &Mark,
    ) -> Result<Option<Rendering>, BackendError> {
        let files = self.rendering(target, &mark.version).await?;
        // Either way the tree is the same, and so is what is rendered into it.
        let made_of = match &mark.content {
            Content::Tree(_) => vec![MadeOf::Tree, MadeOf::Pulled],
            Content::Manifest(digest) => vec![MadeOf::Archive(digest.clone())],
            Content::Adopted(_) => Vec::new(),
        };
        let most = {
            let reports = self.reports();
            let made = reports.get(target).into_iter().flat_map(|report| &report.rendered.made);
            made.map(|made| made.print.generation).max().unwrap_or(0).saturating_add(2)
        };
        let generations = most.saturating_sub(GENERATIONS)..=most;
        let rendering = |generation| Rendering { files: files.clone(), generation };
        let is_it = |rendering: &Rendering| {
            made_of.iter().any(|made_of| {
                let release = rendering.release(&self.layout, &mark.version, &self.steps, made_of);
                release.is_some_and(|release| release.id.as_str() == mark.id)
            })
        };
        Ok(generations.map(rendering).find(is_it))
    }

    /// Writes the rendered files of the release of `mark`, which lacks nothing else, and makes it
    /// complete. `rendering` is looked for where it is not known.
    pub(super) async fn finish(
        &self,
        target: &Target,
        mark: &Mark,
        rendering: Option<Rendering>,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("render the files of {} on {target}", mark.id);
        let rendering = match rendering {
            Some(rendering) => Some(rendering),
            None => self.rendered_into(target, mark).await?,
        };
        let Some(rendering) = rendering else {
            return Err(BackendError::new(ErrorKind::NotFound, attempted)
                .with_source("its templates or their variables have changed since it was made")
                .with_hint("deploy the version anew"));
        };
        self.write(target, mark, (&rendering, "new"), scope, &attempted).await
    }

    /// Renders the files of the release of `mark` again, of which one is damaged: `output` says
    /// which.
    pub(super) async fn restore(
        &self,
        target: &Target,
        mark: &Mark,
        output: &Output,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let attempted = format!("render the files of {} on {target} again", mark.id);
        let damage = output.stderr.last_lines(1);
        let damaged = |why: &str| {
            BackendError::new(ErrorKind::Rejected, attempted.clone())
                .with_source(format!("{damage}: {why}"))
                .with_hint("deploy the version anew")
        };
        let rendering = self.rendered_into(target, mark).await;
        let rendering = rendering.map_err(|error| damaged(&error.cause()))?;
        let Some(rendering) = rendering.filter(|rendering| !rendering.is_empty()) else {
            return Err(damaged("its templates or their variables have changed since it was made"));
        };
        self.may_restore(target, mark, &rendering, scope).await.map_err(|why| damaged(&why))?;
        self.write(target, mark, (&rendering, "again"), scope, &attempted).await
    }

    async fn write(
        &self,
        target: &Target,
        mark: &Mark,
        (rendering, part): (&Rendering, &str),
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let Some(files) = &rendering.files else { return Ok(()) };
        let listing = self.listing(target, mark, (files, rendering.generation), scope).await?;
        let stream: Arc<[u8]> = listing.stream().into();
        let mut dead = String::new();
        for _ in 0..super::ROUNDS {
            let known = self.known(target, scope).await?;
            let script = Script::new(FINISH)
                .arg(self.layout.path())
                .arg(scope.run.as_str())
                .arg(self.claim(scope))
                .arg(&dead)
                .arg(&mark.id)
                .arg(part)
                .stdin(Stdin::Bytes(Arc::clone(&stream)));
            match Answered::of(self.run(target, script, scope).await?) {
                Answered::Done(report) => {
                    self.note(target, report);
                    return Ok(());
                }
                Answered::Claimed(held) => dead = self.take_over(target, held, attempted, scope)?,
                Answered::Else(output, _) => {
                    let cache = self.layout.cache();
                    return Err(failure::explain(&output, &known, &cache, attempted));
                }
            }
        }
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("others took and left the target again and again"))
    }

    /// The rendered files of a release, ready to be sent. Secrets are read there now.
    async fn listing(
        &self,
        target: &Target,
        mark: &Mark,
        (rendering, generation): (&Files, u32),
        scope: &Scope,
    ) -> Result<Listing, BackendError> {
        let (id, version) = (&mark.id, &mark.version);
        let attempted = format!("render the files of {version} for {target}");
        let rejected = |why: String| {
            BackendError::new(ErrorKind::Rejected, attempted.clone()).with_source(why)
        };
        let Some(renders) = &self.renders else {
            return Err(rejected("there are no templates".to_owned()));
        };
        let secrets = match renders.templates().secrets_path() {
            Some(path) if !rendering.secrets.is_empty() => {
                Some(self.secrets(target, path, scope).await?)
            }
            _ => None,
        };
        if let Some(secrets) = &secrets
            && let Some(lack) = renders.lacks(secrets, rendering).into_iter().next()
        {
            return Err(rejected(lack));
        }
        let edition = within(scope, &attempted, self.edition(renders, version)).await?;
        let release = format!("{}/releases/{id}", self.layout.cache());
        let places = (self.layout.path(), release.as_str());
        let finishing =
            renders.templates().finish(rendering, &edition, target, places, secrets.as_ref());
        let texts = within(scope, &attempted, finishing)
            .await?
            .map_err(|fault| rejected(fault.to_string()))?;
        let secrets = secrets.as_ref().map(|secrets| (secrets, generation));
        Listing::new(rendering, texts, secrets).map_err(rejected)
    }

    /// Reads the secrets of `target`. They stay in memory, and in no answer that is kept.
    async fn secrets(
        &self,
        target: &Target,
        path: &str,
        scope: &Scope,
    ) -> Result<Secrets, BackendError> {
        let script = Script::new(SECRETS).arg(self.layout.path()).arg(path);
        let output = self.run(target, script, scope).await?;
        let read = host::read_secrets(&output.stdout.bytes(), path);
        let whole = output.success() && !output.stdout.is_truncated();
        let read = if whole { read } else { Err(format!("{path} could not be read")) };
        let read = read.map_err(|why| {
            BackendError::new(ErrorKind::Rejected, format!("read the secrets of {target}"))
                .with_source(why)
        })?;
        self.sessions.session(target).hide(read.hidden());
        Ok(read)
    }

    /// Whether the release of `mark` may be rendered again in its place: where it is live, only with
    /// the secrets that it was made with.
    async fn may_restore(
        &self,
        target: &Target,
        mark: &Mark,
        rendering: &Rendering,
        scope: &Scope,
    ) -> Result<(), String> {
        let Some(files) = rendering.files.as_ref().filter(|files| !files.secrets.is_empty()) else {
            return Ok(());
        };
        let (is_live, print) = {
            let reports = self.reports();
            let report = reports.get(target);
            let is_live = report.is_some_and(|report| report.live == mark.id);
            let made = report.into_iter().flat_map(|report| &report.rendered.made);
            (is_live, made.filter(|made| made.id == mark.id).map(|made| made.print.clone()).next())
        };
        if !is_live {
            return Ok(());
        }
        let path = self.renders.as_ref().and_then(|renders| renders.templates().secrets_path());
        let secrets = self.secrets(target, path.unwrap_or_default(), scope).await;
        let secrets = secrets.map_err(|error| error.cause())?;
        match print.is_some_and(|print| print.is_of(&secrets, &files.secrets)) {
            true => Ok(()),
            false => Err("it is live, and the secrets have changed since it was made".to_owned()),
        }
    }
}
