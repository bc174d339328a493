//! The image of a container, as it is written in a manifest.

use deploy_core::model::{Version, VersionId};

/// The prefix of a digest.
const SHA256: &str = "sha256:";
/// The id of a version that is known by its tag only begins with this.
const BY_TAG: &str = "tag:";

/// An image: its name, its tag, and the digest that pins it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub name: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Image {
    /// Reads `host:port/path:tag@sha256:digest`, of which all but the name may be missing. What is pinned
    /// in another way is nobody's image of ours: all of it is the name.
    pub(crate) fn parse(text: &str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest)),
            Some(_) => return Self { name: text.to_owned(), tag: None, digest: None },
            None => (text, None),
        };
        // A colon before the last slash is a port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let own = |part: Option<&str>| part.map(str::to_owned);
        Self { name: name.to_owned(), tag: own(tag), digest: own(digest) }
    }

    /// The image of `version`, under the name `name`.
    pub(crate) fn of(name: &str, version: &Version) -> Self {
        let id = version.id.as_str();
        let tag = id.strip_prefix(BY_TAG).or(version.name.as_deref()).filter(|tag| is_tag(tag));
        let digest = Some(id).filter(|id| is_digest(id));
        Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        }
    }

    /// The version that it is; `None` where neither tag nor digest says.
    pub(crate) fn version(&self) -> Option<Version> {
        let id = match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.clone(),
            (None, Some(tag)) => format!("{BY_TAG}{tag}"),
            (None, None) => return None,
        };
        Some(Version { id: VersionId::new(id).ok()?, name: self.tag.clone() })
    }

    /// Whether it is the image of `version`: by the digest where it has one, else by the tag.
    pub(crate) fn is_of(&self, version: &Version) -> bool {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest == version.id.as_str(),
            (None, Some(tag)) => {
                version.name.as_ref() == Some(tag)
                    || version.id.as_str().strip_prefix(BY_TAG) == Some(tag)
            }
            (None, None) => false,
        }
    }

    /// As a manifest writes it. With tag and digest the digest decides, and the tag is for people.
    pub(crate) fn written(&self) -> String {
        let mut written = self.name.clone();
        if let Some(tag) = &self.tag {
            written.push(':');
            written.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            written.push('@');
            written.push_str(digest);
        }
        written
    }
}

/// Whether this is the digest of a manifest.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix(SHA256).is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Whether this is a tag (OCI distribution specification, 1.1).
pub(crate) fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.chars().next().is_some_and(is_word)
        && text.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_read_back_as_they_are_written() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, name, tag) in [
            ("mathoid".to_owned(), "mathoid", None),
            ("localhost:5000/mathoid".to_owned(), "localhost:5000/mathoid", None),
            ("localhost:5000/a/mathoid:v1.2".to_owned(), "localhost:5000/a/mathoid", Some("v1.2")),
            (format!("mathoid:v1@{digest}"), "mathoid", Some("v1")),
            (format!("mathoid@{digest}"), "mathoid", None),
        ] {
            let image = Image::parse(&text);
            assert_eq!((image.name.as_str(), image.tag.as_deref()), (name, tag), "{text}");
            assert_eq!(image.written(), text);
        }
        for text in ["mathoid@sha256:short", "r/mathoid:v1@sha512:00"] {
            let image = Image::parse(text);
            assert_eq!((image.name.as_str(), image.version()), (text, None), "it is not ours");
            assert_eq!(image.written(), text);
        }
    }

    #[test]
    fn an_image_is_of_a_version_by_digest_or_by_tag() {
        let [one, other] = ["0a", "0b"].map(|byte| format!("sha256:{}", byte.repeat(32)));
        let version =
            |id: &str| Version { id: VersionId::new(id).unwrap(), name: Some("v1".into()) };
        assert!(Image::parse(&format!("r/m:v1@{one}")).is_of(&version(&one)));
        assert!(
            !Image::parse(&format!("r/m:v1@{one}")).is_of(&version(&other)),
            "the digest decides"
        );
        assert!(Image::parse("r/m:v1").is_of(&version(&one)), "as helm writes it");
        assert!(!Image::parse("r/m:v2").is_of(&version(&one)));
        assert!(!Image::parse("r/m").is_of(&version(&one)));
    }

    #[test]
    fn versions_are_known_by_digest_or_by_tag() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for text in [format!("r/mathoid:v1@{digest}"), "r/mathoid:v1".to_owned()] {
            let version = Image::parse(&text).version().unwrap();
            assert_eq!(version.name.as_deref(), Some("v1"));
            assert_eq!(Image::of("r/mathoid", &version).written(), text);
        }
        assert_eq!(Image::parse("r/mathoid").version(), None);
        let odd =
            Version { id: VersionId::new(digest.as_str()).unwrap(), name: Some("a b".into()) };
        assert_eq!(Image::of("r/m", &odd).written(), format!("r/m@{digest}"), "no tag at all");
    }
}
