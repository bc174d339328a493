//! A pipeline for a project, with what it was made of.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use deploy_core::{
    backend::{BackendError, Cancel, Completion, Discard, Instance, Scope, ServiceState, Step},
    model::{Group, GroupName, Target, Version},
    plan::{Stage, StepMoment, StepPlace, StepPolicy},
    record::RunId,
    run::{Backend, OwnedStep, Pipeline},
};
use deploy_ssh::{NoCommandError, RemoteCommand, RunProcess, session::Sessions};
use tokio::{task::JoinSet, time::Instant};

use super::{
    completion::SuccessTag, git_source, lenient_source, over_k8s::OverK8s, over_ssh::OverSsh,
    values::Values,
};
use crate::{
    config::Loaded,
    context::{Context, Project},
    error::CommandError,
    signals,
};

/// A pipeline, with what it was made of.
#[derive(Debug)]
pub struct Wired {
    /// What runs plans.
    pub pipeline: Pipeline,
    /// The hosts, where there are any.
    pub(super) hosts: Option<OverSsh>,
    /// The clusters, where there are any.
    pub(super) clusters: Option<OverK8s>,
    pub(super) sessions: Sessions,
    /// Which groups are of clusters.
    pub(super) of_clusters: Vec<GroupName>,
    success: Option<SuccessTag>,
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
    let loaded = &project.loaded;
    let process = RunProcess::current()
        .map_err(|error| CommandError::because("learn who this process is", error))?;
    let sessions = super::over_ssh::sessions(loaded);
    let of_clusters = groups_of_clusters(loaded);
    let values = Values::new(project)?;
    let mut hosts = None;
    if of_clusters.len() < loaded.config.group.len() {
        hosts =
            Some(OverSsh::new(context, project, (&sessions, process.clone()), values.as_ref())?);
    }
    let mut clusters = None;
    if !of_clusters.is_empty() {
        clusters = Some(OverK8s::new(context, project, (&sessions, &process), values.as_ref())?);
    }
    let backends = (hosts.as_ref().map(|it| &it.backend), clusters.as_ref().map(|it| &it.backend));
    let pipeline = match backends {
        (Some(hosts), clusters) => {
            let pipeline = Pipeline::new(hosts.clone());
            of_clusters
                .iter()
                .zip(clusters.into_iter().cycle())
                .fold(pipeline, |pipeline, (group, backend)| {
                    pipeline.with_group(group.clone(), backend.clone())
                })
        }
        (None, Some(clusters)) => Pipeline::new(clusters.clone()),
        (None, None) => return Err(CommandError::refused("there is nothing to deploy to")),
    };
    let pipeline = pipeline.with_source(lenient_source(project)?);
    // Versions of a registry are no commits that could be tagged.
    let success =
        super::is_of_repository(loaded).then(|| SuccessTag(git_source(project, allow_dirty)));
    Ok(Wired { pipeline, hosts, clusters, sessions, of_clusters, success })
}

/// The groups that are of clusters.
fn groups_of_clusters(loaded: &Loaded) -> Vec<GroupName> {
    let groups = loaded.config.group.iter().filter(|group| !group.clusters.is_empty());
    groups.map(|group| group.name.clone()).collect()
}

impl Wired {
    /// What is told when the whole fleet serves the version.
    pub fn completion(&self) -> Option<Arc<dyn Completion>> {
        self.success.clone().map(|success| Arc::new(success) as Arc<_>)
    }

    /// What acts on the targets of `group`, as a site left it.
    ///
    /// # Errors
    /// Where a group has nothing to act on it, which no configuration leads to.
    pub fn backend(&self, group: &GroupName) -> Result<&Backend, CommandError> {
        let clusters = self.clusters.as_ref().map(|clusters| &clusters.backend);
        let hosts = self.hosts.as_ref().map(|hosts| &hosts.backend);
        let of = if self.of_clusters.contains(group) { clusters } else { hosts };
        of.ok_or_else(|| CommandError::refused(format!("nothing acts on the group {group}")))
    }

    /// What acts on hosts.
    ///
    /// # Errors
    /// Refused where all targets are clusters: `what` is for hosts.
    pub(super) fn over_ssh(&self, what: &str) -> Result<&OverSsh, CommandError> {
        self.hosts.as_ref().ok_or_else(|| {
            CommandError::refused(format!("{what} is for hosts, and all targets here are clusters"))
        })
    }

    /// Whether a group is of clusters.
    pub fn is_of_clusters(&self, group: &GroupName) -> bool {
        self.of_clusters.contains(group)
    }

    /// The groups of `groups` that are of hosts.
    ///
    /// # Errors
    /// Refused where there is none: `what` is for hosts.
    pub fn hosts_of(&self, groups: Vec<Group>, what: &str) -> Result<Vec<Group>, CommandError> {
        let is_hosts = |group: &Group| !self.of_clusters.contains(&group.name);
        let hosts: Vec<Group> = groups.into_iter().filter(is_hosts).collect();
        if hosts.is_empty() {
            let problem = format!("{what} is for hosts, and these are clusters");
            return Err(CommandError::refused(problem));
        }
        Ok(hosts)
    }

