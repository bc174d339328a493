//! What tells one release of a target from another, and what is kept for one target from what is for
//! another.

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::{Release, ReleaseId, Target, Version},
};
use sha2::{Digest, Sha256};

/// How many digits of a digest are enough.
const DIGITS: usize = 12;

/// The release that `version` is on `target`, where `rest` decides what else is served.
///
/// # Errors
/// `Rejected` when the version cannot be part of an id.
pub(crate) fn of(
    target: &Target,
    version: &Version,
    rest: &[&str],
) -> Result<Release, BackendError> {
    let mut digest = Sha256::new();
    // Of a tag the id shows a part only.
    for part in rest.iter().copied().chain([version.id.as_str()]) {
        digest.update(part);
        digest.update([0]);
    }
    let rest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{}-{}", version.id.short(), &rest[..DIGITS]);
    let id = ReleaseId::new(id).map_err(|error| {
        BackendError::new(ErrorKind::Rejected, format!("lay out {version} on {target}"))
            .with_source(error)
    })?;
    Ok(Release { id, version: version.clone() })
}

/// The longest name of an object that every reader takes: it fits into a label.
const LONGEST: usize = 63;
/// How much of a digest tells two names apart.
const MARK: usize = 8;

/// The name of the object that is kept for `parts` (the app first), such as
/// `deploy-mathoid-deployment-web-main-0a1b2c3d`: readable as far as there is room, and by its end no
/// other's.
pub(crate) fn object_name(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
        digest.update([0]);
    }
    let mark: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let words = format!("deploy-{}", parts.join("-")).to_ascii_lowercase();
    let words = words.chars().map(|c| if is_plain(c) { c } else { '-' });
    let words: String = words.take(LONGEST - MARK - 1).collect();
    format!("{}-{}", words.trim_end_matches('-'), &mark[..MARK])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::is_object_name;

    #[test]
    fn no_two_places_share_a_name_and_all_names_are_allowed() {
        let name = object_name(&["mathoid", "deployment/web", "main"]);
        assert!(name.starts_with("deploy-mathoid-deployment-web-main-"), "{name}");
        let long = "x".repeat(200);
        let all = [
            object_name(&["a-b", "c"]),
            object_name(&["a", "b-c"]),
            object_name(&["a", "deployment/x", "main"]),
            object_name(&["a", "statefulset/x", "main"]),
            object_name(&["a", "deployment/x", "side"]),
            object_name(&["My_App", "x"]),
            object_name(&["my-app", "x"]),
            object_name(&[&long, "x"]),
            object_name(&[&long, "y"]),
            object_name(&["é", "ü"]),
            name,
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(is_object_name(one) && one.len() <= LONGEST, "{one}");
            assert!(!all[n + 1..].contains(one), "{one} is there twice");
        }
    }

    #[test]
    fn tags_that_begin_alike_are_two_releases() {
        let target = Target::new("eqiad").unwrap();
        let of = |tag: &str, rest: &[&str]| {
            let version = Version { id: format!("tag:{tag}").parse().unwrap(), name: None };
            super::of(&target, &version, rest).unwrap()
        };
        let one = of("2024-06-10-123456-production", &["a"]);
        assert_ne!(one, of("2024-06-10-134501-production", &["a"]));
        assert_ne!(one, of("2024-06-10-123456-production", &["b"]));
        assert_eq!(one, of("2024-06-10-123456-production", &["a"]));
    }
}
