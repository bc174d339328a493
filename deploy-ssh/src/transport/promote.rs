//! Switches what a target serves, by one rename.

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope, Serving},
    model::{Release, Target},
    plan::Change,
};
use jiff::Timestamp;

use super::{Answered, Report, SshTransport, failure, status};
use crate::{
    session::{OnStdinEnd, Script},
    state::{Content, Mark, serving_line},
};

/// What promotes a release that was made of an archive. Too rare to come with every shell.
const PROMOTE_ARCHIVE: &str = concat!(
    include_str!("scripts/prelude.sh"),
    include_str!("scripts/manifest.sh"),
    include_str!("scripts/promote.sh")
);
/// Both of them for releases with rendered files.
const PROMOTE_RENDERED: [&str; 2] = [
    concat!(
        include_str!("scripts/prelude.sh"),
        include_str!("scripts/rendered.sh"),
        include_str!("scripts/promote.sh")
    ),
    concat!(
        include_str!("scripts/prelude.sh"),
        include_str!("scripts/rendered.sh"),
        include_str!("scripts/manifest.sh"),
        include_str!("scripts/promote.sh")
    ),
];

impl SshTransport {
    /// Makes `change.to` what `target` serves, when it serves `change.from`.
    pub(super) async fn switch(
        &self,
        target: &Target,
        change: &Change,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let to = change.to.as_ref();
        let name = to.map_or_else(|| "nothing".to_owned(), |to| format!("{:?}", to.to_string()));
        let attempted = format!("promote {name} on {target}");
        let (mut dead, mut is_mended, mut is_restored) = (String::new(), false, false);
        for _ in 0..super::ROUNDS {
            let known = self.known(target, scope).await?;
            known.state().map_err(|why| {
                BackendError::new(ErrorKind::Broken, &attempted)
                    .with_source(format!("{}/state.json {why}", self.layout.cache()))
            })?;
            let serving = next_serving(&known, to, scope).map(|serving| serving_line(&serving));
            let line = serving.as_deref().unwrap_or_default();
            let script = self.promote_script(target, change, &known, scope, [&dead, line]);
            match Answered::of(self.run(target, script, scope).await?) {
                Answered::Done(mut report) => {
                    report.serving = serving;
                    self.note(target, report);
                    return Ok(());
                }
                Answered::Claimed(held) => {
                    dead = self.take_over(target, held, &attempted, scope)?;
                }
                Answered::Else(output, report) if output.status == status::CHANGED => {
                    drop(output);
                    let error = changed(&report, change, &attempted);
                    self.note(target, report);
                    return Err(error);
                }
                Answered::Else(output, _) => {
                    let error =
                        || failure::explain(&output, &known, &self.layout.cache(), &attempted);
                    let mark = to.and_then(|to| known.releases.get(to.id.as_str()));
                    match to {
                        Some(_) if output.status == status::RENDERED && !is_restored => {
                            is_restored = true;
                            let Some(mark) = mark else { return Err(error()) };
                            self.restore(target, mark, &output, scope).await?;
                        }
                        Some(to) if output.status == status::DAMAGED && !is_mended => {
                            is_mended = true;
                            match is_archive(&known, to) {
                                true => self.mend_archive(target, to, scope).await?,
                                false => self.mend(target, to, scope).await?,
                            }
                        }
                        _ => return Err(error()),
                    }
                }
            }
        }
        Err(BackendError::new(ErrorKind::Conflict, attempted)
            .with_source("what lies on the target changed again and again"))
    }

    fn promote_script(
        &self,
        target: &Target,
        change: &Change,
        known: &Report,
        scope: &Scope,
        [dead, serving]: [&str; 2],
    ) -> Script {
        let to = change.to.as_ref();
        let id = |release: Option<&Release>| {
            release.map(|release| release.id.to_string()).unwrap_or_default()
        };
        let mark = to.and_then(|to| known.releases.get(to.id.as_str()));
        // What was adopted is as it is: there is nothing that it could be compared with.
        let is_adopted = mark.is_some_and(Mark::is_adopted);
        let doubt = !is_adopted && to.is_some_and(|to| !self.is_compared(target, &to.id));
        let shared = mark.map(|mark| mark.shared.clone()).unwrap_or_default();
        let of_archive = to.is_some_and(|to| is_archive(known, to));
        let script = match (mark.is_some_and(|mark| mark.rendered), of_archive) {
            (false, false) => Script::function("promote"),
            (false, true) => Script::new(PROMOTE_ARCHIVE),
            (true, of_archive) => Script::new(PROMOTE_RENDERED[usize::from(of_archive)]),
        };
        script
            .on_stdin_end(OnStdinEnd::RunToEnd)
            .arg(self.layout.path())
            .arg(scope.run.as_str())
            .arg(self.claim(scope))
            .arg(dead)
            .arg(id(change.from.as_ref()))
            .arg(id(to))
            .arg(serving)
            .arg(if doubt { "1" } else { "0" })
            .args(shared)
    }
}

fn is_archive(known: &Report, release: &Release) -> bool {
    let mark = known.releases.get(release.id.as_str());
    mark.is_some_and(|mark| matches!(mark.content, Content::Manifest(_)))
}

/// Who promoted `to`, once it is served. What is served already keeps its date; of nothing there is
/// nothing to be told.
fn next_serving(known: &Report, to: Option<&Release>, scope: &Scope) -> Option<Serving> {
    let to = to?;
    let told = known.promoted().map(|serving| serving.release);
    if known.live == to.id.as_str() && told.as_ref() == Some(to) {
        return None;
    }
    Some(Serving {
        release: to.clone(),
        since: Some(Timestamp::now()),
        by: Some(super::who(scope)),
        run: Some(scope.run.clone()),
    })
}

/// The error for a target that serves something that the plan does not know of (rule 12).
fn changed(report: &Report, change: &Change, attempted: &str) -> BackendError {
    let what = match report.serving() {
        Some(serving) => {
            let by = serving.by.map(|by| format!(" by {by:?}")).unwrap_or_default();
            let run = serving.run.map(|run| format!(" in the run {run}")).unwrap_or_default();
            format!("changed meanwhile to {:?}{by}{run}", serving.release.to_string())
        }
        None if report.live.is_empty() => "changed meanwhile to nothing".to_owned(),
        None => format!("changed meanwhile to {:?}, which is not ours", report.live),
    };
    let from = change.from.as_ref().map_or_else(|| "nothing".into(), |from| from.id.to_string());
    BackendError::new(ErrorKind::Conflict, attempted)
        .with_source(what)
        .with_hint(format!("the plan was made for {from}: plan again"))
}
