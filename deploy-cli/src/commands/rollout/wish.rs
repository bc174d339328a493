//! What a person wishes for, and what it comes to.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::{Group, Version, VersionId, VersionRef},
    plan::{BatchSize, Goal, PlanRequest, Survey},
    record::Command,
};

use super::Applied;
use crate::{
    args::{BeginArgs, HostsArgs},
    commands::{selection::selected, survey},
    context::{Context, Project},
    error::CommandError,
    wire::{self, Wired},
};

/// What a person wishes for.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Wish {
    pub(in crate::commands) command: Command,
    /// `None`: each host's last good version.
    pub(in crate::commands) version: Option<VersionRef>,
    pub(in crate::commands) batch: Option<BatchSize>,
    pub(in crate::commands) hosts: Vec<String>,
    pub(in crate::commands) yes: bool,
    pub(in crate::commands) redeploy: bool,
    pub(in crate::commands) message: Option<String>,
    pub(in crate::commands) wait: bool,
    pub(in crate::commands) allow_dirty: bool,
    pub(in crate::commands) allow_downgrade: bool,
    /// A saved plan, which says all of this that the plan depends on.
    pub(in crate::commands) applied: Option<Applied>,
}

impl Wish {
    pub(in crate::commands) fn new(command: Command) -> Self {
        Self {
            command,
            version: None,
            batch: None,
            hosts: Vec::new(),
            yes: false,
            redeploy: false,
            message: None,
            wait: false,
            allow_dirty: false,
            allow_downgrade: false,
            applied: None,
        }
    }

    /// The wish for `command` that is begun like this, for these hosts.
    pub(in crate::commands) fn begun(
        command: Command,
        only: &HostsArgs,
        begin: &BeginArgs,
    ) -> Self {
        Self {
            hosts: only.hosts.clone(),
            yes: begin.yes,
            message: begin.message.clone(),
            wait: begin.wait,
            ..Self::new(command)
        }
    }

    /// Whether it is for some of the hosts only.
    pub(super) fn is_narrow(&self) -> bool {
        let saved = self.applied.as_ref().is_some_and(|applied| applied.file.asked.hosts.is_some());
        saved || !self.hosts.is_empty()
    }

    /// The options by which a deploy was allowed more than usual.
    pub(super) fn allowed(&self) -> String {
        let deploy = self.command == Command::Deploy;
        let option = |given: bool, name: &str| {
            if given && deploy { format!(" --{name}") } else { String::new() }
        };
        let downgrade = option(self.allow_downgrade, "allow-downgrade");
        downgrade + &option(self.allow_dirty, "allow-dirty")
    }
}

/// What is wanted, with every filter applied and the version resolved.
pub(in crate::commands) async fn request(
    context: &Context,
    project: &Project,
    wish: &Wish,
    wired: &Wired,
) -> Result<PlanRequest, CommandError> {
    let groups = wire::groups(&project.loaded)?;
    let (groups, batch, redeploy) = match &wish.applied {
        Some(applied) => {
            let asked = &applied.file.asked;
            (planned_then(groups, applied), asked.batch, asked.redeploy)
        }
        None => (selected(context, project, &wish.hosts, groups)?, wish.batch, wish.redeploy),
    };
    project.state.make_for_app();
    let mut remembered = None;
    let is_adopted = adopted_name(wish).is_some();
    let has_clusters = groups.iter().any(|group| wired.is_of_clusters(&group.name));
    if let Some(name) = named_back(wish).filter(|_| is_adopted || has_clusters) {
        // What targets remember needs neither a repository nor a registry.
        let survey = survey::ask(context, project, wired, &groups).await?;
        if is_adopted {
            remembered = Some(adopted(project, &survey, name)?);
        } else if !wire::is_of_repository(&project.loaded) {
            remembered = good_named(&survey, name)?;
        }
    }
    let resolved = match remembered {
        Some(version) => Some(version),
        None => resolved(project, wish)
            .await
            .map_err(|error| perhaps_environment(project, wish, error))?,
    };
    let goal = match (resolved, wish.command) {
        (_, Command::Service(action)) => Goal::Operate(action),
        (None, _) => Goal::RollBack,
        (Some(version), Command::Rollback) => Goal::RollBackTo(version),
        (Some(version), _) => Goal::Deploy(version),
    };
    match &goal {
        Goal::Deploy(version) => {
            refuse_modified_chart(project, wish).await?;
            wired.admit(version).await?;
            wired.render(version, &groups).await?;
        }
        // Only hosts have it: nothing of it is needed here.
        Goal::RollBackTo(_) if is_adopted => {}
        Goal::RollBackTo(version) => {
            wired.admit_back(version).await?;
            // A host that has the version needs nothing rendered; another is told why it cannot be.
            let _ = wired.render(version, &groups).await;
        }
        _ => {}
    }
    let request = wire::request(&project.loaded, goal, groups, batch);
    Ok(PlanRequest { redeploy, ..request })
}

