//! Where things lie on a target, and what names a release.

use std::time::Duration;

use deploy_core::model::{Release, ReleaseId, Version};
use sha2::{Digest, Sha256};

use crate::git::oid::Oid;

/// The file that marks a release as complete. It stands in the release's directory.
pub(crate) const MARK: &str = ".deploy-release";
/// The file that marks a release as being built. Renamed to [`MARK`] when it is complete.
pub(crate) const BUILDING: &str = ".deploy-building";
/// The file of a release that says what was rendered into it.
pub(crate) const RENDERED: &str = ".deploy-rendered";
/// Changes when a release of the same commit would be laid out in another way.
const LAYOUT: u32 = 1;
/// Digits of the commit, and of the digest, in a release id.
const DIGITS: usize = 12;

/// Where an app lies on its targets. See `docs/layout.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    path: String,
    keep: usize,
    shared: Vec<String>,
    service_user: Option<String>,
}

/// Why a path cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} {problem}")]
pub struct LayoutError {
    what: &'static str,
    value: String,
    problem: &'static str,
}

impl Layout {
    /// The layout around the live path `path`, absolute, which the service knows. It keeps 5 good
    /// releases and shares nothing.
    ///
    /// # Errors
    /// When the path is not absolute, has an empty, `.` or `..` part, or a control character.
    pub fn new(path: impl Into<String>) -> Result<Self, LayoutError> {
        let path = path.into();
        let trimmed = path.trim_end_matches('/');
        let refuse = |problem| Err(LayoutError { what: "live path", value: path.clone(), problem });
        let Some(rest) = trimmed.strip_prefix('/') else { return refuse("is not absolute") };
        match part_problem(rest) {
            Some(problem) => refuse(problem),
            None => Ok(Self {
                path: trimmed.to_owned(),
                keep: 5,
                shared: Vec::new(),
                service_user: None,
            }),
        }
    }

    /// Keeps `keep` good releases, at least the live one.
    #[must_use]
    pub fn keep(mut self, keep: usize) -> Self {
        self.keep = keep.max(1);
        self
    }

    /// Links these directories, relative to a release, to ones that outlive it.
    ///
    /// # Errors
    /// When one is not a plain relative path, lies in another, or bears one of our own names.
    pub fn share<I: IntoIterator<Item: Into<String>>>(
        mut self,
        directories: I,
    ) -> Result<Self, LayoutError> {
        let mut shared: Vec<String> = directories.into_iter().map(Into::into).collect();
        for directory in &mut shared {
            while directory.ends_with('/') {
                directory.pop();
            }
        }
        shared.sort();
        shared.dedup();
        for (i, directory) in shared.iter().enumerate() {
            let refuse = |problem| {
                let value = directory.clone();
                Err(LayoutError { what: "shared directory", value, problem })
            };
            if let Some(problem) = part_problem(directory) {
                return refuse(problem);
            }
            if directory.split('/').any(|part| part.starts_with('-')) {
                return refuse("has a part that begins with a dash");
            }
            if directory.split('/').any(|part| [MARK, BUILDING, RENDERED, ".git"].contains(&part)) {
                return refuse("has a name that is not free");
            }
            let inside = |other: &String| directory.starts_with(&format!("{other}/"));
            if shared[..i].iter().any(inside) {
                return refuse("lies in another shared directory");
            }
        }
        self.shared = shared;
        Ok(self)
    }

    /// Names the user that the service runs as. Where that is neither root nor the owner of the
    /// releases, unchanged files may be hard links (see `docs/fetch.md`).
    #[must_use]
    pub fn service_user(mut self, user: impl Into<String>) -> Self {
        self.service_user = Some(user.into());
        self
    }

    /// The live path: a link to the live release.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The directory beside the live path, where everything else lies.
    pub fn cache(&self) -> String {
        format!("{}-cache", self.path)
    }

    /// Where a release lies.
    pub fn release_path(&self, id: &ReleaseId) -> String {
        format!("{}-cache/releases/{id}", self.path)
    }

    /// How many good releases are kept.
    pub fn kept(&self) -> usize {
        self.keep
    }

    /// The directories that outlive a release, sorted.
    pub fn shared(&self) -> &[String] {
        &self.shared
    }

    /// The user that the service runs as, where that is known.
    pub fn known_service_user(&self) -> Option<&str> {
        self.service_user.as_deref()
    }

    /// The release that `version` becomes under this layout, these steps and what is `rendered`: the
    /// commit, and a digest of whatever else decides what is served.
    pub(crate) fn release(
        &self,
        version: &Version,
        steps: &[BuildStep],
        made_of: MadeOf,
        rendered: Option<&str>,
    ) -> Option<Release> {
        let commit = Oid::of(&version.id)?;
        let commands: Vec<&str> = steps.iter().map(|step| step.command.as_str()).collect();
        let mut decides = serde_json::json!({
            "layout": LAYOUT,
            "commit": commit.as_str(),
            "shared": self.shared,
            "steps": commands,
        });
        match made_of {
            MadeOf::Tree => {}
            MadeOf::Pulled => decides["fetch"] = "pull".into(),
            MadeOf::Archive(digest) => decides["archive"] = digest.into(),
        }
        if let Some(rendered) = rendered {
            decides["rendered"] = rendered.into();
        }
        named(&commit, version, &decides)
    }
}

