//! What a plan shows of a release.

use std::sync::Arc;

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Discard, ErrorKind, FileDiff, Preview, Scope, Transport},
    model::{Release, Target},
    plan::{Change, Work},
};
use kube::Client;

use super::{
    history::{self, Content, History},
    place::HelmPlace,
    running::Running,
    transport::{HelmTransport, Way},
};
use crate::{
    failure::Effect,
    image::Image,
    manifest::{Difference, Look, Object, Report, objects},
};

/// The most that a chart may render to, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

#[async_trait]
impl Preview for HelmTransport {
    /// Renders the chart by one process of helm, and asks the cluster for the release's objects.
    async fn diffs(&self, change: &Change, scope: &Scope) -> Result<Vec<FileDiff>, BackendError> {
        if change.work != Work::Move || change.from == change.to {
            return Ok(Vec::new());
        }
        let target = &change.target;
        let attempted = format!("look at what changes on {target}");
        let place = self.place(target)?;
        let client = place.cluster.client(scope).await?;
        let name = (place.namespace.as_str(), place.release.as_str());
        let (history, version) = tokio::join!(
            history::history(&client, name, scope, &attempted),
            place.cluster.version(scope, &attempted),
        );
        let (history, version) = (history?, version?);
        let asked = Asked { place, scope, attempted: &attempted };
        let content = content(&client, &history, &asked);
        let rendered = async {
            let Some(to) = &change.to else { return Ok(Rendered::Text(String::new())) };
            if let Some(earlier) = self.earlier((&client, target), to, &asked).await? {
                return Ok(Rendered::Revision(earlier));
            }
            let is_upgrade = history.deployed().is_some();
            self.rendered((target, to), is_upgrade, version, &asked).await.map(Rendered::Text)
        };
        let (content, rendered) = tokio::join!(content, rendered);
        let (deployed, old_hooks) = content?.objects(&asked)?;
        let known: Vec<&Object> = deployed.iter().chain(&old_hooks).collect();
        let rendered = rendered.map_err(|error| discreet(&error, &known))?;
        let (rendered, hooks) = rendered.objects(&asked)?;
        let look = Look { client, scope: scope.clone(), places: place.cluster.looks() };
        let seen = look.see(deployed, rendered).await?;
        let mut report = Report::of(&seen, &place.namespace);
        add_hooks(&mut report, &old_hooks, &hooks, &place.namespace);
        Ok(report.finish())
    }
}

/// What there will be: what the chart is rendered to, or a revision that is gone back to.
enum Rendered {
    Text(String),
    Revision(Content),
}

impl Rendered {
    /// The objects, and the hooks.
    fn objects(self, asked: &Asked<'_>) -> Result<(Vec<Object>, Vec<Object>), BackendError> {
        match self {
            Self::Revision(content) => content.objects(asked),
            Self::Text(text) => {
                let objects = asked.read(&text)?.into_iter();
                Ok(objects.partition(|object| object.hook().is_none()))
            }
        }
    }
}

/// What a look at a release is about.
struct Asked<'a> {
    place: &'a HelmPlace,
    scope: &'a Scope,
    attempted: &'a str,
}

impl Asked<'_> {
    fn read(&self, text: &str) -> Result<Vec<Object>, BackendError> {
        objects(text, &self.place.namespace).map_err(|error| {
            BackendError::new(ErrorKind::Rejected, self.attempted).with_source(error)
        })
    }
}

impl Content {
    /// The objects of a revision, and its hooks.
    fn objects(&self, asked: &Asked<'_>) -> Result<(Vec<Object>, Vec<Object>), BackendError> {
        let mut hooks = Vec::new();
        for hook in &self.hooks {
            hooks.extend(asked.read(&hook.manifest)?);
        }
        Ok((asked.read(&self.manifest)?, hooks))
    }
}