/// With a chart, the checkout decides what is served too: its modified files are refused as those of a version
/// of the repository are (rule 8).
async fn refuse_modified_chart(project: &Project, wish: &Wish) -> Result<(), CommandError> {
    let config = &project.loaded.config;
    if config.helm.is_none() || wish.allow_dirty || wire::is_of_repository(&project.loaded) {
        return Ok(());
    }
    let modified = wire::git_source(project, false).modified().await?;
    let Some(first) = modified.first() else { return Ok(()) };
    let more = match modified.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let problem = format!("tracked files are modified: {first:?}{more}");
    Err(CommandError::refused(problem).hint(
        "commit or undo them, or pass --allow-dirty: the chart and its values are deployed as they lie here",
    ))
}

/// Whether `name` is that of a version that `adopt` found, and that only hosts have.
pub(in crate::commands) fn is_adopted(name: &str) -> bool {
    name.starts_with("adopted-")
}

/// The name of a version that is known to hosts only, where one is to be gone back to.
fn adopted_name(wish: &Wish) -> Option<&str> {
    named_back(wish).filter(|name| is_adopted(name))
}

/// The name of the version that is to be gone back to, where one is named here.
fn named_back(wish: &Wish) -> Option<&str> {
    match &wish.version {
        Some(VersionRef::Named(name)) if wish.command == Command::Rollback => Some(name),
        _ => None,
    }
}

/// The version that was adopted under `name`, as the hosts know it.
fn adopted(project: &Project, survey: &Survey, name: &str) -> Result<Version, CommandError> {
    good_named(survey, name)?.ok_or_else(|| {
        let options = &project.options;
        CommandError::refused(format!("{name:?}: no host has it"))
            .hint(format!("`deploy-cli status{options}` shows what is live"))
    })
}

/// The good version that targets remember by `name`, or by its id: what the name means elsewhere by now does
/// not count. Refused where they remember several.
fn good_named(survey: &Survey, name: &str) -> Result<Option<Version>, CommandError> {
    let (tag, id) = match name.split_once('@') {
        Some((tag, id)) => (tag, Some(id)),
        None => (name, None),
    };
    let is_it = |version: &&Version| {
        version.id.as_str() == name
            || version.name.as_deref() == Some(tag) && id.is_none_or(|id| version.id.as_str() == id)
    };
    let good = survey.answers.values().flatten().flat_map(|live| &live.good);
    let versions = good.map(|good| &good.release.version).filter(is_it);
    let mut found: BTreeMap<&VersionId, &Version> = BTreeMap::new();
    for version in versions {
        found.entry(&version.id).or_insert(version);
    }
    if found.len() > 1 {
        let ids: Vec<&str> = found.keys().map(|id| id.as_str()).collect();
        let problem = format!("{name:?} was more than one good version: {}", ids.join(" and "));
        return Err(CommandError::refused(problem).hint("name the one that is meant by that"));
    }
    Ok(found.into_values().next().cloned())
}

/// The hosts that a saved plan was asked for, as far as they are configured.
fn planned_then(mut groups: Vec<Group>, applied: &Applied) -> Vec<Group> {
    if let Some(hosts) = &applied.file.asked.hosts {
        let hosts: BTreeSet<_> = hosts.iter().collect();
        groups.iter_mut().for_each(|group| group.targets.retain(|target| hosts.contains(target)));
        groups.retain(|group| !group.targets.is_empty());
    }
    groups
}

/// `error`, with what was probably meant where the version is called like an environment.
fn perhaps_environment(project: &Project, wish: &Wish, error: BackendError) -> CommandError {
    let is_missing = error.kind() == ErrorKind::NotFound;
    let error = CommandError::from(error);
    match &wish.version {
        Some(VersionRef::Named(name))
            if is_missing && project.loaded.config.environment.contains_key(name) =>
        {
            error.hint(format!("{name} is an environment: `--env {name}` chooses it"))
        }
        _ => error,
    }
}

/// The exact version, if one is wished for. The way back is never refused (rule 8).
async fn resolved(project: &Project, wish: &Wish) -> Result<Option<Version>, BackendError> {
    let source = match wish.command {
        Command::Rollback => wire::lenient_source(project)?,
        _ => wire::source(project, wish.allow_dirty)?,
    };
    let Some(applied) = &wish.applied else {
        let Some(wanted) = &wish.version else { return Ok(None) };
        return source.resolve(wanted).await.map(Some);
    };
    // Exactly the one that was reviewed. That its name means it still is looked at later.
    let Some(version) = &applied.file.asked.version else { return Ok(None) };
    match source.resolve(&VersionRef::Named(version.id.to_string())).await {
        Ok(_) => Ok(Some(version.clone())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let gone = format!("apply the saved plan of {version}");
            let id = version.id.short();
            let missing = BackendError::new(ErrorKind::NotFound, gone);
            Err(match wire::is_of_repository(&project.loaded) {
                true => missing
                    .with_source(format!("the commit {id} is not in this repository"))
                    .with_hint("`git fetch` brings it, where it was not taken away"),
                false => missing.with_source(format!("the image {id} is not in the registry")),
            })
        }
        Err(error) => Err(error),
    }
}
