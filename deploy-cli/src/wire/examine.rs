//! From the configuration to what examines hosts before a deploy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use deploy_core::{
    backend::{BackendError, Examiner, Finding},
    model::{Group, GroupName, Target},
    record::RunId,
};
use deploy_ssh::{ReleaseSize, TransportExaminer};
use tokio::task::JoinSet;

use super::{
    Wired, checks,
    health::{self, Hosts},
    over_ssh::OverSsh,
    wired::scope,
};
use crate::{context::Project, error::CommandError};

/// What one host said; an error where it could not be asked at all.
pub type Examined = Result<Vec<Finding>, BackendError>;

/// Everything that examines a target of some group.
#[derive(Debug, Clone)]
struct Examiners {
    /// What has to be asked before anything else can be.
    first: Arc<dyn Examiner>,
    /// The rest, each with the group that it is only about.
    others: Vec<(Option<GroupName>, &'static str, Arc<dyn Examiner>)>,
}

impl Wired {
    /// Examines this machine's means to log in to the hosts of `groups`. Connects to none.
    pub async fn logins(&self, groups: &[Group]) -> Vec<Finding> {
        let of_hosts = groups.iter().filter(|group| !self.of_clusters.contains(&group.name));
        let targets: BTreeSet<Target> = of_hosts.flat_map(|group| group.targets.clone()).collect();
        let targets: Vec<Target> = targets.into_iter().collect();
        self.sessions.examine_logins(&targets).await
    }

    /// Examines all targets of `groups` at once, hosts over one connection each. Changes nothing.
    ///
    /// # Errors
    /// Refused when the configuration cannot be used as it is.
    pub async fn examine(
        &self,
        project: &Project,
        groups: &[Group],
        run: &RunId,
    ) -> Result<BTreeMap<Target, Examined>, CommandError> {
        let of_hosts = match &self.hosts {
            Some(hosts) => Some(self.examiners(project, hosts).await?),
            None => None,
        };
        let of_clusters = self
            .clusters
            .as_ref()
            .map(|clusters| Examiners { first: clusters.examiner(), others: Vec::new() });
        let mut asking = JoinSet::new();
        let mut seen = BTreeMap::new();
        for group in groups {
            for target in &group.targets {
                // A host in several groups belongs to the first.
                if seen.insert(target.clone(), ()).is_some() {
                    continue;
                }
                let is_of_clusters = self.of_clusters.contains(&group.name);
                let examiners = if is_of_clusters { &of_clusters } else { &of_hosts };
                let Some(examiners) = examiners.clone() else { continue };
                let target = target.clone();
                let (name, run, who) = (group.name.clone(), run.clone(), project.who.clone());
                asking.spawn(async move {
                    let examined = examiners.ask(&target, &name, (&run, &who)).await;
                    (target, examined)
                });
            }
        }
        Ok(asking.join_all().await.into_iter().collect())
    }

    async fn examiners(
        &self,
        project: &Project,
        over_ssh: &OverSsh,
    ) -> Result<Examiners, CommandError> {
        let loaded = &project.loaded;
        let hosts = Hosts {
            sessions: self.sessions.clone(),
            surroundings: deploy_ssh::Surroundings {
                layout: over_ssh.transport.layout().clone(),
                environment: loaded.environment.clone(),
            },
        };
        let mut others: Vec<(Option<GroupName>, &'static str, Arc<dyn Examiner>)> = Vec::new();
        for service in health::services(loaded, &hosts)? {
            others.push((None, "service", Arc::new(service)));
        }
        for (group, check) in checks::http_checks(loaded, &hosts)? {
            others.push((group, "check", Arc::new(check)));
        }
        let size = ReleaseSize::of_head(&project.repo.top).await;
        let transport = TransportExaminer::new(Arc::clone(&over_ssh.transport), size);
        Ok(Examiners { first: Arc::new(transport), others })
    }
}

impl Examiners {
    async fn ask(
        &self,
        target: &Target,
        group: &GroupName,
        (run, who): (&RunId, &str),
    ) -> Examined {
        let mut findings = self.first.examine(target, &scope(run, who)).await?;
        for (only, about, examiner) in &self.others {
            if only.as_ref().is_some_and(|only| only != group) {
                continue;
            }
            match examiner.examine(target, &scope(run, who)).await {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(Finding::of_error(about, &error)),
            }
        }
        Ok(findings)
    }
}
