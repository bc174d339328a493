//! Which version the hosts are brought to, and why.

use deploy_core::{
    model::{Version, VersionRef},
    plan::{ServedWell, Survey},
    record::{Current, NoCurrentError},
};

use crate::{
    commands::{history::fold, rollout},
    context::Project,
    error::CommandError,
    report::exact,
    state::Past,
    wire,
};

/// The shortest beginning of an id that means it.
const SHORTEST: usize = 7;

/// The version that is chosen, and why.
pub(super) struct Choice {
    pub(super) version: Version,
    pub(super) why: String,
}

impl Choice {
    /// The version that is asked for, or the one that record and hosts agree on.
    pub(super) async fn make(
        project: &Project,
        to: Option<&VersionRef>,
        survey: &Survey,
    ) -> Result<Self, CommandError> {
        let served = survey.served_well();
        let choice = match to {
            Some(wanted) => Self::asked_for(project, wanted, &served).await?,
            None => Self::agreed(project, survey, &served)?,
        };
        if is_adopted(&choice.version) {
            return Ok(choice);
        }
        // It may be long ago that it was deployed.
        let id = VersionRef::Named(choice.version.id.to_string());
        wire::lenient_source(project)?.resolve(&id).await?;
        Ok(choice)
    }

    async fn asked_for(
        project: &Project,
        wanted: &VersionRef,
        served: &[ServedWell],
    ) -> Result<Self, CommandError> {
        if let Some(by) = served.iter().find(|served| is_adopted_as(&served.version, wanted)) {
            let why = format!("asked for; {} serve it", share(by, served));
            return Ok(Self { version: by.version.clone(), why });
        }
        let version = wire::lenient_source(project)?.resolve(wanted).await?;
        let Some(by) = served.iter().find(|served| served.version.id == version.id) else {
            let options = &project.options;
            let named = exact(&version, &wire::scheme(&project.loaded.config.version));
            let problem = format!("no host that answers serves {version} in good order");
            return Err(CommandError::refused(problem)
                .hint(format!("deploy-cli deploy{options} {named} brings it to all hosts")));
        };
        Ok(Self { version, why: format!("asked for; {} serve it", share(by, served)) })
    }

    /// Refuses what only the hosts have that it was adopted on: there is nothing to send.
    pub(super) fn refuse_adopted(&self, project: &Project) -> Result<(), CommandError> {
        if !is_adopted(&self.version) {
            return Ok(());
        }
        let why = "an adopted version cannot be brought to other hosts: only those that serve it \
                   have it";
        let problem = format!("the current version is {}: {}; {why}", self.version, self.why);
        Err(CommandError::refused(problem).hint(deploys(project)))
    }

    fn agreed(
        project: &Project,
        survey: &Survey,
        served: &[ServedWell],
    ) -> Result<Self, CommandError> {
        let record = Current::of(Past::all(&project.state).iter().map(fold));
        let agreed = record.as_ref().ok().and_then(|current| {
            let by = agreeing(&current.version, served)?;
            let why = format!("{}, and {} serve it", by_run(current), share(by, served));
            Some(Self { version: current.version.clone(), why })
        });
        agreed.ok_or_else(|| disagreement(project, &record, survey, served))
    }
}

/// Those that serve the version of the record, unless more serve another: of two hosts, one that was
/// away must not outweigh the other, which was deployed to since.
fn agreeing<'a>(recorded: &Version, served: &'a [ServedWell]) -> Option<&'a ServedWell> {
    let most = served.iter().map(|by| by.targets.len()).max()?;
    served.iter().find(|by| by.version.id == recorded.id && by.targets.len() == most)
}

/// Whether the repository does not have it, since `adopt` found it on hosts.
fn is_adopted(version: &Version) -> bool {
    version.name.as_deref().is_some_and(rollout::is_adopted)
}

