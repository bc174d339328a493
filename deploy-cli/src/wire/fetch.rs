//! From `fetch` to how versions come onto hosts.

use deploy_ssh::{ArchiveOptions, FetchMethod, PullUrl, PullUrlError};

use super::git_source;
use crate::{
    config::{BUILD_TIMEOUT, FetchBy},
    context::Project,
    error::CommandError,
};

/// How versions come onto the hosts of a project.
pub(super) fn fetch_method(project: &Project) -> Result<FetchMethod, CommandError> {
    let section = &project.loaded.config.fetch;
    Ok(match section.method {
        FetchBy::Push => FetchMethod::Push,
        FetchBy::Pull => FetchMethod::Pull(pull_url(project)?),
        FetchBy::Archive => FetchMethod::Archive(ArchiveOptions {
            command: section.command.clone().unwrap_or_default(),
            timeout: section.timeout.map_or(BUILD_TIMEOUT, |span| span.0),
        }),
    })
}

/// Where hosts pull from: as configured, else where the remote is.
fn pull_url(project: &Project) -> Result<PullUrl, CommandError> {
    let loaded = &project.loaded;
    if let Some(url) = &loaded.config.fetch.url {
        let refuse = |error: PullUrlError| loaded.refuse(&["fetch", "url"], error.to_string());
        return PullUrl::new(url.as_str()).map_err(|error| refuse(error).into());
    }
    let source = git_source(project, false);
    let remote = &source.options().remote;
    let missing =
        format!("needs `url`: the remote {remote} says not where the hosts could pull from");
    let url = project.repo.remote_url(remote);
    let url = url.ok_or_else(|| loaded.refuse(&["fetch"], missing))?;
    PullUrl::new(url).map_err(|error| {
        let problem = format!("needs `url`: that of the remote {remote} {error}");
        loaded.refuse(&["fetch"], problem).into()
    })
}