    /// Refuses a version that could not be laid out on any target, and brings here what is needed of
    /// it. A signal ends it, with what it has started.
    ///
    /// # Errors
    /// As [`SshTransport::admit`](deploy_ssh::SshTransport::admit); also where there is no image of it.
    pub async fn admit(&self, version: &Version) -> Result<(), CommandError> {
        let admit = async {
            if let Some(hosts) = &self.hosts {
                hosts.transport.admit(version).await?;
            }
            match &self.clusters {
                Some(clusters) => clusters.admit(version).await,
                None => Ok(()),
            }
        };
        unless_signalled(admit).await
    }

    /// The same for a version that is gone back to: nothing is built, and of what the clusters remember, if
    /// they were asked, no image is looked for.
    ///
    /// # Errors
    /// As [`SshTransport::admit_back`](deploy_ssh::SshTransport::admit_back).
    pub async fn admit_back(&self, version: &Version) -> Result<(), CommandError> {
        let admit = async {
            if let Some(hosts) = &self.hosts {
                hosts.transport.admit_back(version).await?;
            }
            match &self.clusters {
                Some(clusters) => clusters.admit_back(version).await,
                None => Ok(()),
            }
        };
        unless_signalled(admit).await
    }

    /// Renders the templates of `version` for `groups`. Nothing is refused that is not there to be
    /// rendered.
    ///
    /// # Errors
    /// As [`SshTransport::render`](deploy_ssh::SshTransport::render); also refused when variables cannot
    /// be read.
    pub async fn render(&self, version: &Version, groups: &[Group]) -> Result<(), CommandError> {
        self.renderable()?;
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let of_hosts = groups.iter().filter(|group| !self.of_clusters.contains(&group.name));
        let targets = of_hosts.flat_map(|group| &group.targets);
        Ok(hosts.transport.render(version, targets).await?)
    }

    /// Refuses when templates are configured that could not be rendered.
    ///
    /// # Errors
    /// Says which, and why.
    pub fn renderable(&self) -> Result<(), CommandError> {
        self.unrendered().map_or(Ok(()), Err)
    }

    /// What keeps templates from being rendered here.
    pub fn unrendered(&self) -> Option<CommandError> {
        let unrendered = self.hosts.as_ref()?.unrendered.as_ref();
        unrendered.map(super::templates::Unrendered::error)
    }

    /// Asks whether the services of `groups` are up, all at once: for each target one answer per
    /// restarter, in order.
    pub async fn services(
        &self,
        groups: &[Group],
        run: &RunId,
        who: &str,
    ) -> BTreeMap<Target, Vec<Result<Instance, BackendError>>> {
        let mut asking = JoinSet::new();
        for (target, backend) in self.acted_upon(groups) {
            let (restarters, scope) = (backend.restarters.clone(), scope(run, who));
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

    /// Asks how the services of `groups` are, all at once: for each target one answer per operator,
    /// in order.
    pub async fn service_states(
        &self,
        groups: &[Group],
        run: &RunId,
        who: &str,
    ) -> BTreeMap<Target, Vec<Result<ServiceState, BackendError>>> {
        let mut asking = JoinSet::new();
        for (target, backend) in self.acted_upon(groups) {
            let (operators, scope) = (backend.operators.clone(), scope(run, who));
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

    /// Each target once, with what acts on it.
    fn acted_upon(&self, groups: &[Group]) -> BTreeMap<Target, &Backend> {
        let mut found = BTreeMap::new();
        for group in groups {
            let Ok(backend) = self.backend(&group.name) else { continue };
            for target in &group.targets {
                found.entry(target.clone()).or_insert(backend);
            }
        }
        found
    }

    /// A command for the hosts, over the same connections.
    ///
    /// # Errors
    /// When `words` name none.
    pub fn command(&self, words: Vec<String>) -> Result<RemoteCommand, NoCommandError> {
        RemoteCommand::new(self.sessions.clone(), words)
    }

    /// A pipeline that only runs `command`, for at most `timeout` on each host.
    ///
    /// # Errors
    /// Refused where there are no hosts.
    pub fn commanding(
        &self,
        command: Arc<RemoteCommand>,
        timeout: Duration,
    ) -> Result<Pipeline, CommandError> {
        self.stepping("command", command, timeout)
    }

    /// A pipeline that only runs `step`, under this name, for at most `timeout` on each host.
    ///
    /// # Errors
    /// Refused where there are no hosts.
    pub fn stepping(
        &self,
        name: &str,
        step: Arc<dyn Step>,
        timeout: Duration,
    ) -> Result<Pipeline, CommandError> {
        let policy = StepPolicy {
            name: name.to_owned(),
            moment: StepMoment::AfterCheck,
            place: StepPlace::Each,
            group: None,
            timeout,
        };
        let hosts = self.over_ssh(name)?;
        Ok(Pipeline::new(Backend {
            transport: Arc::clone(&hosts.backend.transport),
            restarters: Vec::new(),
            checks: Vec::new(),
            steps: vec![OwnedStep { policy, step }],
            operators: Vec::new(),
            preview: None,
        }))
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.sessions.close().await;
    }
}

async fn unless_signalled(
    work: impl Future<Output = Result<(), CommandError>>,
) -> Result<(), CommandError> {
    tokio::select! {
        done = work => done,
        () = signals::ended() => Err(CommandError::interrupted()),
    }
}

/// What a call outside of a run belongs to.
pub(super) fn scope(run: &RunId, who: &str) -> Scope {
    Scope {
        run: run.clone(),
        who: who.to_owned(),
        stage: Stage::Connect,
        attempt: 1,
        rolling_back: false,
        deadline: Instant::now() + Duration::from_secs(30),
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}
