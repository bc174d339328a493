//! From `[values]` to the repository that names what runs.

use std::{collections::BTreeMap, path::Path, sync::Arc};

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

/// A remote as git takes it wherever it stands: a relative path is meant from `directory`.
fn whole(remote: &str, directory: &Path) -> String {
    let first = remote.split('/').next().unwrap_or_default();
    let is_path = !first.contains(':') && !first.starts_with('~');
    if is_path { directory.join(remote).to_string_lossy().into_owned() } else { remote.to_owned() }
}

fn options(project: &Project, section: &ValuesSection) -> Result<ValuesOptions, CommandError> {
    let loaded = &project.loaded;
    // The cache lies elsewhere: what is meant from here has to be whole.
    let written = section.remote.as_ref().map(|remote| whole(remote, loaded.directory()));
    let named = || {
        let remote = project.repo.remote_url(&git_source(project, true).options().remote)?;
        Some(whole(&remote, &project.repo.top))
    };
    let remote = written.or_else(named).ok_or_else(|| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_relative_path_depends_on_where_one_stands() {
        let of = |remote: &str| whole(remote, Path::new("/srv/repo"));
        assert_eq!(of("../origin.git"), "/srv/repo/../origin.git");
        assert_eq!(of("/srv/origin.git"), "/srv/origin.git");
        for remote in ["https://h/x.git", "ssh://h/x", "git@h:x.git", "h:x", "~ann/x.git"] {
            assert_eq!(of(remote), remote);
        }
    }
}