/// Whether `wanted` means the adopted `version`: its name, its id or the beginning of that.
fn is_adopted_as(version: &Version, wanted: &VersionRef) -> bool {
    let VersionRef::Named(wanted) = wanted else { return false };
    let is_id = wanted.len() >= SHORTEST && version.id.as_str().starts_with(wanted.as_str());
    is_adopted(version) && (is_id || version.name.as_ref() == Some(wanted))
}

/// What brings all hosts to one version.
fn deploys(project: &Project) -> String {
    format!("`deploy-cli deploy{} VERSION` brings a version to all hosts", project.options)
}

fn by_run(current: &Current) -> String {
    let did = if current.went_back { "went back to" } else { "deployed" };
    format!("run {} {did} it", current.run)
}

/// `8 of 9 healthy hosts`
fn share(by: &ServedWell, served: &[ServedWell]) -> String {
    let healthy: usize = served.iter().map(|served| served.targets.len()).sum();
    format!("{} of {healthy} healthy hosts", by.targets.len())
}

fn disagreement(
    project: &Project,
    record: &Result<Current, NoCurrentError>,
    survey: &Survey,
    served: &[ServedWell],
) -> CommandError {
    let by_record = match record {
        Ok(current) => format!("{}: {}", current.version, by_run(current)),
        Err(error) => error.to_string(),
    };
    let mut lines = vec![
        "it is not clear which version is the current one".to_owned(),
        format!("  by the record: {by_record}"),
    ];
    let recorded = |by: &ServedWell| record.as_ref().is_ok_and(|r| r.version.id == by.version.id);
    let mut served_by: Vec<&ServedWell> = served.iter().collect();
    // What the record says is the likelier answer.
    served_by.sort_by_key(|by| !recorded(by));
    for by in &served_by {
        lines.push(format!("  by the hosts: {}: {} serve it", by.version, share(by, served)));
    }
    if served.is_empty() {
        lines.push("  by the hosts: none that answers serves a good version".to_owned());
    }
    let mut error = CommandError::refused(lines.join("\n"));
    let scheme = wire::scheme(&project.loaded.config.version);
    let options = &project.options;
    for by in served_by.into_iter().filter(|by| !is_adopted(&by.version)) {
        let named = exact(&by.version, &scheme);
        let choose = if recorded(by) { "choose, as by the record" } else { "choose" };
        error = error.hint(format!("{choose}: deploy-cli catch-up{options} --to {named}"));
    }
    if survey.answers.values().all(Result::is_err) {
        return error.hint(format!("`deploy-cli doctor{options}` says why no host answers"));
    }
    if served.iter().any(|by| is_adopted(&by.version)) {
        let only = "an adopted version cannot be brought to other hosts";
        return error.hint(format!("{only}; {}", deploys(project)));
    }
    if served.is_empty() { error.hint(deploys(project)) } else { error }
}

#[cfg(test)]
mod tests {
    use deploy_core::model::{Target, VersionId};

    use super::*;

    fn version(id: &str) -> Version {
        Version { id: VersionId::new(id).unwrap(), name: None }
    }

    /// How many of the hosts agree with the record, which says v2; the first serve v1.
    fn agree(hosts: &[(&str, usize)]) -> Option<usize> {
        let target = |number: usize| Target::new(format!("h{number}")).unwrap();
        let served: Vec<ServedWell> = hosts
            .iter()
            .map(|(id, number)| ServedWell {
                version: version(id),
                targets: (0..*number).map(target).collect(),
            })
            .collect();
        agreeing(&version("v2"), &served).map(|by| by.targets.len())
    }

    #[test]
    fn on_a_tie_the_record_decides_and_never_against_more_hosts() {
        assert_eq!(agree(&[("v1", 1), ("v2", 1)]), Some(1));
        assert_eq!(agree(&[("v2", 8), ("v1", 1)]), Some(8));
        assert_eq!(agree(&[("v1", 2), ("v2", 1)]), None);
        assert_eq!(agree(&[("v1", 1)]), None);
        assert_eq!(agree(&[]), None);
    }
}
