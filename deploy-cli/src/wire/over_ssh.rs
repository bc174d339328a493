//! From the configuration to hosts over SSH.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use deploy_core::{
    backend::{
        BackendError, Cancel, Claim, Completion, Discard, Instance, Scope, ServiceState, Standing,
        Step,
    },
    model::{Group, Target, Version},
    plan::{Stage, StepMoment, StepPlace, StepPolicy},
    record::RunId,
    run::{Backend, OwnedStep, Pipeline},
};
use deploy_ssh::{
    BuildStep, Held, Layout, NoCommandError, RemoteCommand, RunProcess, SshTransport, Surroundings,
    session::{Sessions, SshConfig},
};
use tokio::{task::JoinSet, time::Instant};

use super::{
    completion::SuccessTag,
    fetch::fetch_method,
    health::{self, Hosts},
    lenient_source, source,
    templates::{self, Unrendered},
};
use crate::{
    config::{Config, Loaded, STEP_TIMEOUT, StepSection, StepStage},
    context::{Context, Project},
    display,
    error::CommandError,
    signals,
};

/// A pipeline, with what it was made of.
#[derive(Debug)]
pub struct Wired {
    /// What runs plans.
    pub pipeline: Pipeline,
    /// What acts on the hosts, as a site left it.
    pub backend: Backend,
    pub(super) transport: Arc<SshTransport>,
    pub(super) sessions: Sessions,
    success: SuccessTag,
    pub(super) unrendered: Option<Unrendered>,
}

/// A claim that was found on a host.
#[derive(Debug)]
pub struct FoundClaim {
    /// What it says; `None` when it cannot be read.
    pub claim: Option<Claim>,
    held: Held,
}

/// Makes the pipeline for a project.
///
/// # Errors
/// Refused when the configuration cannot be used as it is.
pub fn pipeline(
    context: &Context,
    project: &Project,
    allow_dirty: bool,
) -> Result<Wired, CommandError> {
    let config = &project.loaded.config;
    let layout = layout(&project.loaded)?;
    let sessions = Sessions::new(ssh_config(&project.loaded));
    let process = RunProcess::current()
        .map_err(|error| CommandError::because("learn who this process is", error))?;
    let surroundings =
        Surroundings { layout: layout.clone(), environment: project.loaded.environment.clone() };
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
        transport: Arc::clone(&transport) as Arc<_>,
        restarters: health::restarters(&project.loaded, &hosts)?,
        checks: super::checks::checks(&project.loaded, &hosts)?,
        steps: health::steps(&project.loaded, &hosts),
        operators: health::operators(&project.loaded, &hosts)?,
        preview: Some(Arc::clone(&transport) as Arc<_>),
    };
    let backend = (context.customize)(project, backend)?;
    let pipeline = Pipeline::new(backend.clone()).with_source(Arc::new(lenient_source(project)));
    let success = SuccessTag(source(project, allow_dirty));
    Ok(Wired { pipeline, backend, transport, sessions, success, unrendered })
}

impl Wired {
    /// What is told when the whole fleet serves the version.
    pub fn completion(&self) -> Arc<dyn Completion> {
        Arc::new(self.success.clone())
    }

    /// Refuses a version that could not be laid out on any host, and brings here what is needed of
    /// it. A signal ends it, with what it has started.
    ///
    /// # Errors
    /// As [`SshTransport::admit`].
    pub async fn admit(&self, version: &Version) -> Result<(), CommandError> {
        tokio::select! {
            admitted = self.transport.admit(version) => Ok(admitted?),
            () = signals::ended() => Err(CommandError::interrupted()),
        }
    }

    /// The same for a version that is gone back to: nothing is built.
    ///
    /// # Errors
    /// As [`SshTransport::admit_back`].
    pub async fn admit_back(&self, version: &Version) -> Result<(), CommandError> {
        tokio::select! {
            admitted = self.transport.admit_back(version) => Ok(admitted?),
            () = signals::ended() => Err(CommandError::interrupted()),
        }
    }

    /// Renders the templates of `version` for `groups`. Nothing is refused that is not there to be
    /// rendered.
    ///
    /// # Errors
    /// As [`SshTransport::render`]; also refused when variables cannot be read.
    pub async fn render(&self, version: &Version, groups: &[Group]) -> Result<(), CommandError> {
        self.renderable()?;
        let targets = groups.iter().flat_map(|group| &group.targets);
        Ok(self.transport.render(version, targets).await?)
    }

