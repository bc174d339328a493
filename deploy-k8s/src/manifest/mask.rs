//! What is not shown: what Secrets hold, and sums over it.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    object::Key,
    path::{Path, Step},
};

/// Stands for what is not shown.
const HIDDEN: &str = "(not shown)";
/// Stands for what is not shown, and is another than before.
const CHANGED: &str = "(not shown, another than before)";
/// The fields of a Secret that are shown. Of its data and annotations only the names are.
const SHOWN: &[&str] = &["apiVersion", "kind", "type", "immutable"];
/// Annotations by which charts restart pods when a file of theirs changes: a sum over it.
const SUMS: &[&str] = &["checksum/", "checksum."];

/// `object` with all data of a Secret in one place, as the API server keeps it.
pub(super) fn in_one_place(key: &Key, mut object: Value) -> Value {
    let Some(fields) = object.as_object_mut().filter(|_| key.is_secret()) else { return object };
    let Some(Value::Object(plain)) = fields.remove("stringData") else { return object };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    if !data.is_object() {
        *data = json!({});
    }
    for (name, value) in plain {
        data[name] = Value::String(STANDARD.encode(as_text(&value)));
    }
    object
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An object before and after, as they are shown.
pub(super) fn masked(
    key: &Key,
    before: Option<&Value>,
    after: Option<&Value>,
) -> (Option<Value>, Option<Value>) {
    let mask = |it: Option<&Value>, other: Option<&Value>, changed: &str| {
        it.map(|it| match key.is_secret() {
            true => secret(it, other, changed),
            false => without_sums(it, other, changed),
        })
    };
    (mask(before, after, HIDDEN), mask(after, before, CHANGED))
}

/// A value at a place of an object, as it is shown: nothing of a Secret's.
pub(super) fn is_hidden(key: &Key, path: &Path) -> bool {
    let is_shown = SHOWN.iter().any(|field| path.is_below(&[field]));
    let is_label = path.is_below(&["metadata", "labels"]);
    key.is_secret() && !is_shown && !is_label || path.0.iter().any(is_sum)
}

fn is_sum(step: &Step) -> bool {
    matches!(step, Step::Key(key) if SUMS.iter().any(|sum| key.starts_with(sum)))
}

/// A value that is shown, without what is not shown in it.
pub(super) fn without_any_sum(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| match is_sum(&Step::Key(name.clone())) {
                    true => (name.clone(), Value::from(HIDDEN)),
                    false => (name.clone(), without_any_sum(value)),
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_any_sum).collect()),
        value => value.clone(),
    }
}

/// What Secrets hold in `objects`, in each form that it could be told in.
pub(super) fn held<'v>(objects: impl Iterator<Item = (&'v Key, &'v Value)>) -> Vec<String> {
    let mut held = Vec::new();
    for (_, object) in objects.filter(|(key, _)| key.is_secret()) {
        let values = |field: &str| object[field].as_object().into_iter().flatten();
        for (_, value) in values("data") {
            let text = value.as_str().unwrap_or_default();
            held.push(text.to_owned());
            let decoded = STANDARD.decode(text).ok();
            held.extend(decoded.and_then(|bytes| String::from_utf8(bytes).ok()));
        }
        for (_, value) in values("stringData") {
            let text = as_text(value);
            held.extend([STANDARD.encode(&text), text]);
        }
    }
    held.iter_mut().for_each(|text| *text = text.trim().to_owned());
    held.retain(|text| !text.is_empty());
    held
}

fn secret(object: &Value, other: Option<&Value>, changed: &str) -> Value {
    let hidden = |fields: &Value, others: Option<&Value>| -> Value {
        let fields = fields.as_object().into_iter().flatten();
        fields
            .map(|(name, value)| {
                let before = others.and_then(|others| others.get(name));
                let is_same = before.is_none_or(|before| before == value);
                (name.clone(), Value::from(if is_same { HIDDEN } else { changed }))
            })
            .collect::<Map<_, _>>()
            .into()
    };
    let of_other = |pointer: &str| other.and_then(|other| other.pointer(pointer));
    let mut shown = Map::new();
    for field in SHOWN {
        if let Some(value) = object.get(*field).filter(|value| !value.is_object()) {
            shown.insert((*field).to_owned(), value.clone());
        }
    }
    let metadata = &object["metadata"];
    let mut kept = Map::new();
    for field in ["name", "namespace", "labels"] {
        if let Some(value) = metadata.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(notes) = metadata.get("annotations") {
        kept.insert("annotations".into(), hidden(notes, of_other("/metadata/annotations")));
    }
    shown.insert("metadata".into(), kept.into());
    for data in ["data", "stringData"] {
        if let Some(fields) = object.get(data) {
            shown.insert(data.to_owned(), hidden(fields, of_other(&format!("/{data}"))));
        }
    }
    shown.into()
}

fn without_sums(object: &Value, other: Option<&Value>, changed: &str) -> Value {
    let mut object = object.clone();
    for place in ["/metadata/annotations", "/spec/template/metadata/annotations"] {
        let others = other.and_then(|other| other.pointer(place));
        let notes = object.pointer_mut(place).and_then(Value::as_object_mut);
        for (name, value) in notes.into_iter().flatten() {
            if SUMS.iter().any(|sum| name.starts_with(sum)) {
                let before = others.and_then(|others| others.get(name));
                let is_same = before.is_none_or(|before| before == value);
                *value = Value::from(if is_same { HIDDEN } else { changed });
            }
        }
    }
    object
}
