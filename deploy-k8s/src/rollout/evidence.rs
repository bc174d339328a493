//! What a person would look at when a rollout does not get on.

use deploy_core::backend::Scope;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
};

use super::fault::Fault;
use crate::failure::{self, Effect};

/// How many events are read.
const EVENTS_READ: u32 = 100;
/// How much of one event is told in a line, in characters.
const LONGEST: usize = 200;
/// How many events are shown.
const EVENTS: usize = 10;
/// How many of the last lines of a log.
const LINES: i64 = 20;
/// How much of a log is read, in bytes.
const LOG: i64 = 16 * 1024;

/// A namespace of a cluster.
type Place<'a> = (&'a Client, &'a str);

/// The events and the last lines of the log of what is at fault; `None` where there are none.
pub(super) async fn of(
    place: Place<'_>,
    workload: &str,
    fault: &Fault,
    scope: &Scope,
) -> Option<String> {
    let name = fault.pod().unwrap_or(workload);
    let mut shown = events(place, name, scope).await;
    if let (Some(pod), Some(container)) = (fault.pod(), fault.container()) {
        shown.extend(log(place, (pod, container), true, scope).await);
    }
    (!shown.is_empty()).then(|| shown.join("\n"))
}

/// The last event of this reason that an object has, with its name. Where events may not be read, there is none.
pub(super) async fn event(
    (client, namespace): Place<'_>,
    (name, reason): (&str, &str),
    scope: &Scope,
) -> Option<String> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let fields = format!("involvedObject.name={name},reason={reason}");
    let params = ListParams::default().fields(&fields).limit(EVENTS_READ);
    let listed = failure::within(api.list(&params), Effect::Asks, scope, "read events").await;
    let events = listed.ok()?.items;
    let last =
        events.into_iter().max_by_key(|event| event.last_timestamp.as_ref().map(|at| at.0))?;
    let message: String = last.message.unwrap_or_default().trim().chars().take(LONGEST).collect();
    Some(format!("{name}: {message}"))
}

/// The last events of an object. They are a help only: where they may not be read, there are none.
pub(crate) async fn events(
    (client, namespace): Place<'_>,
    name: &str,
    scope: &Scope,
) -> Vec<String> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params =
        ListParams::default().fields(&format!("involvedObject.name={name}")).limit(EVENTS_READ);
    let Ok(list) = failure::within(api.list(&params), Effect::Asks, scope, "read events").await
    else {
        return Vec::new();
    };
    let mut events = list.items;
    events.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    let text = |event: &Event| {
        let kind = event.type_.as_deref().unwrap_or("Normal");
        let reason = event.reason.as_deref().unwrap_or_default();
        let message = event.message.as_deref().unwrap_or_default().trim();
        format!("{kind} {reason}: {message}")
    };
    let from = events.len().saturating_sub(EVENTS);
    events[from..].iter().map(text).collect()
}

/// The last lines that a container wrote, or its predecessor that has ended.
pub(crate) async fn log(
    (client, namespace): Place<'_>,
    (pod, container): (&str, &str),
    previous: bool,
    scope: &Scope,
) -> Option<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        tail_lines: Some(LINES),
        limit_bytes: Some(LOG),
        ..LogParams::default()
    };
    let read = api.logs(pod, &params);
    let log = failure::within(read, Effect::Asks, scope, "read the log").await.ok()?;
    (!log.trim().is_empty()).then_some(log)
}
