//! Where a value lies in an object, and where two objects differ.

use std::{collections::BTreeSet, fmt};

use serde_json::Value;

/// What tells the items of lists apart, the first that does.
const ITEM_KEYS: &[&str] =
    &["name", "mountPath", "containerPort", "port", "devicePath", "ip", "topologyKey", "type"];

/// One step into an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Key(String),
    /// The item of a list whose field `by` is `is`.
    Item {
        by: &'static str,
        is: Value,
    },
}

/// Where a value lies.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Path(pub Vec<Step>);

impl Path {
    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// Whether it begins with these keys.
    pub(super) fn is_below(&self, keys: &[&str]) -> bool {
        let mut steps = self.0.iter();
        keys.iter().all(|key| steps.next().is_some_and(|s| matches!(s, Step::Key(k) if k == key)))
    }

    /// What lies there.
    pub(super) fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Item { by, is } => value.as_array()?.iter().find(|item| item[*by] == *is),
        })
    }

    fn parent_mut<'v>(&self, value: &'v mut Value) -> Option<(&'v mut Value, &Step)> {
        let (last, before) = self.0.split_last()?;
        let parent = before.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.get_mut(key),
            Step::Item { by, is } => value.as_array_mut()?.iter_mut().find(|item| item[*by] == *is),
        })?;
        Some((parent, last))
    }

    /// Puts `new` there, or nothing; leaves `value` as it is where there is no such place.
    pub(super) fn put(&self, value: &mut Value, new: Option<Value>) {
        let Some((parent, last)) = self.parent_mut(value) else { return };
        match (last, parent) {
            (Step::Key(key), Value::Object(fields)) => match new {
                Some(new) => drop(fields.insert(key.clone(), new)),
                None => drop(fields.remove(key)),
            },
            (Step::Item { by, is }, Value::Array(items)) => {
                let at = items.iter().position(|item| item[*by] == *is);
                match (at, new) {
                    (Some(at), Some(new)) => items[at] = new,
                    (Some(at), None) => drop(items.remove(at)),
                    (None, Some(new)) => items.push(new),
                    (None, None) => {}
                }
            }
            _ => {}
        }
    }
}

/// As `spec.template.spec.containers[main].image`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if key.contains(['.', '/', '[']) => write!(f, "[{key}]")?,
                Step::Key(key) if number > 0 => write!(f, ".{key}")?,
                Step::Key(key) => f.write_str(key)?,
                Step::Item { is: Value::String(name), .. } => write!(f, "[{name}]")?,
                Step::Item { by, is } => write!(f, "[{by}={is}]")?,
            }
        }
        Ok(())
    }
}

/// A place where two objects differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Differing {
    pub path: Path,
    pub old: Option<Value>,
    pub new: Option<Value>,
}

/// All places where `new` differs from `old`, each as deep as can be told.
pub(super) fn differing(old: &Value, new: &Value) -> Vec<Differing> {
    let mut found = Vec::new();
    walk(&Path::default(), Some(old), Some(new), &mut found);
    found
}

fn walk(path: &Path, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Differing>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                let path = path.with(Step::Key(key.clone()));
                walk(&path, before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => match item_key(before, after) {
            Some(by) => {
                let mut told: Vec<&Value> = Vec::new();
                for item in before.iter().chain(after) {
                    let is = &item[by];
                    if told.contains(&is) {
                        continue;
                    }
                    told.push(is);
                    let path = path.with(Step::Item { by, is: is.clone() });
                    let of = |items: &'_ [Value]| items.iter().position(|item| item[by] == *is);
                    let (old, new) = (of(before), of(after));
                    walk(&path, old.map(|at| &before[at]), new.map(|at| &after[at]), found);
                }
            }
            None => {
                found.push(Differing { path: path.clone(), old: old.cloned(), new: new.cloned() });
            }
        },
        _ => {
            found.push(Differing { path: path.clone(), old: old.cloned(), new: new.cloned() });
        }
    }
}

/// The field that tells the items of both lists apart; none where they are plain values.
fn item_key(before: &[Value], after: &[Value]) -> Option<&'static str> {
    let is_key = |by: &str, items: &[Value]| {
        let of = |item: &Value| item.get(by).filter(|is| is.is_string() || is.is_number()).cloned();
        let known: Option<Vec<Value>> = items.iter().map(of).collect();
        known.is_some_and(|known| (1..known.len()).all(|at| !known[..at].contains(&known[at])))
    };
    ITEM_KEYS.iter().copied().find(|by| is_key(by, before) && is_key(by, after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(old: &Value, new: &Value) -> Vec<String> {
        let show = |value: Option<Value>| value.map_or("none".into(), |value| value.to_string());
        let found = differing(old, new).into_iter();
        found.map(|it| format!("{}: {} {}", it.path, show(it.old), show(it.new))).collect()
    }

    #[test]
    fn objects_differ_field_by_field_and_item_by_item() {
        let old = json!({ "spec": {
            "replicas": 1, "args": ["a"],
            "containers": [{ "name": "side", "image": "s" }, { "name": "main", "image": "m:1" }],
            "ports": [{ "port": 80, "x": 1 }, { "port": 81, "x": 1 }],
        }, "metadata": { "annotations": { "a.b/c": "1" } } });
        let new = json!({ "spec": {
            "replicas": 2, "args": ["b"],
            "containers": [{ "name": "main", "image": "m:2" }],
            "ports": [{ "port": 81, "x": 2 }, { "port": 80, "x": 1 }],
        }, "metadata": { "annotations": {} } });
        assert_eq!(
            told(&old, &new),
            [
                "metadata.annotations[a.b/c]: \"1\" none",
                "spec.args: [\"a\"] [\"b\"]",
                "spec.containers[side]: {\"image\":\"s\",\"name\":\"side\"} none",
                "spec.containers[main].image: \"m:1\" \"m:2\"",
                "spec.ports[port=81].x: 1 2",
                "spec.replicas: 1 2",
            ]
        );
        assert!(told(&old, &old).is_empty());
        // Two that no field tells apart are one value.
        let twice = json!([{ "name": "a" }, { "name": "a" }]);
        assert_eq!(told(&twice, &json!([{ "name": "a" }])).len(), 1);
    }

    #[test]
    fn what_is_put_where_objects_differ_makes_them_equal() {
        let old =
            json!({ "a": [{ "name": "x", "v": 1 }, { "name": "y", "v": 2 }], "b": 1, "c": 3 });
        let new =
            json!({ "a": [{ "name": "x", "v": 9 }, { "name": "z", "v": 4 }], "b": 2, "d": 5 });
        let mut made = old.clone();
        for it in differing(&old, &new) {
            assert_eq!(it.path.get(&old).cloned(), it.old);
            it.path.put(&mut made, it.new);
        }
        assert_eq!(made, new);
        Path(vec![Step::Key("no".into()), Step::Key("way".into())]).put(&mut made, Some(json!(1)));
        assert_eq!(made, new);
    }
}
