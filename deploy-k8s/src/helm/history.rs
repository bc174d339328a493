//! The revisions of a release, as helm keeps them in Secrets.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use deploy_core::backend::{BackendError, ErrorKind, Scope};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::ListParams};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::chart::Chart;
use crate::failure::{self, Effect};

/// The most that a revision may unpack to.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Where a revision is written in its Secret.
const KEY: &str = "release";

/// A revision of a release. Some of it may be secret.
#[derive(Clone, Deserialize)]
pub(super) struct Revision {
    #[serde(rename = "version")]
    pub number: u32,
    pub info: Info,
    /// The values that were given.
    #[serde(default)]
    pub config: Value,
    #[serde(default)]
    pub chart: Packed,
    /// What was rendered, as YAML documents.
    #[serde(default)]
    pub manifest: String,
    /// What runs before and after the rest.
    #[serde(default)]
    pub hooks: Vec<Hook>,
}

impl Revision {
    /// The tag that it was given, or has of the chart's own values.
    pub(super) fn tag(&self, chart: &Chart) -> Option<String> {
        chart.tag_in(&self.config).or_else(|| chart.tag_in(&self.chart.values))
    }
}

/// A chart, as a revision keeps it.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Packed {
    /// Its own values.
    #[serde(default)]
    pub values: Value,
}

/// An object that helm makes at a point of an operation, and waits for.
#[derive(Clone, Deserialize)]
pub(super) struct Hook {
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub manifest: String,
    /// The points: `pre-upgrade`, `post-install`.
    #[serde(default)]
    pub events: Vec<String>,
    #[serde(default)]
    pub last_run: HookRun,
}

/// How a hook went last.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct HookRun {
    /// `Running`, `Succeeded`, `Failed`, or nothing.
    #[serde(default)]
    pub phase: String,
}

/// What a revision made of its chart. Some of it may be secret.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Content {
    /// The objects.
    #[serde(default)]
    pub manifest: String,
    /// What is run beside.
    #[serde(default)]
    pub hooks: Vec<Hook>,
}

/// How a revision is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Info {
    pub status: String,
    #[serde(default)]
    pub description: String,
    /// When the release began, whatever became of it since.
    pub first_deployed: Option<Timestamp>,
    pub last_deployed: Option<Timestamp>,
}

/// What is known of a release without reading its revisions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct History {
    /// Number and status, oldest first.
    pub revisions: Vec<(u32, String)>,
}

impl History {
    /// The revision that is deployed.
    pub(super) fn deployed(&self) -> Option<u32> {
        let mut newest = self.revisions.iter().rev();
        newest.find(|(_, status)| status == "deployed").map(|(number, _)| *number)
    }

    /// The newest revision and its status, where an operation was begun and has not ended.
    pub(super) fn pending(&self) -> Option<(u32, &str)> {
        let (number, status) = self.revisions.last()?;
        status.starts_with("pending-").then_some((*number, status.as_str()))
    }

    /// The newest revision, where it has failed: what is there may be a part of it.
    pub(super) fn failed(&self) -> Option<u32> {
        let (number, status) = self.revisions.last()?;
        (status == "failed").then_some(*number)
    }

    /// The revisions that came to be deployed, newest first.
    pub(super) fn whole(&self) -> impl Iterator<Item = u32> {
        let is_whole = |status: &str| status == "deployed" || status == "superseded";
        let newest = self.revisions.iter().rev();
        newest.filter(move |(_, status)| is_whole(status)).map(|(number, _)| *number)
    }

    /// The number of the next revision.
    pub(super) fn next(&self) -> u32 {
        self.revisions.last().map_or(1, |(number, _)| number.saturating_add(1))
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.revisions.iter().any(|(known, _)| *known == number)
    }
}

