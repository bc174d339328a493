//! From `[version]` to the source of versions.

use deploy_core::model::{DateTags, Scheme, SemverTags};
use deploy_ssh::{GitOptions, GitSource};

use crate::{
    config::{SchemeName, VersionSection},
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
        SchemeName::Any => Scheme::Any,
    }
}

/// The repository as the source of versions, as strict as configured.
pub fn source(project: &Project, allow_dirty: bool) -> GitSource {
    let section = &project.loaded.config.version;
    let mut options = GitOptions::new(scheme(section));
    if let Some(remote) = &section.remote {
        options.remote.clone_from(remote);
    }
    options.branch.clone_from(&section.branch);
    options.allow_dirty = allow_dirty;
    GitSource::new(&project.repo.top, options)
}

/// The same for the way back, which is never refused (rule 8).
pub fn lenient_source(project: &Project) -> GitSource {
    let strict = source(project, true);
    GitSource::new(&project.repo.top, strict.options().clone().lenient())
}