/// The release that what was found on a target becomes: `digest` tells it from what the repository
/// has under the same commit.
pub(crate) fn adopted(version: &Version, digest: &str) -> Option<Release> {
    let commit = Oid::of(&version.id)?;
    let decides = serde_json::json!({
        "layout": LAYOUT,
        "commit": commit.as_str(),
        "adopted": digest,
    });
    named(&commit, version, &decides)
}

fn named(commit: &Oid, version: &Version, decides: &serde_json::Value) -> Option<Release> {
    let digest = Sha256::digest(decides.to_string());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = ReleaseId::new(format!("{}-{}", commit.short(), &digest[..DIGITS])).ok()?;
    Some(Release { id, version: version.clone() })
}

/// What a release is made of, beside its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MadeOf {
    /// The tree of the commit, as the deployer sends it.
    Tree,
    /// The same tree, pulled by the target.
    Pulled,
    /// An archive that was built of it, by the digest of its manifest.
    Archive(String),
}

/// A step that builds within a new release before it counts as complete, such as `npm ci`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildStep {
    /// Its name, for messages.
    pub name: String,
    /// What `sh` runs, in the release's directory. It decides what is served, so another command
    /// makes another release.
    pub command: String,
    /// How long it may take.
    pub timeout: Duration,
}

/// Whether `id` is written as release ids are: a commit's first digits and a digest's.
pub(crate) fn is_release_id(id: &str) -> bool {
    let hex = |part: &str| {
        part.len() == DIGITS
            && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    id.split_once('-').is_some_and(|(commit, digest)| hex(commit) && hex(digest))
}

/// What is wrong with a path that begins at a root of ours, if anything.
pub(crate) fn part_problem(path: &str) -> Option<&'static str> {
    if path.chars().any(char::is_control) {
        return Some("has a control character");
    }
    if path.len() > 1024 {
        return Some("is too long");
    }
    path.split('/').find_map(|part| match part {
        "" => Some("has an empty part"),
        "." | ".." => Some("has a part `.` or `..`"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use deploy_core::model::VersionId;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn version() -> Version {
        Version { id: VersionId::new(COMMIT).unwrap(), name: Some("v1".into()) }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for bad in ["", "/", "srv/app", "/srv/../etc", "/srv//app", "/srv/a\nb", "/srv/./a"] {
            assert!(Layout::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Layout::new("/srv/my app/live/").unwrap().cache(), "/srv/my app/live-cache");
    }

    #[test]
    fn shared_directories_that_lead_elsewhere_are_refused() {
        let layout = Layout::new("/srv/app").unwrap();
        let bad =
            ["", "/log", "../log", "a/../b", "a//b", "-rf", "a/-b", ".git", ".deploy-release"];
        for shared in bad {
            assert!(layout.clone().share([shared]).is_err(), "{shared:?}");
        }
        assert!(layout.clone().share(["a/b", "a"]).is_err());
        let good = layout.share(["public/uploads", "log/", "a b"]).unwrap();
        assert_eq!(good.shared(), ["a b", "log", "public/uploads"]);
    }

    #[test]
    fn whatever_decides_what_is_served_makes_another_release() {
        let layout = Layout::new("/srv/app").unwrap();
        let step = |command: &str| BuildStep {
            name: "build".into(),
            command: command.into(),
            timeout: Duration::from_secs(1),
        };
        let id = |layout: &Layout, steps: &[BuildStep]| {
            layout.release(&version(), steps, MadeOf::Tree, None).unwrap().id.to_string()
        };
        let plain = id(&layout, &[]);
        assert!(plain.starts_with("0123456789ab-") && is_release_id(&plain), "{plain}");
        assert_eq!(plain, id(&layout.clone().keep(9), &[]));
        assert_ne!(plain, id(&layout.clone().share(["log"]).unwrap(), &[]));
        assert_ne!(plain, id(&layout, &[step("npm ci")]));
        assert_ne!(id(&layout, &[step("npm ci")]), id(&layout, &[step("npm i")]));
        let archive = |digest: &str| {
            let made_of = MadeOf::Archive(digest.into());
            layout.release(&version(), &[], made_of, None).unwrap().id.to_string()
        };
        assert_ne!(plain, archive("aa"));
        let pulled = layout.release(&version(), &[], MadeOf::Pulled, None).unwrap();
        assert_ne!(plain, pulled.id.to_string());
        assert_ne!(archive("aa"), archive("ab"));
        let rendered = |what| {
            let release = layout.release(&version(), &[], MadeOf::Tree, Some(what));
            release.unwrap().id.to_string()
        };
        assert_ne!(plain, rendered("a"));
        assert_ne!(rendered("a"), rendered("b"));
        let tag = Version { id: VersionId::new("sha256:00").unwrap(), name: None };
        assert!(layout.release(&tag, &[], MadeOf::Tree, None).is_none());
    }

    #[test]
    fn release_ids_are_matched_strictly() {
        assert!(is_release_id("0123456789ab-0123456789ab"));
        for bad in [
            "",
            "0123456789ab",
            "0123456789ab-0123456789aB",
            "../../../etc-0123456789ab",
            "0123456789ab-0123456789ab/",
            "0123456789ab-0123456789a",
            "0123456789ab-0123456789ab\n",
        ] {
            assert!(!is_release_id(bad), "{bad:?}");
        }
    }
}
