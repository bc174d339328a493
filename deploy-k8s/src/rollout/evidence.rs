//! What a person would look at when a rollout does not get on.

use deploy_core::backend::Scope;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
};

use super::fault::Fault;
use crate::{
    failure::{self, Effect},
    place::WorkloadPlace,
};

/// How many events are shown.
const EVENTS: usize = 10;
/// How many of the last lines of a log.
const LINES: i64 = 20;
/// How much of a log is read, in bytes.
const LOG: i64 = 16 * 1024;

/// The events and the last lines of the log of what is at fault; `None` where there are none.
pub(super) async fn of(
    client: &Client,
    place: &WorkloadPlace,
    fault: &Fault,
    scope: &Scope,
) -> Option<String> {
    let name = fault.pod().unwrap_or(&place.workload.name);
    let mut shown = events(client, place, name, scope).await;
    if let (Some(pod), Some(container)) = (fault.pod(), fault.container()) {
        shown.extend(log(client, place, (pod, container), scope).await);
    }
    (!shown.is_empty()).then(|| shown.join("\n"))
}

async fn events(client: &Client, place: &WorkloadPlace, name: &str, scope: &Scope) -> Vec<String> {
    let api: Api<Event> = Api::namespaced(client.clone(), &place.namespace);
    let params = ListParams::default().fields(&format!("involvedObject.name={name}")).limit(100);
    // They are a help only: where they may not be read, the fault is told without.
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

async fn log(
    client: &Client,
    place: &WorkloadPlace,
    (pod, container): (&str, &str),
    scope: &Scope,
) -> Option<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &place.namespace);
    let params = LogParams {
        container: Some(container.to_owned()),
        previous: true,
        tail_lines: Some(LINES),
        limit_bytes: Some(LOG),
        ..LogParams::default()
    };
    let read = api.logs(pod, &params);
    let log = failure::within(read, Effect::Asks, scope, "read the log").await.ok()?;
    (!log.trim().is_empty()).then_some(log)
}
