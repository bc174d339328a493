//! What was changed outside deploys: where an object that lives differs from what was deployed, in
//! fields that the deploy had set.

use serde_json::Value;

use super::{
    mask,
    object::Key,
    path::{Differing, Path, Step, differing},
    text,
};

/// How many places of one object are told.
const TOLD: usize = 20;

/// A field that somebody else changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drift {
    path: Path,
    deployed: Option<Value>,
    live: Option<Value>,
    /// What it is after the deploy.
    after: Option<Value>,
    /// Who changed it, where the cluster knows.
    by: Option<String>,
}

/// Whether `live` has all that `deployed` sets. A no may be wrong: the API server writes values its
/// own way.
pub(super) fn covers(live: &Value, deployed: &Value) -> bool {
    differing(deployed, live).iter().all(|it| it.old.is_none())
}

/// Whether `live` has what `deployed` sets to the letter, lists without more in them. A no may be wrong.
pub(super) fn has_all(live: &Value, deployed: &Value) -> bool {
    match (live, deployed) {
        (Value::Object(live), Value::Object(deployed)) => {
            let mut fields = deployed.iter();
            fields.all(|(key, value)| live.get(key).is_some_and(|live| has_all(live, value)))
        }
        (Value::Array(live), Value::Array(deployed)) => {
            let mut pairs = live.iter().zip(deployed);
            live.len() == deployed.len() && pairs.all(|(live, value)| has_all(live, value))
        }
        (live, value) => live == value,
    }
}

/// Whether the API server notes one writer only, but for what controllers tell of their work: no second one
/// can have added anything. A no may be wrong.
pub(super) fn is_of_one(object: &Value) -> bool {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let told = |entry: &&Value| {
        let is_status = |fields: &serde_json::Map<String, Value>| {
            fields.iter().all(|(name, fields)| match name.as_str() {
                "f:status" => true,
                "f:metadata" => is_of_a_controller(fields),
                _ => false,
            })
        };
        entry["fieldsV1"].as_object().is_some_and(is_status)
    };
    let mut writers = entries.into_iter().flatten().filter(|entry| !told(entry));
    writers.next().is_some() && writers.next().is_none()
}

/// Whether these are notes in the metadata that the Deployments' controller makes.
fn is_of_a_controller(fields: &Value) -> bool {
    let only = |fields: &Value, names: &[&str]| {
        fields.as_object().is_some_and(|it| it.keys().all(|name| names.contains(&name.as_str())))
    };
    let notes = &fields["f:annotations"];
    only(fields, &["f:annotations"]) && only(notes, &[".", "f:deployment.kubernetes.io/revision"])
}

/// Where `live` differs from what it would be if the deployed manifest were applied again (`again`),
/// and what the deploy makes of that (`after`). `noted` is the object as it came, with the notes of
/// who owns which field.
pub(super) fn drifts(live: &Value, again: &Value, after: &Value, noted: &Value) -> Vec<Drift> {
    let drift = |Differing { path, old: live, new: deployed }: Differing| {
        let after = path.get(after).cloned();
        let by = manager(noted, &path);
        Drift { path, deployed, live, after, by }
    };
    differing(live, again).into_iter().map(drift).collect()
}

/// `live` as it would be if what the deploy undoes were undone: what is left to change is the deploy's.
pub(super) fn undone(live: &Value, drifts: &[Drift]) -> Value {
    let mut live = live.clone();
    for drift in drifts.iter().filter(|drift| drift.after == drift.deployed) {
        drift.path.put(&mut live, drift.deployed.clone());
    }
    live
}

/// Each of them in words.
pub(super) fn told(key: &Key, drifts: &[Drift]) -> Vec<String> {
    let mut lines: Vec<String> = drifts.iter().take(TOLD).map(|drift| line(key, drift)).collect();
    if drifts.len() > TOLD {
        lines.push(format!("… and {} more fields", drifts.len() - TOLD));
    }
    lines
}

