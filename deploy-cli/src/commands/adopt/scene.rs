//! What lies on the hosts, and what can be done there.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    backend::{BackendError, VersionSource},
    model::{Target, Version, VersionRef},
    plan::PlanRequest,
    record::{Exit, RunId},
};
use deploy_ssh::{Adoption, Found, What};

use super::{AdoptArgs, budget};
use crate::{
    context::{Context, Project},
    error::{CommandError, Kind},
    report::names,
    wire::{self, Wired},
};

/// What was found on the hosts.
pub(super) struct Scene {
    pub(super) is_undo: bool,
    pub(super) allow_gap: bool,
    /// The live path.
    pub(super) path: String,
    /// The shared directories that are configured.
    pub(super) shared: Vec<String>,
    /// What would be taken over.
    pub(super) adoptions: BTreeMap<Target, Adoption>,
    /// What would be given back.
    pub(super) given_back: BTreeMap<Target, Found>,
    /// Where there is nothing to do, and what is there.
    pub(super) settled: BTreeSet<Target>,
    pub(super) settled_as: BTreeMap<Target, What>,
    /// Where it cannot be done, and why.
    pub(super) refused: BTreeMap<Target, Vec<String>>,
    /// Those that could not be asked.
    pub(super) silent: BTreeMap<Target, BackendError>,
    /// The budget that they exceed.
    exceeded: Option<String>,
}

impl Scene {
    /// Asks all hosts of `request`, and reads what they serve.
    pub(super) async fn look(
        context: &Context,
        project: &Project,
        (wired, request): (&Wired, &PlanRequest),
        args: &AdoptArgs,
    ) -> Result<Self, CommandError> {
        let targets: BTreeSet<Target> =
            request.groups.iter().flat_map(|group| group.targets.iter().cloned()).collect();
        let run = context.run_id();
        let transport = wired.transport()?;
        let layout = transport.layout().clone();
        let mut scene = Self {
            is_undo: args.undo,
            allow_gap: args.allow_gap,
            path: layout.path().to_owned(),
            shared: layout.shared().to_vec(),
            adoptions: BTreeMap::new(),
            given_back: BTreeMap::new(),
            settled: BTreeSet::new(),
            settled_as: BTreeMap::new(),
            refused: BTreeMap::new(),
            silent: BTreeMap::new(),
            exceeded: None,
        };
        let mut whole = Vec::new();
        for (target, found) in wire::find(&transport, targets, &run, &project.who).await {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    scene.silent.insert(target, error);
                    continue;
                }
            };
            let obstacles = match args.undo {
                true => found.obstacles_back(&layout, args.allow_gap),
                false => found.obstacles(&layout, args.allow_gap),
            };
            if !obstacles.is_empty() {
                scene.refused.insert(target, obstacles);
            } else if args.undo && found.record.is_some() {
                scene.given_back.insert(target, found);
            } else if args.undo || found.is_settled() {
                scene.settled_as.insert(target.clone(), found.what);
                scene.settled.insert(target);
            } else if let Some(adoption) = Adoption::of_unfinished(found.clone()) {
                scene.adoptions.insert(target, adoption);
            } else {
                whole.push((target, found));
            }
        }
        scene.exceeded = budget::exceeded(request, |target| scene.silent.contains_key(target));
        scene.identify(project, (wired, &run), whole).await?;
        Ok(scene)
    }

    async fn identify(
        &mut self,
        project: &Project,
        (wired, run): (&Wired, &RunId),
        found: Vec<(Target, Found)>,
    ) -> Result<(), CommandError> {
        let commits = commits(project, &found).await?;
        let asked = found.into_iter().map(|(target, found)| {
            let commit = found.revision.as_ref().and_then(|revision| commits.get(revision));
            (target, found, commit.cloned())
        });
        for (target, identified) in
            wire::identify(&wired.transport()?, asked.collect(), run, &project.who).await
        {
            match identified {
                Ok((found, identity)) => {
                    self.adoptions.insert(target, Adoption::new(found, identity)?);
                }
                Err(error) => {
                    let told = format!("{error}: {}", error.cause());
                    self.refused.insert(target, vec![told]);
                }
            }
        }
        Ok(())
    }

    /// Whether there is something to do, and nothing in the way of it.
    pub(super) fn is_ready(&self) -> bool {
        self.refused.is_empty() && self.exceeded.is_none() && self.has_work()
    }

    fn has_work(&self) -> bool {
        !(self.adoptions.is_empty() && self.given_back.is_empty())
    }

    /// How it ends where nothing is done.
    pub(super) fn into_exit(self) -> Result<Exit, CommandError> {
        if !self.refused.is_empty() {
            let hosts: Vec<Target> = self.refused.into_keys().collect();
            let told = format!("{}: see above; nothing was touched", names(&hosts));
            return Err(CommandError::refused(told).hint(without(hosts.iter())));
        }
        let has_work = self.has_work();
        if let Some(exceeded) = self.exceeded.filter(|_| has_work) {
            let told = format!("{exceeded}: see above; nothing was touched");
            return Err(CommandError::refused(told).hint(without(self.silent.keys())));
        }
        if let Some((target, error)) = self.silent.into_iter().next() {
            let told = format!("{target}: {error}: {}", error.cause());
            return Err(CommandError::new(Kind::Incomplete, told));
        }
        Ok(Exit::Complete)
    }
}

/// How to do it on the other hosts.
fn without<'a>(hosts: impl Iterator<Item = &'a Target>) -> String {
    let others: Vec<String> = hosts.take(10).map(|host| format!("!{host}")).collect();
    format!("`--hosts '*,{}'` leaves them out", others.join(","))
}

/// The commits that hosts name and that the repository has, with their names.
async fn commits(
    project: &Project,
    found: &[(Target, Found)],
) -> Result<BTreeMap<String, Version>, CommandError> {
    let named: BTreeSet<&String> =
        found.iter().filter_map(|(_, found)| found.revision.as_ref()).collect();
    let source = wire::lenient_git_source(project);
    let mut commits = BTreeMap::new();
    for revision in named {
        // A commit that the repository does not have is no error: it is told as a version of its own.
        if let Ok(version) = source.resolve(&VersionRef::Named(revision.clone())).await {
            commits.insert(revision.clone(), version);
        }
    }
    Ok(commits)
}