/// Reads numbers and states from the labels alone: the Secrets are large.
///
/// # Errors
/// As any call to the cluster.
pub(super) async fn history(
    client: &Client,
    (namespace, release): (&str, &str),
    scope: &Scope,
    attempted: &str,
) -> Result<History, BackendError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&format!("owner=helm,name={release}"));
    let listed =
        failure::within(secrets.list_metadata(&params), Effect::Asks, scope, attempted).await?;
    let mut revisions: Vec<(u32, String)> = listed
        .items
        .iter()
        .filter_map(|item| {
            let labels = item.metadata.labels.as_ref()?;
            Some((labels.get("version")?.parse().ok()?, labels.get("status")?.clone()))
        })
        .collect();
    revisions.sort();
    Ok(History { revisions })
}

/// Reads one revision.
///
/// # Errors
/// `Broken` when it is not as helm writes it; else as any call.
pub(super) async fn revision(
    client: &Client,
    (namespace, release): (&str, &str),
    number: u32,
    scope: &Scope,
    attempted: &str,
) -> Result<Revision, BackendError> {
    unpacked(client, (namespace, release), number, scope, attempted).await
}

/// Reads what one revision made of its chart.
///
/// # Errors
/// As [`revision`].
pub(super) async fn content(
    client: &Client,
    release: (&str, &str),
    number: u32,
    scope: &Scope,
    attempted: &str,
) -> Result<Content, BackendError> {
    unpacked(client, release, number, scope, attempted).await
}

async fn unpacked<T: DeserializeOwned>(
    client: &Client,
    (namespace, release): (&str, &str),
    number: u32,
    scope: &Scope,
    attempted: &str,
) -> Result<T, BackendError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let name = format!("sh.helm.release.v1.{release}.v{number}");
    let secret = failure::within(secrets.get(&name), Effect::Asks, scope, attempted).await?;
    let bytes = secret.data.as_ref().and_then(|data| data.get(KEY)).map(|bytes| bytes.0.as_slice());
    unpack(bytes.unwrap_or_default()).map_err(|why| {
        BackendError::new(ErrorKind::Broken, attempted)
            .with_source(format!("the Secret {name} {why}"))
    })
}

/// base64, gzip, JSON (helm 3, `pkg/storage/driver/util.go`).
fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let packed = STANDARD.decode(bytes).map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = Vec::new();
    GzDecoder::new(packed.as_slice())
        .take(LARGEST)
        .read_to_end(&mut text)
        .map_err(|error| format!("cannot be unpacked: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| {
        // The error's own words may have what is secret in them.
        let (line, column) = (error.line(), error.column());
        format!("cannot be understood at line {line}, column {column}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(revisions: &[(u32, &str)]) -> History {
        let revisions = revisions.iter().map(|(number, status)| (*number, (*status).to_owned()));
        History { revisions: revisions.collect() }
    }

    #[test]
    fn what_is_deployed_and_what_was_broken_off_are_told_apart() {
        let whole = of(&[(1, "superseded"), (2, "deployed")]);
        assert_eq!((whole.deployed(), whole.pending()), (Some(2), None));
        let broken = of(&[(2, "deployed"), (3, "pending-upgrade")]);
        assert_eq!((broken.deployed(), broken.pending()), (Some(2), Some((3, "pending-upgrade"))));
        let repaired = of(&[(2, "superseded"), (3, "pending-upgrade"), (4, "deployed")]);
        assert_eq!((repaired.deployed(), repaired.pending()), (Some(4), None));
        let failed = of(&[(2, "deployed"), (3, "failed")]);
        assert_eq!((failed.deployed(), failed.failed(), failed.next()), (Some(2), Some(3), 4));
        assert!(of(&[(1, "superseded"), (2, "deployed"), (3, "failed")]).whole().eq([2, 1]));
        assert_eq!(of(&[(2, "failed"), (3, "deployed")]).failed(), None, "it was mended");
        assert_eq!((of(&[]).deployed(), of(&[]).failed(), of(&[]).next()), (None, None, 1));
    }

    #[test]
    fn what_is_no_revision_is_told() {
        assert!(unpack::<Revision>(b"").err().unwrap().contains("unpacked"));
        assert!(unpack::<Revision>(b"!").err().unwrap().contains("read"));
    }
}
