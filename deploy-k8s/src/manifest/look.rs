//! Asks a cluster what lives there, and what it would become.

use std::{collections::BTreeMap, sync::Arc};

use deploy_core::backend::{BackendError, ErrorKind, Scope};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::DynamicObject,
    discovery,
};
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    difference::{Live, Seen, applied},
    drift::{self, covers},
    kind::{self, Kind},
    mask,
    object::{Key, Object},
    text,
};
use crate::failure::{self, Effect};

/// Who would own the fields. It never does: nothing of this is kept.
const FIELD_MANAGER: &str = "deploy-preview";
/// How many are asked for in all.
const MOST: usize = 500;
/// How much is told of why the cluster refuses something, in characters.
const TOLD: usize = 300;
/// What servers before 1.21 or so have against a server-side apply alone, as of a port without a protocol: helm,
/// which creates and patches, is not refused.
const OMITTED: &str = "omits key field";
/// Stands for words that may tell what is secret.
const UNTOLD: &str = "in words that are not shown, since they may tell what a Secret holds";

/// Asks a cluster.
#[derive(Clone)]
pub(crate) struct Look {
    pub client: Client,
    pub scope: Scope,
    /// For those who look at objects of the cluster at once.
    pub places: Arc<Semaphore>,
}

/// One object, as it was deployed and as it is rendered.
struct Pair {
    key: Key,
    deployed: Option<Object>,
    rendered: Option<Object>,
}

impl Pair {
    /// Whether it is rendered to what was deployed.
    fn is_unchanged(&self) -> bool {
        match (&self.deployed, &self.rendered) {
            (Some(deployed), Some(rendered)) => set(deployed) == set(rendered),
            _ => false,
        }
    }
}

impl Look {
    /// What is known of each object that was deployed or is rendered. Changes nothing: what is applied
    /// is applied as a dry run. Dropped, it asks no more.
    ///
    /// # Errors
    /// When the cluster does not answer at all. What it only refuses to tell is said in the answer.
    pub(crate) async fn see(
        &self,
        deployed: Vec<Object>,
        rendered: Vec<Object>,
    ) -> Result<Vec<Seen>, BackendError> {
        let pairs = pairs(deployed, rendered);
        let objects = || pairs.iter().flat_map(|pair| [&pair.deployed, &pair.rendered]);
        let held = mask::held(objects().flatten().map(|object| (&object.key, &object.value)));
        let held = Arc::new(held);
        let mut asking = JoinSet::new();
        for (number, pair) in pairs.into_iter().enumerate() {
            let (look, held) = (self.clone(), Arc::clone(&held));
            asking.spawn(async move {
                // It is never closed.
                let _place = look.places.acquire().await;
                let live = match number < MOST {
                    true => look.live(&pair, &held).await?,
                    false => Live::Unknown(format!("it is one of more than {MOST} objects")),
                };
                let Pair { key, deployed, rendered } = pair;
                Ok((number, Seen { key, deployed, rendered, live }))
            });
        }
        let mut seen = BTreeMap::new();
        while let Some(asked) = asking.join_next().await {
            let broken = |error| {
                BackendError::new(ErrorKind::Broken, "look at what lives there").with_source(error)
            };
            let (number, object) = asked.map_err(broken)??;
            seen.insert(number, object);
        }
        Ok(seen.into_values().collect())
    }

    async fn live(&self, pair: &Pair, held: &[String]) -> Result<Live, BackendError> {
        let objects = match self.objects(&pair.key).await? {
            Ok(objects) => objects,
            Err(why) => return Ok(Live::Unknown(told(&why, &pair.key, held))),
        };
        let (now, after) = match pair.is_unchanged() {
            true => match self.get(&objects, &pair.key).await {
                Ok(Some(now)) if pair.rendered.as_ref().is_some_and(|it| is_settled(&now, it)) => {
                    return Ok(Live::There { now, after: None, again: None, unknown: None });
                }
                now => (now, self.apply(&objects, pair.rendered.as_ref()).await),
            },
            false => tokio::join!(
                self.get(&objects, &pair.key),
                self.apply(&objects, pair.rendered.as_ref()),
            ),
        };
        let now = match now {
            Ok(now) => now,
            Err(error) if is_silence(&error) => return Err(error),
            Err(error) => return Ok(Live::Unknown(told(&error, &pair.key, held))),
        };
        let after = match after {
            Err(error) if is_end(&error) => return Err(error),
            after => after.map_err(|error| told(&error, &pair.key, held)),
        };
        let Some(now) = now else {
            let refused = after.err().filter(|why| !why.contains(OMITTED));
            return Ok(Live::Absent { refused });
        };
        let after = match after {
            Ok(after) => after,
            Err(why) => return Ok(Live::Unknown(why)),
        };
        let (again, unknown) = match self.again(&objects, pair, &now, after.as_ref()).await {
            Ok(again) => (again, None),
            Err(error) if is_end(&error) => return Err(error),
            Err(error) => (None, Some(told(&error, &pair.key, held))),
        };
        Ok(Live::There { now, after, again, unknown })
    }

