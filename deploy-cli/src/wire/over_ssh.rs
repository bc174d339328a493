//! From the configuration to hosts over SSH.

use std::{path::PathBuf, sync::Arc};

use deploy_core::run::Backend;
use deploy_ssh::{
    BuildStep, Layout, RunProcess, SshTransport, Surroundings,
    session::{Sessions, SshConfig},
};

use super::{
    fetch::fetch_method,
    health::{self, Hosts},
    templates::{self, Unrendered},
    values,
};
use crate::{
    config::{Config, Loaded, STEP_TIMEOUT, StepSection, StepStage},
    context::{Context, Project},
    display,
    error::CommandError,
};

/// What acts on hosts, with what it was made of.
#[derive(Debug)]
pub(super) struct OverSsh {
    /// What acts on the hosts, as a site left it.
    pub(super) backend: Backend,
    pub(super) transport: Arc<SshTransport>,
    pub(super) unrendered: Option<Unrendered>,
}

impl OverSsh {
    /// Makes it for the hosts of a project.
    ///
    /// # Errors
    /// Refused when the configuration cannot be used as it is.
    pub(super) fn new(
        context: &Context,
        project: &Project,
        (sessions, process): (&Sessions, RunProcess),
        values: Option<&values::Values>,
    ) -> Result<Self, CommandError> {
        let config = &project.loaded.config;
        let layout = layout(&project.loaded)?;
        let surroundings = Surroundings {
            layout: layout.clone(),
            environment: project.loaded.environment.clone(),
        };
        let hosts = Hosts { sessions: sessions.clone(), surroundings };
        let transport = SshTransport::new(sessions.clone(), &project.repo.top, layout, process);
        let ui = context.ui.clone();
        let transport = transport
            .build_steps(build_steps(config))
            .fetch_by(fetch_method(project)?)
            .cache_in(project.state.of_app())
            .tell(Arc::new(move |line: &str| ui.error_line(&display::line(line))));
        let (transport, unrendered) = templates::rendering(&project.loaded, transport)?;
        let transport = Arc::new(transport);
        let backend = Backend {
            transport: values::around(Arc::clone(&transport) as Arc<_>, values),
            restarters: health::restarters(&project.loaded, &hosts)?,
            checks: super::checks::checks(&project.loaded, &hosts)?,
            steps: health::steps(&project.loaded, &hosts),
            operators: health::operators(&project.loaded, &hosts)?,
            preview: Some(Arc::clone(&transport) as Arc<_>),
        };
        let backend = (context.customize)(project, backend)?;
        Ok(Self { backend, transport, unrendered })
    }
}

/// The connections to hosts; none is made yet.
pub(super) fn sessions(loaded: &Loaded) -> Sessions {
    Sessions::new(ssh_config(loaded))
}

fn layout(loaded: &Loaded) -> Result<Layout, CommandError> {
    let Some(section) = &loaded.config.layout else {
        return Err(loaded.refuse(&["layout"], "is missing").into());
    };
    let refuse = |key: &str, error: &dyn std::fmt::Display| -> CommandError {
        loaded.refuse(&["layout", key], error.to_string()).into()
    };
    let path = section.path.to_str().ok_or_else(|| refuse("path", &"is not UTF-8"))?;
    let mut layout = Layout::new(path)
        .map_err(|error| refuse("path", &error))?
        .keep(section.keep)
        .share(section.shared.iter().map(String::as_str))
        .map_err(|error| refuse("shared", &error))?;
    if let Some(user) = &section.service_user {
        layout = layout.service_user(user);
    }
    Ok(layout)
}

fn ssh_config(loaded: &Loaded) -> SshConfig {
    let section = &loaded.config.ssh;
    let mut ssh = SshConfig::default();
    ssh.user.clone_from(&section.user);
    // As all files that the configuration names: from where it lies, not from where one stands.
    ssh.config_file = section.config.as_ref().map(|file| loaded.directory().join(file));
    if section.cache.unwrap_or(true) {
        ssh.cache_dir = cache_dir().map(|dir| dir.join("ssh"));
    }
    if let Some(span) = section.connect_timeout {
        ssh.connect_timeout = span.0;
    }
    if let Some(span) = section.heartbeat {
        ssh.heartbeat = span.0;
    }
    if let Some(starts) = section.max_starts {
        ssh.max_starts = starts;
    }
    ssh
}

/// Where this user keeps what may be thrown away.
fn cache_dir() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let named = named.filter(|dir| dir.is_absolute());
    let dir = named.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    Some(dir.join("deploy-cli")).filter(|dir| dir.is_absolute())
}

fn build_steps(config: &Config) -> Vec<BuildStep> {
    let building = |step: &&StepSection| step.stage == StepStage::Fetch;
    let build = |step: &StepSection| BuildStep {
        name: step.name.clone(),
        command: step.command.clone(),
        timeout: step.timeout.map_or(STEP_TIMEOUT, |span| span.0),
    };
    config.step.iter().filter(building).map(build).collect()
}