impl HelmTransport {
    /// The revision that `to` is gone back to, where today's chart would make something else of it.
    async fn earlier(
        &self,
        (client, target): (&Client, &Target),
        to: &Release,
        asked: &Asked<'_>,
    ) -> Result<Option<Content>, BackendError> {
        let Asked { place, scope, attempted } = asked;
        if self.release(target, &to.version)?.id == to.id {
            return Ok(None);
        }
        let running = Running::read(client, place, scope, attempted).await?;
        let stored = self.record(client, place).read(scope, attempted).await?;
        let known = (&running, &stored.record);
        match self.way((target, place), client, known, to, scope, attempted).await? {
            Way::Rollback(number) => {
                let release = (place.namespace.as_str(), place.release.as_str());
                history::content(client, release, number, scope, attempted).await.map(Some)
            }
            Way::Upgrade | Way::Uninstall | Way::Stay => Ok(None),
        }
    }

    /// What the chart is with the version of `to`, without asking the cluster.
    async fn rendered(
        &self,
        (target, to): (&Target, &Release),
        is_upgrade: bool,
        cluster_version: &str,
        asked: &Asked<'_>,
    ) -> Result<String, BackendError> {
        let Asked { place, scope, attempted } = asked;
        if !place.chart.describes() {
            let scope = Scope { output: Arc::new(Discard), ..(*scope).clone() };
            return self.apply((target, place), to, true, &scope, attempted).await;
        }
        let Some(tag) = Image::of(&self.image, &to.version).tag else {
            return Err(BackendError::new(ErrorKind::Rejected, *attempted)
                .with_source("a chart is given a tag, and this version has none"));
        };
        let broken = |error: std::io::Error| {
            BackendError::new(ErrorKind::Broken, *attempted)
                .with_source(format!("write the values: {error}"))
        };
        let file = tempfile::Builder::new().suffix(".json").tempfile().map_err(broken)?;
        std::fs::write(file.path(), place.chart.tag_values(&tag).to_string()).map_err(broken)?;
        let mut words = vec!["template".to_owned(), place.release.clone()];
        words.extend(place.chart.words(file.path()));
        if is_upgrade {
            words.push("--is-upgrade".to_owned());
        }
        if is_version(cluster_version) {
            words.extend(["--kube-version".to_owned(), cluster_version.to_owned()]);
        }
        // What it complains of may have what is secret in it.
        let scope = Scope { output: Arc::new(Discard), ..(*scope).clone() };
        let helm = self.helm.run((target, place), &words, Effect::Asks, &scope, attempted);
        let text = helm.await?;
        if text.len() > LARGEST {
            return Err(BackendError::new(ErrorKind::Rejected, *attempted)
                .with_source(format!("the chart renders to more than {LARGEST} bytes")));
        }
        Ok(text)
    }
}

async fn content(
    client: &Client,
    history: &History,
    Asked { place, scope, attempted }: &Asked<'_>,
) -> Result<Content, BackendError> {
    let release = (place.namespace.as_str(), place.release.as_str());
    match history.deployed() {
        Some(number) => history::content(client, release, number, scope, attempted).await,
        None => Ok(Content::default()),
    }
}

/// Whether it is what clusters call their versions: `v1.30.2-gke.1`.
fn is_version(text: &str) -> bool {
    let rest = text.strip_prefix('v').unwrap_or_default();
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.len() < 64 && rest.chars().all(is_part)
}

/// `error` without what the Secrets of `known` hold, and without the values that YAML's own errors
/// quote, as in "cannot unmarshal !!str `hunter2` into int".
fn discreet(error: &BackendError, known: &[&Object]) -> BackendError {
    let cause = error.cause();
    let parts = cause.split('`').enumerate();
    let cause: String = parts.map(|(at, part)| if at % 2 == 0 { part } else { "…" }).collect();
    let told = Report::may_tell(cause, known.iter().copied());
    BackendError::new(error.kind(), error.attempted()).with_source(told)
}

/// Hooks are run, and not kept: what is rendered is compared with what was.
fn add_hooks(report: &mut Report, old: &[Object], new: &[Object], home: &str) {
    let is_test = |object: &&Object| object.hook().is_some_and(|hook| hook.starts_with("test"));
    let keys = new.iter().chain(old).filter(|object| !is_test(object)).map(|it| &it.key);
    let mut told = Vec::new();
    for key in keys {
        if told.contains(&key) {
            continue;
        }
        told.push(key);
        let of = |objects: &[Object]| objects.iter().find(|object| object.key == *key).cloned();
        let difference = Difference::of_hook(of(old), of(new));
        report.add(key, difference, home);
    }
}
