//! From `[version]` and `[image]` to the source of versions.

use std::sync::Arc;

use deploy_core::{
    backend::{BackendError, ErrorKind, VersionSource},
    model::{DateTags, Scheme, SemverTags, TimestampTags},
};
use deploy_k8s::{ImageName, RegistrySource};
use deploy_ssh::{GitOptions, GitSource};

use crate::{
    config::{ImageSection, Loaded, SchemeName, VersionSection},
    context::Project,
};

/// How version tags are written and ordered.
pub fn scheme(section: &VersionSection) -> Scheme {
    let prefix = |default: &str| section.prefix.clone().unwrap_or_else(|| default.to_owned());
    match section.scheme {
        SchemeName::Date => Scheme::Date(DateTags { prefix: prefix(SchemeName::DATE_PREFIX) }),
        SchemeName::Semver => {
            Scheme::Semver(SemverTags { prefix: prefix(SchemeName::SEMVER_PREFIX) })
        }
        SchemeName::Timestamp => Scheme::Timestamp(TimestampTags {
            prefix: prefix(""),
            suffix: section.suffix.clone().unwrap_or_default(),
        }),
        SchemeName::Any => Scheme::Any,
    }
}

/// Whether versions are commits of the repository: where hosts are brought them, or where it is said
/// which image each of them is. Else they are the tags of the image.
pub fn is_of_repository(loaded: &Loaded) -> bool {
    let config = &loaded.config;
    let has_hosts = config.group.iter().any(|group| group.clusters.is_empty());
    has_hosts || config.image.as_ref().is_none_or(|image| image.tag.is_some())
}

/// The source of versions, as strict as configured.
///
/// # Errors
/// Refused when the registry could never be asked.
pub fn source(
    project: &Project,
    allow_dirty: bool,
) -> Result<Arc<dyn VersionSource>, BackendError> {
    Ok(match registry(project)? {
        Some(registry) => registry,
        None => Arc::new(git_source(project, allow_dirty)),
    })
}

/// The same for the way back, which is never refused (rule 8).
///
/// # Errors
/// As [`source`].
pub fn lenient_source(project: &Project) -> Result<Arc<dyn VersionSource>, BackendError> {
    Ok(match registry(project)? {
        Some(registry) => registry,
        None => Arc::new(lenient_git_source(project)),
    })
}

/// The repository as the source of versions, as strict as configured.
pub fn git_source(project: &Project, allow_dirty: bool) -> GitSource {
    let section = &project.loaded.config.version;
    let mut options = GitOptions::new(scheme(section));
    if let Some(remote) = &section.remote {
        options.remote.clone_from(remote);
    }
    options.branch.clone_from(&section.branch);
    options.allow_dirty = allow_dirty;
    GitSource::new(&project.repo.top, options)
}

/// The same, which refuses no commit that is there.
pub fn lenient_git_source(project: &Project) -> GitSource {
    let strict = git_source(project, true);
    GitSource::new(&project.repo.top, strict.options().clone().lenient())
}

/// The tags of the image, where they are the versions.
fn registry(project: &Project) -> Result<Option<Arc<dyn VersionSource>>, BackendError> {
    let loaded = &project.loaded;
    let Some(section) = loaded.config.image.as_ref().filter(|_| !is_of_repository(loaded)) else {
        return Ok(None);
    };
    // What lies between two images is told by their commits, where this repository has them.
    let source = image_tags(project, section, scheme(&loaded.config.version))?;
    Ok(Some(Arc::new(source.with_commits(Arc::new(lenient_git_source(project))))))
}

/// The tags of the image that are of `scheme`.
pub(super) fn image_tags(
    project: &Project,
    section: &ImageSection,
    scheme: Scheme,
) -> Result<RegistrySource, BackendError> {
    let loaded = &project.loaded;
    let name: ImageName = section.name.parse().map_err(|error: deploy_k8s::ImageNameError| {
        BackendError::new(ErrorKind::Rejected, format!("find {}", section.name)).with_source(error)
    })?;
    Ok(match &section.docker_config {
        Some(directory) => {
            let file = loaded.directory().join(directory).join("config.json");
            RegistrySource::with_docker_config(name, scheme, file)?
        }
        None => RegistrySource::new(name, scheme)?,
    })
}
