//! What the app's own commands are told: the `DEPLOY_…` variables.

use deploy_core::{
    backend::Situation,
    model::{Environment, Release, Target},
};

use crate::layout::Layout;

/// What is around a command of the app's own, on every target alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Where things lie.
    pub layout: Layout,
    /// The environment, where the configuration has any.
    pub environment: Option<Environment>,
}

impl Surroundings {
    /// The variables that a command on `target` gets. What does not exist is empty: the previous
    /// version on a first deploy, the version when the target goes back to nothing.
    pub(crate) fn variables(
        &self,
        target: &Target,
        situation: &Situation,
    ) -> Vec<(&'static str, String)> {
        let version = |release: &Option<Release>| {
            release.as_ref().map_or_else(String::new, |release| match &release.version.name {
                Some(name) => name.clone(),
                None => release.version.id.to_string(),
            })
        };
        let environment = self.environment.as_ref().map(ToString::to_string);
        vec![
            ("DEPLOY_LIVE_PATH", self.layout.path().to_owned()),
            ("DEPLOY_RELEASE_PATH", self.release_path(situation).unwrap_or_default()),
            ("DEPLOY_VERSION", version(&situation.release)),
            ("DEPLOY_PREVIOUS_VERSION", version(&situation.previous)),
            ("DEPLOY_GROUP", situation.group.to_string()),
            ("DEPLOY_ENVIRONMENT", environment.unwrap_or_default()),
            ("DEPLOY_TARGET", target.to_string()),
        ]
    }

    /// Where the release lies that is deployed or gone back to, if there is one.
    pub(crate) fn release_path(&self, situation: &Situation) -> Option<String> {
        situation.release.as_ref().map(|release| self.layout.release_path(&release.id))
    }
}

#[cfg(test)]
mod tests {
    use deploy_core::model::{GroupName, ReleaseId, Version, VersionId};

    use super::*;

    #[test]
    fn what_does_not_exist_is_empty() {
        let surroundings =
            Surroundings { layout: Layout::new("/srv/app").unwrap(), environment: None };
        let id = VersionId::new("0123456789abcdef").unwrap();
        let release = Release {
            id: ReleaseId::new("0123-4567").unwrap(),
            version: Version { id, name: Some("v 1".into()) },
        };
        let situation = Situation {
            group: GroupName::new("canary").unwrap(),
            release: Some(release),
            previous: None,
            rolling_back: false,
            noted: None,
        };
        let target = Target::new("h1").unwrap();
        let variables = surroundings.variables(&target, &situation);
        let of = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(of("DEPLOY_LIVE_PATH"), Some("/srv/app"));
        assert_eq!(of("DEPLOY_RELEASE_PATH"), Some("/srv/app-cache/releases/0123-4567"));
        assert_eq!(of("DEPLOY_VERSION"), Some("v 1"));
        assert_eq!(of("DEPLOY_PREVIOUS_VERSION"), Some(""));
        assert_eq!(of("DEPLOY_ENVIRONMENT"), Some(""));
        assert_eq!(of("DEPLOY_TARGET"), Some("h1"));
    }
}
