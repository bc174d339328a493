//! The objects of a rendered manifest.

use std::fmt;

use serde_json::Value;

/// The most objects of one manifest.
const MOST: usize = 2000;
/// What makes an object one that helm runs, and does not keep.
const HOOK: &str = "helm.sh/hook";
/// What keeps helm from removing an object.
const POLICY: &str = "helm.sh/resource-policy";

/// What tells an object from the others of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub kind: String,
    pub api_version: String,
    pub name: String,
    /// As the manifest says, or that of the release; also with objects that are in none.
    pub namespace: String,
}

impl Key {
    pub(super) fn group_and_version(&self) -> (&str, &str) {
        self.api_version.split_once('/').unwrap_or(("", &self.api_version))
    }

    /// Whether what it holds is not shown.
    pub(super) fn is_secret(&self) -> bool {
        self.kind == "Secret" && self.group_and_version().0.is_empty()
    }

    /// How people call it, who are at home in this namespace.
    pub(super) fn told(&self, home: &str) -> String {
        let (kind, name) = (&self.kind, &self.name);
        if self.namespace == home {
            format!("{kind}/{name}")
        } else {
            format!("{kind}/{name} in {}", self.namespace)
        }
    }
}

/// One object.
#[derive(Clone, PartialEq)]
pub(crate) struct Object {
    pub key: Key,
    pub value: Value,
}

/// What it holds may be secret.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Object {
    fn of(value: Value, home: &str) -> Result<Self, ManifestError> {
        let text =
            |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let kind = text("/kind").ok_or(ManifestError::Nameless("kind"))?;
        let api_version = text("/apiVersion").ok_or(ManifestError::Nameless("apiVersion"))?;
        let name = text("/metadata/name").ok_or(ManifestError::Nameless("name"))?;
        let namespace = text("/metadata/namespace").unwrap_or_else(|| home.to_owned());
        Ok(Self { key: Key { kind, api_version, name, namespace }, value })
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.value.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }

    /// When helm runs it, where it is a hook.
    pub(crate) fn hook(&self) -> Option<&str> {
        self.annotation(HOOK)
    }

    /// Whether it stays when the chart has it no more.
    pub(super) fn is_kept(&self) -> bool {
        self.annotation(POLICY) == Some("keep")
    }
}

/// Why a manifest cannot be read. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("line {0} of the manifest is no YAML that can be read")]
    Unreadable(u64),
    #[error("an object of the manifest has no {0}")]
    Nameless(&'static str),
    #[error("the manifest has more than {MOST} objects")]
    TooLarge,
}

/// The objects of a manifest, which are in the namespace `home` where they name none. Read as helm
/// reads them: `yes` is true, 0644 is octal. Of equal keys the last counts.
///
/// # Errors
/// When it cannot be read, or an object has no kind or name.
pub(crate) fn objects(text: &str, home: &str) -> Result<Vec<Object>, ManifestError> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let unreadable = |error: serde_saphyr::Error| {
        // Its words may have what is secret in them.
        ManifestError::Unreadable(error.location().map_or(0, |location| location.line()))
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(unreadable)?;
    let mut found: Vec<Object> = Vec::new();
    for document in documents.into_iter().flat_map(flattened) {
        if found.len() == MOST {
            return Err(ManifestError::TooLarge);
        }
        // Made anew each time, under another name.
        if document.pointer("/metadata/generateName").is_some() {
            continue;
        }
        let object = Object::of(document, home)?;
        found.retain(|known| known.key != object.key);
        found.push(object);
    }
    Ok(found)
}

/// The items of a list; nothing of an empty document.
fn flattened(document: Value) -> Vec<Value> {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document {
        Value::Null => Vec::new(),
        Value::Object(mut list) if is_list && list.get("items").is_some_and(Value::is_array) => {
            match list.remove("items") {
                Some(Value::Array(items)) => items.into_iter().flat_map(flattened).collect(),
                _ => Vec::new(),
            }
        }
        document => vec![document],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let found = objects(text, "home").unwrap();
        found.iter().map(|object| object.key.told("home")).collect()
    }

    #[test]
    fn documents_are_objects_by_kind_namespace_and_name() {
        let text = "---\n# Source: x/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n\
                    ---\n# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  \
                    metadata: {name: b, namespace: other}\n---\napiVersion: v1\nkind: ConfigMap\n\
                    metadata: {name: a}\ndata: {x: y}\n";
        assert_eq!(names(text), ["Secret/b in other", "ConfigMap/a"]);
        assert_eq!(objects(text, "home").unwrap()[1].value["data"]["x"], true, "as helm reads it");
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: x-}\n";
        assert!(names(job).is_empty());
        assert!(names("").is_empty());
    }

    #[test]
    fn what_helm_reads_otherwise_than_yaml_today_is_read_as_helm_does() {
        let text = "apiVersion: v1\nkind: X\nmetadata: {name: a}\nmode: 0644\nquoted: \"0644\"\non: off\n\
                    twice: 1\ntwice: 2\n";
        let value = objects(text, "home").unwrap().remove(0).value;
        assert_eq!(value["mode"], 420);
        assert_eq!(value["quoted"], "0644");
        assert_eq!(value["twice"], 2);
    }

    #[test]
    fn errors_say_where_and_never_what() {
        for text in [
            "kind: Secret\ndata: {password: hunter2hunter2\n",
            "kind: Secret\nstringData: hunter2hunter2",
            "apiVersion: v1\nkind: Secret\ndata: *hunter2hunter2\n",
        ] {
            let error = objects(text, "home").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let object = &objects("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nx: hunter2", "h");
        assert!(!format!("{object:?}").contains("hunter2"));
    }
}