    /// What the object would become if what was deployed were applied again, where that is to be asked.
    async fn again(
        &self,
        objects: &Api<DynamicObject>,
        pair: &Pair,
        now: &Value,
        after: Option<&Value>,
    ) -> Result<Option<Value>, BackendError> {
        let (Some(deployed), Some(_)) = (&pair.deployed, &pair.rendered) else {
            return Ok(None);
        };
        if pair.is_unchanged() {
            return Ok(after.cloned());
        }
        match covers(now, &set(deployed)) {
            true => Ok(None),
            false => self.apply(objects, Some(deployed)).await,
        }
    }

    async fn objects(
        &self,
        key: &Key,
    ) -> Result<Result<Api<DynamicObject>, BackendError>, BackendError> {
        let kind = match kind::known(key) {
            Some(kind) => kind,
            None => match self.discovered(key).await {
                Ok(kind) => kind,
                Err(error) if is_silence(&error) => return Err(error),
                Err(error) => return Ok(Err(error)),
            },
        };
        let client = self.client.clone();
        Ok(Ok(match kind.in_namespace {
            true => Api::namespaced_with(client, &key.namespace, &kind.resource),
            false => Api::all_with(client, &kind.resource),
        }))
    }

    async fn discovered(&self, key: &Key) -> Result<Kind, BackendError> {
        let attempted = format!("ask what {} is", key.kind);
        let kind = kind::group_version_kind(key);
        let asked = discovery::pinned_kind(&self.client, &kind);
        let unknown = |why: String| {
            BackendError::new(ErrorKind::NotFound, attempted.clone()).with_source(why)
        };
        let found = async {
            Ok(match asked.await {
                Err(kube::Error::Api(status)) if status.code != 404 => {
                    return Err(kube::Error::Api(status));
                }
                Err(kube::Error::Api(_) | kube::Error::Discovery(_)) => None,
                found => Some(found?),
            })
        };
        let found = failure::within(found, Effect::Asks, &self.scope, &attempted).await?;
        let (resource, abilities) = found.ok_or_else(|| {
            unknown(format!("the cluster does not know {} of {}", key.kind, key.api_version))
        })?;
        let in_namespace = abilities.scope == discovery::Scope::Namespaced;
        Ok(Kind { resource, in_namespace })
    }

    async fn get(
        &self,
        objects: &Api<DynamicObject>,
        key: &Key,
    ) -> Result<Option<Value>, BackendError> {
        let attempted = format!("look at {}/{}", key.kind, key.name);
        let asked = objects.get_opt(&key.name);
        let found = failure::within(asked, Effect::Asks, &self.scope, &attempted).await?;
        found.map(|object| written(&object, &attempted)).transpose()
    }

    async fn apply(
        &self,
        objects: &Api<DynamicObject>,
        object: Option<&Object>,
    ) -> Result<Option<Value>, BackendError> {
        let Some(Object { key, value }) = object else { return Ok(None) };
        let attempted = format!("apply {}/{} as a dry run", key.kind, key.name);
        let mut options = PatchParams::apply(FIELD_MANAGER).force();
        options.dry_run = true;
        let value = applied(key, value);
        let patch = Patch::Apply(&value);
        let asked = objects.patch(&key.name, &options, &patch);
        let after = failure::within(asked, Effect::Asks, &self.scope, &attempted).await?;
        written(&after, &attempted).map(Some)
    }
}

/// What of an object is applied.
fn set(object: &Object) -> Value {
    applied(&object.key, &object.value)
}

/// Whether it is certain, without asking, that nobody has touched `live` since `object` was applied, which
/// would change nothing.
fn is_settled(live: &Value, object: &Object) -> bool {
    drift::is_of_one(live) && drift::has_all(live, &set(object))
}

fn written(object: &DynamicObject, attempted: &str) -> Result<Value, BackendError> {
    serde_json::to_value(object).map_err(|_| {
        // Its words may have what is secret in them.
        BackendError::new(ErrorKind::Broken, attempted).with_source("it cannot be written as JSON")
    })
}

/// Each object once, in the order of what is rendered, then what is rendered no more.
fn pairs(deployed: Vec<Object>, rendered: Vec<Object>) -> Vec<Pair> {
    let mut deployed: BTreeMap<Key, Object> =
        deployed.into_iter().map(|object| (object.key.clone(), object)).collect();
    let mut pairs = Vec::new();
    for rendered in rendered {
        let key = rendered.key.clone();
        pairs.push(Pair { deployed: deployed.remove(&key), rendered: Some(rendered), key });
    }
    let gone = deployed.into_iter();
    pairs.extend(gone.map(|(key, object)| Pair { key, deployed: Some(object), rendered: None }));
    pairs
}

/// Whether the whole look is over.
fn is_end(error: &BackendError) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Cancelled)
}

/// Whether nobody answers, so that there is no use in asking for more.
fn is_silence(error: &BackendError) -> bool {
    is_end(error) || error.kind() == ErrorKind::Unreachable
}

/// Why, as far as it may be told: a webhook may repeat what it was given.
pub(super) fn told(error: &BackendError, key: &Key, held: &[String]) -> String {
    let cause = error.cause();
    let is_answer = matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound);
    let may_tell = key.is_secret() && !is_answer;
    if may_tell || held.iter().any(|secret| cause.contains(secret)) {
        return format!("{}, {UNTOLD}", error.kind());
    }
    reason(error)
}

/// Why a cluster refuses something, as much as a plan has room for.
pub(crate) fn reason(error: &BackendError) -> String {
    text::shortened(&error.cause(), TOLD)
}
