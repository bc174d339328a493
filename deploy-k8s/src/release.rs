//! What tells one release of a target from another.

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

#[cfg(test)]
mod tests {
    use super::*;

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