fn line(key: &Key, drift: &Drift) -> String {
    let Drift { path, deployed, live, after, by } = drift;
    let by = by.as_ref().map(|by| format!(" (by {by})")).unwrap_or_default();
    let path = text::shortened(&path.to_string(), 200);
    let becomes = if after == deployed {
        "the deploy undoes it"
    } else if after == live {
        "the deploy leaves it so"
    } else {
        "the deploy changes it again"
    };
    if mask::is_hidden(key, &drift.path) {
        let what = match (deployed, live) {
            (_, None) => "was removed",
            (None, _) => "was added",
            _ => "was changed",
        };
        return format!("{path} {what}{by}; {becomes}");
    }
    let inline =
        |value: &Option<Value>| text::inline(value.as_ref().map(mask::without_any_sum).as_ref());
    let (was, is) = (inline(deployed), inline(live));
    let becomes = match after {
        after if after != deployed && after != live => {
            format!("the deploy makes it {}", inline(after))
        }
        _ => becomes.to_owned(),
    };
    format!("{path} is {is}{by}, deployed was {was}; {becomes}")
}

/// Who wrote the field last, by the API server's own notes.
fn manager(object: &Value, path: &Path) -> Option<String> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let owns = |entry: &&Value| entry.get("fieldsV1").is_some_and(|fields| owned(fields, &path.0));
    let newest = entries.iter().filter(owns).max_by_key(|entry| entry["time"].as_str())?;
    let manager = text::shortened(newest["manager"].as_str()?, 128);
    let since = newest["time"].as_str().map(|time| format!(", {}", text::shortened(time, 32)));
    Some(manager + &since.unwrap_or_default())
}

fn owned(fields: &Value, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else { return true };
    let Some(fields) = fields.as_object() else { return false };
    match step {
        Step::Key(key) => fields.get(&format!("f:{key}")).is_some_and(|fields| owned(fields, rest)),
        Step::Item { by, is } => fields.iter().any(|(name, fields)| {
            let key = name.strip_prefix("k:").and_then(|key| serde_json::from_str(key).ok());
            key.is_some_and(|key: Value| key[*by] == *is) && owned(fields, rest)
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_is_there_to_the_letter_or_it_is_asked_for() {
        let set = json!({ "spec": { "ports": [{ "name": "http", "port": 80 }], "type": "x" } });
        let live =
            |ports: Value| json!({ "spec": { "ports": ports, "type": "x", "ip": "10.0.0.1" } });
        let first = json!({ "name": "http", "port": 80, "protocol": "TCP" });
        assert!(has_all(&live(json!([first])), &set), "defaults are beside it");
        assert!(!has_all(&live(json!([first, { "name": "more", "port": 81 }])), &set));
        assert!(!has_all(&live(json!([])), &set));
        assert!(!has_all(&live(json!([{ "name": "http", "port": "80" }])), &set));
        assert!(!has_all(&json!({ "spec": { "type": "x" } }), &set));
    }

    #[test]
    fn who_else_has_written_is_in_the_notes_of_the_server() {
        let entry =
            |manager: &str, fields: Value| json!({ "manager": manager, "fieldsV1": fields });
        let of =
            |entries: Vec<Value>| is_of_one(&json!({ "metadata": { "managedFields": entries } }));
        let helm = || entry("helm", json!({ "f:metadata": { "f:labels": {} }, "f:spec": {} }));
        let notes = json!({ ".": {}, "f:deployment.kubernetes.io/revision": {} });
        let controller = entry(
            "kube-controller-manager",
            json!({ "f:metadata": { "f:annotations": notes }, "f:status": { "f:replicas": {} } }),
        );
        assert!(of(vec![helm()]) && of(vec![controller.clone(), helm()]));
        let labels = json!({ "f:metadata": { "f:labels": { "f:x": {} } } });
        for other in [json!({ "f:spec": { "f:selector": {} } }), json!({ "f:data": {} }), labels] {
            assert!(!of(vec![helm(), entry("kubectl-edit", other.clone())]), "{other}");
        }
        let note = json!({ "f:metadata": { "f:annotations": { "f:mine": {} } } });
        assert!(!of(vec![helm(), entry("kubectl-annotate", note)]));
        assert!(!of(vec![controller]) && !is_of_one(&json!({ "metadata": {} })), "nobody tells");
    }
}
