//! From `[values]` to the repository that names what runs.

use std::{collections::BTreeMap, sync::Arc};

use deploy_core::{backend::Transport, model::Target};
use deploy_k8s::{
    Publish, ValueKey, ValuesOptions, ValuesPlace, ValuesRepository, ValuesTransport,
};

use super::{git_source, phrase};
use crate::{config::ValuesSection, context::Project, error::CommandError};

/// Lets git name what `inner` brings, where the configuration wants that.
///
/// # Errors
/// Refused when the configuration cannot be used as it is.
pub(super) fn around(
    inner: Arc<dyn Transport>,
    project: &Project,
) -> Result<Arc<dyn Transport>, CommandError> {
    let loaded = &project.loaded;
    let Some(section) = &loaded.config.values else { return Ok(inner) };
    let key = section.key.as_deref().or(loaded.config.helm.as_ref().map(|helm| helm.tag.as_str()));
    let key: ValueKey = key.unwrap_or_default().parse().map_err(|error| {
        let error: deploy_k8s::ValueKeyError = error;
        CommandError::from(loaded.refuse(&["values", "key"], error.to_string()))
    })?;
    let mut places: BTreeMap<Target, ValuesPlace> = BTreeMap::new();
    for group in super::groups(loaded)? {
        for target in group.targets {
            let names = minijinja::context! { target => target.as_str() };
            let file = phrase::filled(loaded, &["values", "file"], &section.file, names)?;
            places.insert(target, ValuesPlace { file, key: key.clone() });
        }
    }
    let repository = Arc::new(ValuesRepository::new(options(project, section)?));
    let transport = ValuesTransport::new(inner, repository, places);
    Ok(Arc::new(transport.app(loaded.config.app.as_str())))
}

fn options(project: &Project, section: &ValuesSection) -> Result<ValuesOptions, CommandError> {
    let loaded = &project.loaded;
    let named = || project.repo.remote_url(&git_source(project, true).options().remote);
    let remote = section.remote.clone().or_else(named).ok_or_else(|| {
        let problem = "needs `remote`: this repository has none";
        CommandError::from(loaded.refuse(&["values"], problem))
    })?;
    let author = section.author.clone().or_else(|| project.repo.author()).ok_or_else(|| {
        let problem = "needs `author`: git is not told who commits (user.name, user.email)";
        CommandError::from(loaded.refuse(&["values"], problem))
    })?;
    let publish = match &section.review {
        Some(review) => Publish::Review(review.clone()),
        None => Publish::Push,
    };
    let cache = project.state.of_app().join("values.git");
    Ok(ValuesOptions { remote, branch: section.branch.clone(), publish, cache, author })
}
