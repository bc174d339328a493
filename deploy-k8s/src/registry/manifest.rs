//! What manifests say of an image.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// What is asked for: indexes first, since a tag of several platforms is one.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// An image's manifest, or an index of manifests.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Descriptor {
    pub digest: String,
    platform: Option<Platform>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

impl Manifest {
    /// Of an index, the manifest that stands for it: that of linux on amd64, or the first of linux.
    pub(super) fn chosen(&self) -> Option<&Descriptor> {
        let of = |wanted: &dyn Fn(&Platform) -> bool| {
            self.manifests.iter().find(|it| it.platform.as_ref().is_some_and(wanted))
        };
        of(&|it| it.os == "linux" && it.architecture == "amd64")
            .or_else(|| of(&|it| it.os == "linux"))
    }

    /// The image's configuration.
    pub(super) fn config(&self) -> Option<&Descriptor> {
        self.config.as_ref()
    }

    pub(super) fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }
}

/// An image's configuration, as far as it is of use here.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ImageConfig {
    /// Some builders write odd dates, and are right about the rest.
    created: Option<Value>,
    author: Option<String>,
    #[serde(default)]
    config: Settings,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Settings {
    #[serde(rename = "Labels", default)]
    labels: Option<BTreeMap<String, String>>,
}

/// What an image tells of itself (OCI image specification, annotations).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct About {
    pub created: Option<Timestamp>,
    pub author: String,
    pub title: String,
    /// The commit that it was built of.
    pub revision: Option<String>,
}

impl About {
    pub(super) fn of(manifest: &Manifest, config: &ImageConfig) -> Self {
        let word = |key: &str| {
            let key = format!("org.opencontainers.image.{key}");
            let labels = config.config.labels.as_ref();
            let label = labels.and_then(|labels| labels.get(&key));
            label
                .or_else(|| manifest.annotations().get(&key))
                .filter(|text| !text.is_empty())
                .cloned()
        };
        let created = word("created").and_then(|text| text.parse().ok());
        Self {
            created: created.or_else(|| config.created.as_ref()?.as_str()?.parse().ok()),
            author: word("authors").or_else(|| config.author.clone()).unwrap_or_default(),
            title: word("description").or_else(|| word("title")).unwrap_or_default(),
            revision: word("revision"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_the_commit() {
        let manifest: Manifest =
            serde_json::from_str(r#"{"config":{"digest":"sha256:1"}}"#).unwrap();
        let config: ImageConfig = serde_json::from_str(
            r#"{"created":"2024-06-10T12:34:56Z","config":{"Labels":{
                "org.opencontainers.image.revision":"abc","org.opencontainers.image.title":"Mathoid"}}}"#,
        )
        .unwrap();
        let about = About::of(&manifest, &config);
        assert_eq!(about.revision.as_deref(), Some("abc"));
        assert_eq!((about.title.as_str(), about.author.as_str()), ("Mathoid", ""));
        assert_eq!(about.created, "2024-06-10T12:34:56Z".parse().ok());
        for bare in
            [r#"{"config":{"Labels":null}}"#, r#"{"created":"yesterday"}"#, r#"{"created":5}"#]
        {
            let bare: ImageConfig = serde_json::from_str(bare).unwrap();
            assert_eq!(About::of(&manifest, &bare), About::default());
        }
    }

    #[test]
    fn an_index_is_told_by_one_of_its_images() {
        let of = |platforms: &[(&str, &str)]| -> Option<String> {
            let manifests: Vec<_> = platforms
                .iter()
                .map(|(os, arch)| {
                    serde_json::json!({"digest": format!("{os}/{arch}"), "platform": {"os": os, "architecture": arch}})
                })
                .collect();
            let index: Manifest =
                serde_json::from_value(serde_json::json!({ "manifests": manifests })).unwrap();
            index.chosen().map(|it| it.digest.clone())
        };
        assert_eq!(of(&[("linux", "arm64"), ("linux", "amd64")]).as_deref(), Some("linux/amd64"));
        assert_eq!(
            of(&[("unknown", "unknown"), ("linux", "arm64")]).as_deref(),
            Some("linux/arm64")
        );
        assert_eq!(of(&[]), None);
    }
}