    /// Refuses when templates are configured that could not be rendered.
    ///
    /// # Errors
    /// Says which, and why.
    pub fn renderable(&self) -> Result<(), CommandError> {
        self.unrendered.as_ref().map_or(Ok(()), |unrendered| Err(unrendered.error()))
    }

    /// Looks for claims of other runs on `targets`, at all of them at once.
    pub async fn claims(
        &self,
        targets: impl IntoIterator<Item = Target>,
        run: &RunId,
        who: &str,
    ) -> Vec<(Target, Result<Option<FoundClaim>, BackendError>)> {
        let mut asking = JoinSet::new();
        for target in targets {
            let (transport, scope) = (Arc::clone(&self.transport), scope(run, who));
            asking.spawn(async move {
                let held = transport.held(&target, &scope).await;
                let found = held
                    .map(|held| held.map(|held| FoundClaim { claim: held.claim.clone(), held }));
                (target, found)
            });
        }
        let mut found = asking.join_all().await;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// Removes a claim that was found: that one, and no other.
    ///
    /// # Errors
    /// As [`SshTransport::unlock`].
    pub async fn remove_claim(
        &self,
        target: &Target,
        found: &FoundClaim,
        run: &RunId,
        who: &str,
    ) -> Result<(), BackendError> {
        self.transport.unlock(target, &found.held, &scope(run, who)).await
    }

    /// Asks whether the services on `targets` are up, all at once: for each target one answer per
    /// restarter, in order.
    pub async fn services(
        &self,
        targets: impl IntoIterator<Item = Target>,
        run: &RunId,
        who: &str,
    ) -> BTreeMap<Target, Vec<Result<Instance, BackendError>>> {
        let mut asking = JoinSet::new();
        for target in targets {
            let (restarters, scope) = (self.backend.restarters.clone(), scope(run, who));
            asking.spawn(async move {
                let mut answers = Vec::new();
                for restarter in restarters {
                    answers.push(restarter.running(&target, &scope).await);
                }
                (target, answers)
            });
        }
        asking.join_all().await.into_iter().collect()
    }

    /// Asks how the services on `targets` are, all at once: for each target one answer per operator,
    /// in order.
    pub async fn service_states(
        &self,
        targets: impl IntoIterator<Item = Target>,
        run: &RunId,
        who: &str,
    ) -> BTreeMap<Target, Vec<Result<ServiceState, BackendError>>> {
        let mut asking = JoinSet::new();
        for target in targets {
            let (operators, scope) = (self.backend.operators.clone(), scope(run, who));
            asking.spawn(async move {
                let mut answers = Vec::new();
                for operator in operators {
                    answers.push(operator.state(&target, &scope).await);
                }
                (target, answers)
            });
        }
        asking.join_all().await.into_iter().collect()
    }

    /// A command for the hosts, over the same connections.
    ///
    /// # Errors
    /// When `words` name none.
    pub fn command(&self, words: Vec<String>) -> Result<RemoteCommand, NoCommandError> {
        RemoteCommand::new(self.sessions.clone(), words)
    }

    /// A pipeline that only runs `command`, for at most `timeout` on each host.
    pub fn commanding(&self, command: Arc<RemoteCommand>, timeout: Duration) -> Pipeline {
        self.stepping("command", command, timeout)
    }

    /// A pipeline that only runs `step`, under this name, for at most `timeout` on each host.
    pub fn stepping(&self, name: &str, step: Arc<dyn Step>, timeout: Duration) -> Pipeline {
        let policy = StepPolicy {
            name: name.to_owned(),
            moment: StepMoment::AfterCheck,
            place: StepPlace::Each,
            group: None,
            timeout,
        };
        Pipeline::new(Backend {
            transport: Arc::clone(&self.backend.transport),
            restarters: Vec::new(),
            checks: Vec::new(),
            steps: vec![OwnedStep { policy, step }],
            operators: Vec::new(),
            preview: None,
        })
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.sessions.close().await;
    }
}

impl FoundClaim {
    /// Whether the run that made it is proven dead.
    pub fn is_dead(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.standing == Standing::Dead)
    }
}

/// What a call outside of a run belongs to.
pub(super) fn scope(run: &RunId, who: &str) -> Scope {
    Scope {
        run: run.clone(),
        who: who.to_owned(),
        stage: Stage::Connect,
        attempt: 1,
        deadline: Instant::now() + Duration::from_secs(30),
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}

fn layout(loaded: &Loaded) -> Result<Layout, CommandError> {
    let section = &loaded.config.layout;
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
