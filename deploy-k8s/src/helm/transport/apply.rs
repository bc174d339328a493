//! A version brought to a release: by `helm upgrade`, or by `helmfile apply`.

use std::path::{Path, PathBuf};

use deploy_core::{
    backend::{BackendError, ErrorKind, Scope},
    model::{Release, Target},
};
use kube::Client;

use super::HelmTransport;
use crate::{
    failure::Effect,
    helm::{
        chart::Maker,
        history, hook,
        place::HelmPlace,
        running::{self, Running},
    },
    image::Image,
    record::RecordPlace,
};

impl HelmTransport {
    /// Brings `to`; as a dry run it changes nothing, but what does not render is told. Returns what was said.
    ///
    /// # Errors
    /// `Rejected` with what helm said, and of a hook that failed what its pod left.
    pub(in crate::helm) async fn apply(
        &self,
        (target, place): (&Target, &HelmPlace),
        to: &Release,
        dry_run: bool,
        scope: &Scope,
        attempted: &str,
    ) -> Result<String, BackendError> {
        let broken = |error: std::io::Error| {
            BackendError::new(ErrorKind::Broken, attempted)
                .with_source(format!("write the values: {error}"))
        };
        let tag = self.tag(to, attempted)?;
        let file = tempfile::Builder::new().suffix(".json").tempfile().map_err(broken)?;
        std::fs::write(file.path(), place.chart.tag_values(&tag).to_string()).map_err(broken)?;
        let effect = if dry_run { Effect::Asks } else { Effect::Changes };
        let at = (target, place);
        match place.chart.maker() {
            Maker::Helm { .. } => {
                let mut words: Vec<String> =
                    ["upgrade", "--install", &place.release].map(str::to_owned).into();
                words.extend(place.chart.words(file.path()));
                // helm shows what is rendered only of a dry run that has its own description.
                match dry_run {
                    true => words.push("--dry-run".to_owned()),
                    false => {
                        let description = running::description(to, scope);
                        words.extend(["--description".to_owned(), description]);
                    }
                }
                self.helm.run(at, &words, effect, scope, attempted).await
            }
            Maker::Helmfile { file: state, environment } => {
                let part = match dry_run {
                    true => "template",
                    false => "apply",
                };
                let words =
                    helmfile_words((state, environment.as_deref()), place, part, file.path());
                self.helm.run_helmfile(at, &words, effect, scope, attempted).await
            }
        }
    }

    /// Makes sure that the tag has come to be an image's in what was rendered: else nothing would be deployed,
    /// and what runs already would be found well.
    ///
    /// # Errors
    /// `Rejected` when it has not.
    pub(super) fn demand_image(
        &self,
        rendered: &str,
        to: &Release,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let tag = self.tag(to, attempted)?;
        if has_image(rendered, &tag) {
            return Ok(());
        }
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source(format!("the chart renders to no image with the tag {tag}"))
            .with_hint(
                "`tag` in [helm] has to be the key of the values that the image's tag is made of",
            ))
    }

    pub(super) fn tag(&self, to: &Release, attempted: &str) -> Result<String, BackendError> {
        Image::of(&self.image, &to.version).tag.ok_or_else(|| {
            BackendError::new(ErrorKind::Rejected, attempted)
                .with_source("a chart is given a tag, and this version has none")
                .with_hint("deploy it by its tag")
        })
    }

    /// Makes sure that helmfile has brought `to`, whose revisions do not say what they are, and remembers
    /// which one it is.
    ///
    /// # Errors
    /// `Rejected` when the release at `place` has not come to it: helmfile has it elsewhere, or gives
    /// it another tag.
    pub(super) async fn remember_revision(
        &self,
        (client, record): (&Client, &RecordPlace),
        place: &HelmPlace,
        to: &Release,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let tag = self.tag(to, attempted)?;
        let running = Running::read(client, place, scope, attempted).await?;
        let there = running
            .deployed
            .filter(|it| it.revision.tag(&place.chart).as_deref() == Some(tag.as_str()));
        let Some(there) = there else {
            let HelmPlace { namespace, release, .. } = place;
            return Err(BackendError::new(ErrorKind::Rejected, attempted)
                .with_source(format!(
                    "helmfile has ended well, but {release} in {namespace} was not given {tag}"
                ))
                .with_hint(
                    "the helmfile's release has to be in that namespace, without another tag",
                ));
        };
        record
            .change(scope, attempted, |stored| {
                let revisions = &mut stored.record.revisions;
                revisions.retain(|number, _| running.history.has(*number));
                revisions.insert(there.revision.number, to.id.clone());
            })
            .await
    }

    /// A failure with the evidence of the hook that was its cause, if one was.
    pub(super) async fn explained(
        error: BackendError,
        client: &Client,
        place: &HelmPlace,
        from: u32,
        scope: &Scope,
    ) -> BackendError {
        let release = (place.namespace.as_str(), place.release.as_str());
        let attempted = "ask why";
        let history = history::history(client, release, scope, attempted).await;
        // What cannot be asked is left out.
        let failed = history.ok().and_then(|history| history.failed().filter(|it| *it >= from));
        let Some(number) = failed else { return error };
        let Ok(revision) = history::revision(client, release, number, scope, attempted).await
        else {
            return error;
        };
        match hook::failed((client, &place.namespace), &revision, scope).await {
            Some((told, Some(evidence))) => error.with_evidence(format!("{told}\n{evidence}")),
            Some((told, None)) => error.with_evidence(told),
            None => error,
        }
    }
}

/// Whether one of the images in manifests has this tag.
fn has_image(rendered: &str, tag: &str) -> bool {
    let images = rendered.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        line.strip_prefix("image:").or_else(|| line.strip_prefix("\"image\":"))
    });
    let quotes = ['"', '\'', ',', '}'];
    images.map(|image| image.trim().trim_matches(quotes)).any(|image| {
        let name = image.split('@').next().unwrap_or_default();
        name.rsplit_once(':').is_some_and(|(_, of)| of == tag)
    })
}

/// The command line of helmfile (its sources, 1.x), global flags first. The tag comes as a
/// file of values: with `--set`, `1.10` would be a number.
fn helmfile_words(
    (state, environment): (&PathBuf, Option<&str>),
    place: &HelmPlace,
    command: &str,
    tag_file: &Path,
) -> Vec<String> {
    let mut words = vec!["--file".to_owned(), state.display().to_string()];
    words.extend(environment.iter().flat_map(|it| ["--environment".to_owned(), (*it).to_owned()]));
    words.extend(["--selector".to_owned(), format!("name={}", place.release)]);
    words.extend([command.to_owned(), "--skip-deps".to_owned()]);
    words.extend(["--values".to_owned(), tag_file.display().to_string()]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_tag() {
        let text = "spec:\n  containers:\n  - image: \"r:5000/app:v2\"\n  - name: x\n    image: side:v1@sha256:aa\n";
        assert!(has_image(text, "v2") && has_image(text, "v1"));
        assert!(
            !has_image(text, "v") && !has_image(text, "5000/app") && !has_image("tag: v2", "v2")
        );
    }
}
