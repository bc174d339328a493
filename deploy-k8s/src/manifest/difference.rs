//! What changes in one object.

use std::fmt;

use serde_json::Value;

use super::{
    drift::{Drift, drifts, told, undone},
    mask::{in_one_place, masked},
    noise::{stripped, without_nulls},
    object::{Key, Object},
    path::differing,
    text::{shortened, unified},
};

/// What is known of one object, three ways.
#[derive(Clone)]
pub(crate) struct Seen {
    pub key: Key,
    pub deployed: Option<Object>,
    pub rendered: Option<Object>,
    pub live: Live,
}

/// What the cluster said of it.
#[derive(Clone)]
pub(crate) enum Live {
    /// It was not compared, and why.
    Unknown(String),
    /// It is not there. What is rendered would be refused, where that was said.
    Absent { refused: Option<String> },
    /// It is there.
    There {
        now: Value,
        /// What it would become if what is rendered were applied.
        after: Option<Value>,
        /// What it would become if what was deployed were applied again; `None` where it has all of
        /// that, or where that is not known.
        again: Option<Value>,
        /// Why that is not known.
        unknown: Option<String>,
    },
}

/// What it holds may be secret.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What changes in one object, in lines for a person.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Difference {
    /// What the deploy will change.
    pub will_change: Vec<String>,
    /// What others have changed since the last deploy.
    pub changed_outside: Vec<String>,
    /// Why it was not compared with what lives in the cluster.
    pub not_compared: Option<String>,
}

impl Difference {
    /// What changes in the object of `seen`. Nothing of what a Secret holds is in it, but for the
    /// reasons that the cluster gave.
    pub(crate) fn of(seen: &Seen) -> Self {
        let value = |object: &Option<Object>| {
            object.as_ref().map(|object| applied(&seen.key, &object.value))
        };
        let (deployed, rendered) = (value(&seen.deployed), value(&seen.rendered));
        let Some(rendered) = rendered else { return Self::gone(seen) };
        match &seen.live {
            Live::Unknown(why) => Self {
                will_change: shown(&seen.key, deployed.as_ref(), Some(&rendered)),
                not_compared: Some(why.clone()),
                ..Self::default()
            },
            Live::Absent { refused } => Self::new_object(seen, &rendered, refused.as_ref()),
            Live::There { now, after, again, unknown } => {
                let asked = Asked { now, after: after.as_ref(), again: again.as_ref() };
                let mut found = asked.compare(&seen.key, deployed.as_ref(), &rendered);
                found.changed_outside.extend(unknown.as_ref().map(|why| {
                    format!("whether it was changed outside deploys is not known: {why}")
                }));
                found
            }
        }
    }

    /// What changes in what helm runs at a deploy.
    pub(crate) fn of_hook(old: Option<Object>, new: Option<Object>) -> Self {
        let Some(hook) = new.as_ref().or(old.as_ref()) else { return Self::default() };
        let key = hook.key.clone();
        let when = hook.hook().unwrap_or_default().to_owned();
        let value = |object: Option<Object>| object.map(|object| applied(&key, &object.value));
        let (old, new) = (value(old), value(new));
        let mut will_change = shown(&key, old.as_ref(), new.as_ref());
        if !will_change.is_empty() {
            will_change.insert(0, format!("a hook, run at {}", shortened(&when, 100)));
        }
        Self { will_change, ..Self::default() }
    }

    fn gone(seen: &Seen) -> Self {
        let kept = seen.deployed.as_ref().is_some_and(Object::is_kept);
        let line = match (&seen.live, kept) {
            (Live::Absent { .. }, _) => "it is in the chart no more, and is gone already",
            (_, true) => "it is in the chart no more; it stays, as its annotation says",
            _ => "it goes away",
        };
        Self { will_change: vec![line.to_owned()], ..Self::default() }
    }

    fn new_object(seen: &Seen, rendered: &Value, refused: Option<&String>) -> Self {
        let mut will_change = vec!["a new object".to_owned()];
        let mut changed_outside = Vec::new();
        if seen.deployed.is_some() {
            changed_outside.push("it was deleted; the deploy makes it anew".to_owned());
        }
        will_change.extend(refused.map(|why| format!("the cluster would refuse it now: {why}")));
        will_change.extend(shown(&seen.key, None, Some(rendered)));
        Self { will_change, changed_outside, not_compared: None }
    }
}

/// What of a rendered object is applied.
pub(super) fn applied(key: &Key, value: &Value) -> Value {
    let mut value = without_nulls(in_one_place(key, value.clone()));
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    value
}

/// What the cluster said of an object that is there.
struct Asked<'a> {
    now: &'a Value,
    after: Option<&'a Value>,
    again: Option<&'a Value>,
}

impl Asked<'_> {
    fn compare(&self, key: &Key, deployed: Option<&Value>, rendered: &Value) -> Difference {
        let now = stripped(self.now.clone());
        let mut after = self.after.cloned().map_or_else(|| now.clone(), stripped);
        if let Some(deployed) = deployed {
            remove_what_is_set_no_more(&mut after, deployed, rendered);
        }
        let again = self.again.cloned().map(stripped);
        let drifts: Vec<Drift> =
            again.map(|again| drifts(&now, &again, &after, self.now)).unwrap_or_default();
        let mut will_change = shown(key, Some(&undone(&now, &drifts)), Some(&after));
        if deployed.is_none() {
            let line = "it is there already, and is not the release's: helm takes it over only if \
                        it bears the release's labels and annotations";
            will_change.insert(0, line.to_owned());
        }
        Difference { will_change, changed_outside: told(key, &drifts), not_compared: None }
    }
}

/// Helm removes what the chart has set and sets no more. To apply what is rendered would leave it, since
/// that is not how helm applied it.
fn remove_what_is_set_no_more(after: &mut Value, deployed: &Value, rendered: &Value) {
    for it in differing(deployed, rendered) {
        let is_place = it.path.is_below(&["metadata", "namespace"]);
        if it.new.is_none() && !is_place && it.path.get(after).is_some() {
            it.path.put(after, None);
        }
    }
}

/// What changes, of what may be shown.
fn shown(key: &Key, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let (before, after) = masked(key, before, after);
    unified(before.as_ref(), after.as_ref())
}
