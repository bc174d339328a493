//! From the configuration to what examines hosts before a deploy.

use std::{collections::BTreeMap, sync::Arc};

use deploy_core::{
    backend::BackendError,
    model::{Group, GroupName, Target},
    record::RunId,
};
use deploy_ssh::{Examiner, Finding, ReleaseSize, TransportExaminer};
use tokio::task::JoinSet;

use super::{
    Wired, checks,
    health::{self, Hosts},
    over_ssh::scope,
};
use crate::{context::Project, error::CommandError};

/// What one host said; an error where it could not be asked at all.
pub type Examined = Result<Vec<Finding>, BackendError>;

/// Everything that examines a host of some group.
#[derive(Debug, Clone)]
struct Examiners {
    transport: Arc<TransportExaminer>,
    /// The rest, each with the group that it is only about.
    others: Vec<(Option<GroupName>, &'static str, Arc<dyn Examiner>)>,
}

impl Wired {
    /// What keeps templates from being rendered here.
    pub fn unrendered(&self) -> Option<CommandError> {
        self.unrendered.as_ref().map(super::templates::Unrendered::error)
    }

    /// Examines this machine's means to log in to `targets`. Connects to none.
    pub async fn logins(&self, targets: &[Target]) -> Vec<Finding> {
        self.sessions.examine_logins(targets).await
    }

    /// Examines all hosts of `groups` at once, over one connection each. Changes nothing.
    ///
    /// # Errors
    /// Refused when the configuration cannot be used as it is.
    pub async fn examine(
        &self,
        project: &Project,
        groups: &[Group],
        run: &RunId,
    ) -> Result<BTreeMap<Target, Examined>, CommandError> {
        let examiners = self.examiners(project).await?;
        let mut asking = JoinSet::new();
        let mut seen = BTreeMap::new();
        for group in groups {
            for target in &group.targets {
                // A host in several groups belongs to the first.
                if seen.insert(target.clone(), ()).is_some() {
                    continue;
                }
                let (examiners, target) = (examiners.clone(), target.clone());
                let (name, run, who) = (group.name.clone(), run.clone(), project.who.clone());
                asking.spawn(async move {
                    let examined = examiners.ask(&target, &name, (&run, &who)).await;
                    (target, examined)
                });
            }
        }
        Ok(asking.join_all().await.into_iter().collect())
    }

    async fn examiners(&self, project: &Project) -> Result<Examiners, CommandError> {
        let loaded = &project.loaded;
        let hosts = Hosts {
            sessions: self.sessions.clone(),
            surroundings: deploy_ssh::Surroundings {
                layout: self.transport.layout().clone(),
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
        let transport = TransportExaminer::new(Arc::clone(&self.transport), size);
        Ok(Examiners { transport: Arc::new(transport), others })
    }
}

impl Examiners {
    async fn ask(
        &self,
        target: &Target,
        group: &GroupName,
        (run, who): (&RunId, &str),
    ) -> Examined {
        let mut findings = self.transport.examine(target, &scope(run, who)).await?;
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
