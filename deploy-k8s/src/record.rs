//! What a target remembers, in a ConfigMap beside the workload.

use std::collections::BTreeMap;

use deploy_core::{
    backend::{BackendError, ErrorKind, Good, Scope, Serving},
    model::{Release, ReleaseId},
    record::RunId,
};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};
use serde::{Deserialize, Serialize};

use crate::{
    failure::{self, Effect},
    release,
};

/// The key in the ConfigMap.
const KEY: &str = "record.json";
const FORMAT: u32 = 1;
/// How often it is written again when somebody else was faster.
const ROUNDS: usize = 4;
/// The most that is read.
const LARGEST: usize = 64 * 1024;

/// What a target remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    format: u32,
    /// What it is the record of.
    #[serde(default)]
    of: String,
    /// The image before the first deploy, where it was none of the app's; of helm, the number of the revision
    /// that was deployed then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Who promoted what is live; of use only while the workload agrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// What a run has prepared to promote, if there is one at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Release>,
    /// What was good, newest first.
    #[serde(default)]
    pub good: Vec<Good>,
    /// The operation of helm that was begun last; of use while that revision is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The very first install of helm, where it was a run's: helm had no history then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Operation>,
    /// The releases that revisions of helm are, where those do not say so themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<u32, ReleaseId>,
}

/// An operation of helm that a run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// The revision that it makes.
    pub revision: u32,
    pub run: RunId,
    pub by: String,
    pub at: Timestamp,
}

impl Operation {
    /// The one that makes the revision `revision`, by the run of `scope`, now.
    pub(crate) fn of(revision: u32, scope: &Scope) -> Self {
        let (run, by, at) = (scope.run.clone(), scope.who.clone(), Timestamp::now());
        Self { revision, run, by, at }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            format: FORMAT,
            of: String::new(),
            origin: None,
            serving: None,
            fetched: None,
            good: Vec::new(),
            operation: None,
            install: None,
            revisions: BTreeMap::new(),
        }
    }
}

impl Record {
    /// The release of an id that is known here.
    pub(crate) fn release(&self, id: &ReleaseId) -> Option<&Release> {
        let serving = self.serving.iter().map(|serving| &serving.release);
        let good = self.good.iter().map(|good| &good.release);
        serving.chain(good).chain(&self.fetched).find(|release| release.id == *id)
    }

    /// Remembers `good` as the newest good version, and at most `keep` in all, `back` among them.
    pub(crate) fn remember(&mut self, good: Good, keep: usize, back: Option<&Release>) {
        self.good.retain(|known| known.release != good.release);
        self.good.insert(0, good);
        let mut counted = 0;
        self.good.retain(|known| {
            counted += 1;
            counted <= keep.max(1) || Some(&known.release) == back
        });
    }
}

/// A release that became good by the run of `scope`.
pub(crate) fn good_of(release: &Release, scope: &Scope) -> Good {
    Good {
        release: release.clone(),
        run: scope.run.clone(),
        by: scope.who.clone(),
        at: Timestamp::now(),
        present: true,
    }
}

/// Ends when it is not `good` that is served: nothing else was proven to be.
pub(crate) fn demand_served(
    good: &Release,
    served: Option<&Release>,
    attempted: &str,
) -> Result<(), BackendError> {
    if served == Some(good) {
        return Ok(());
    }
    let what =
        served.map_or_else(|| "something else".to_owned(), |it| format!("{:?}", it.to_string()));
    Err(BackendError::new(ErrorKind::Conflict, attempted)
        .with_source(format!("it serves {what} by now, and not \"{good}\"")))
}

/// Where a record lies.
#[derive(Debug)]
pub(crate) struct RecordPlace {
    maps: Api<ConfigMap>,
    name: String,
    of: String,
}

/// A record as it was read: what is written then must be made of it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub record: Record,
    there: Option<ConfigMap>,
}

impl RecordPlace {
    /// The record that is kept for `parts`: the app first, then what tells where it is.
    pub(crate) fn new(client: Client, namespace: &str, parts: &[&str]) -> Self {
        let name = release::object_name(parts);
        Self { maps: Api::namespaced(client, namespace), name, of: parts.join(" ") }
    }

    /// Reads it. None is an empty one.
    ///
    /// # Errors
    /// `Broken` when it is not as we write it; else as any call.
    pub(crate) async fn read(
        &self,
        scope: &Scope,
        attempted: &str,
    ) -> Result<Stored, BackendError> {
        let asked = self.maps.get_opt(&self.name);
        let there = failure::within(asked, Effect::Asks, scope, attempted).await?;
        let text = there.as_ref().and_then(|map| map.data.as_ref()?.get(KEY));
        let record = match text {
            None => Record { of: self.of.clone(), ..Record::default() },
            Some(text) => self.parse(text).map_err(|why| {
                BackendError::new(ErrorKind::Broken, attempted)
                    .with_source(format!("the ConfigMap {} {why}", self.name))
                    .with_hint("look at it, and delete it to start anew")
            })?,
        };
        Ok(Stored { record, there })
    }

    fn parse(&self, text: &str) -> Result<Record, String> {
        if text.len() > LARGEST {
            return Err(format!("is larger than {} kB", LARGEST / 1024));
        }
        let record: Record =
            serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))?;
        match record.format {
            FORMAT if record.of == self.of => Ok(record),
            FORMAT => Err(format!("is of {:?}, and not of {:?}", record.of, self.of)),
            other => Err(format!("has the unknown format {other}")),
        }
    }

    /// Changes it; again when somebody else was faster.
    ///
    /// # Errors
    /// As [`read`](Self::read); `Conflict` when others were faster again and again.
    pub(crate) async fn change(
        &self,
        scope: &Scope,
        attempted: &str,
        change: impl Fn(&mut Stored),
    ) -> Result<(), BackendError> {
        let mut round = 1;
        loop {
            let mut stored = self.read(scope, attempted).await?;
            change(&mut stored);
            match self.write(stored, scope, attempted).await {
                Err(error) if error.kind() == ErrorKind::Conflict && round < ROUNDS => round += 1,
                written => return written,
            }
        }
    }

    /// Writes it, if it is still what was read.
    ///
    /// # Errors
    /// `Conflict` when it is not; else as any call.
    pub(crate) async fn write(
        &self,
        stored: Stored,
        scope: &Scope,
        attempted: &str,
    ) -> Result<(), BackendError> {
        let text = serde_json::json!(stored.record).to_string();
        let options = PostParams::default();
        let written = match stored.there {
            Some(mut map) => {
                map.data.get_or_insert_default().insert(KEY.to_owned(), text);
                let replacing = self.maps.replace(&self.name, &options, &map);
                failure::within(replacing, Effect::Changes, scope, attempted).await
            }
            None => {
                let map = ConfigMap {
                    metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                    data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
                    ..ConfigMap::default()
                };
                let creating = self.maps.create(&options, &map);
                failure::within(creating, Effect::Changes, scope, attempted).await
            }
        };
        written.map(drop)
    }
}
