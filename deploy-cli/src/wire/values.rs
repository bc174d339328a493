//! From `[values]` to the repository that names what runs.

use std::{collections::BTreeMap, sync::Arc};

use deploy_core::{backend::Transport, model::Target};
use deploy_k8s::{
    Publish, ValueKey, ValuesMemory, ValuesOptions, ValuesPlace, ValuesRepository, ValuesTransport,
};

use super::{git_source, phrase};
use crate::{config::ValuesSection, context::Project, error::CommandError};

/// Git, which names what runs: one for hosts and clusters, so that neither takes back what the other serves.
#[derive(Debug)]
pub(super) struct Values {
    repository: Arc<ValuesRepository>,
    memory: Arc<ValuesMemory>,
    places: BTreeMap<Target, ValuesPlace>,
    app: String,
}

impl Values {
    /// Git as the configuration has it; `None` where it is not to name anything.
    ///
    /// # Errors
    /// Refused when the configuration cannot be used as it is.
    pub(super) fn new(project: &Project) -> Result<Option<Self>, CommandError> {
        let loaded = &project.loaded;
        let config = &loaded.config;
        let Some(section) = &config.values else { return Ok(None) };
        let key = section.key.as_deref().or(config.helm.as_ref().map(|helm| helm.tag.as_str()));
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
        let app = config.app.as_str().to_owned();
        Ok(Some(Self { repository, memory: Arc::default(), places, app }))
    }

    /// Lets git name what `inner` brings.
    fn around(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        let repository = Arc::clone(&self.repository);
        let transport = ValuesTransport::new(inner, repository, self.places.clone());
        Arc::new(transport.sharing(Arc::clone(&self.memory)).app(&self.app))
    }
}

/// Lets git name what `inner` brings, where it is to.
pub(super) fn around(inner: Arc<dyn Transport>, values: Option<&Values>) -> Arc<dyn Transport> {
    match values {
        Some(values) => values.around(inner),
        None => inner,
    }
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
    // The state may be shared, and what a user's git keeps is theirs.
    let cache = project.state.of_app().join(format!("values-{}.git", nix::unistd::geteuid()));
    Ok(ValuesOptions { remote, branch: section.branch.clone(), publish, cache, author })
}
