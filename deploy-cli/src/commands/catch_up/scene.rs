//! Who is behind, who is ahead, and who cannot be asked.

use std::collections::{BTreeMap, BTreeSet};

use deploy_core::{
    backend::Relation,
    model::{Group, Target, Version, VersionId},
    plan::{Noun, Survey},
    record::Failure,
};

use super::Choice;
use crate::{
    context::{Context, Project},
    display,
    error::CommandError,
    report::{escape_json, names},
    wire,
};

/// How the hosts that are meant stand to the version.
pub(super) struct Scene {
    pub(super) choice: Choice,
    /// All that are meant, without those ahead.
    pub(super) groups: Vec<Group>,
    pub(super) behind: BTreeSet<Target>,
    /// Those that serve what the version lacks, by what they serve. They are left alone.
    pub(super) ahead: BTreeMap<VersionId, (Version, Vec<Target>)>,
    pub(super) silent: BTreeMap<Target, Failure>,
    serving: usize,
    noun: Noun,
}

impl Scene {
    pub(super) async fn look(
        project: &Project,
        survey: &Survey,
        mut groups: Vec<Group>,
        choice: Choice,
    ) -> Result<Self, CommandError> {
        let meant: BTreeSet<Target> =
            groups.iter().flat_map(|group| group.targets.iter().cloned()).collect();
        let behind = survey.behind(&choice.version);
        let mut behind: BTreeSet<Target> =
            behind.into_iter().filter(|target| meant.contains(*target)).cloned().collect();
        let ahead = ahead(project, survey, &behind, &choice.version).await?;
        let are_ahead: BTreeSet<&Target> =
            ahead.values().flat_map(|(_, targets)| targets).collect();
        behind.retain(|target| !are_ahead.contains(target));
        groups.iter_mut().for_each(|group| group.targets.retain(|t| !are_ahead.contains(t)));
        groups.retain(|group| !group.targets.is_empty());
        let silent: BTreeMap<Target, Failure> = survey
            .answers
            .iter()
            .filter(|(target, _)| meant.contains(*target))
            .filter_map(|(target, answer)| Some((target.clone(), answer.clone().err()?)))
            .collect();
        let serving = meant.len() - behind.len() - are_ahead.len() - silent.len();
        let noun = project.noun();
        Ok(Self { choice, groups, behind, ahead, silent, serving, noun })
    }

    /// The groups in which somebody is behind, with those alone.
    pub(super) fn groups_behind(&self) -> Vec<Group> {
        let mut groups = self.groups.clone();
        groups.iter_mut().for_each(|group| group.targets.retain(|t| self.behind.contains(t)));
        groups.retain(|group| !group.targets.is_empty());
        groups
    }

    /// Says which version it is, why, and who is left alone. With `--json` the events say it.
    pub(super) fn tell(&self, context: &Context) {
        if context.global.json {
            return;
        }
        let Choice { version, why } = &self.choice;
        let version = display::line(&version.to_string()).into_owned();
        context.ui.prose(&format!("the current version is {version}: {}", display::line(why)));
        for (other, targets) in self.ahead.values() {
            let other = display::line(&other.to_string()).into_owned();
            let line = format!(
                "left alone: {} serves {other}, which has what {version} lacks",
                names(targets)
            );
            context.ui.prose(&context.ui.paint(context.ui.note(), &line));
        }
    }

    /// Says that there is nothing to do.
    pub(super) fn tell_nothing_behind(&self, context: &Context) {
        if context.global.json {
            let ahead: BTreeMap<&Target, &Version> = self
                .ahead
                .values()
                .flat_map(|(version, targets)| targets.iter().map(move |target| (target, version)))
                .collect();
            let line = serde_json::json!({
                "version": self.choice.version, "behind": [], "ahead": ahead,
                "silent": self.silent,
            });
            context.ui.line(&escape_json(&line.to_string()));
            return;
        }
        self.tell(context);
        let serve = if self.serving == 1 { "serves" } else { "serve" };
        let told = self.noun.count(self.serving);
        context.ui.prose(&format!("nothing is behind: {told} {serve} it"));
        for (target, failure) in &self.silent {
            let cause = display::line(&failure.cause).into_owned();
            let line = format!("{target}: could not be asked: {cause}");
            context.ui.prose(&context.ui.paint(context.ui.bad(), &line));
        }
    }
}

/// Those of `targets` that serve something which `version` does not contain. What the repository
/// does not know is taken for behind, and the plan warns of it.
async fn ahead(
    project: &Project,
    survey: &Survey,
    targets: &BTreeSet<Target>,
    version: &Version,
) -> Result<BTreeMap<VersionId, (Version, Vec<Target>)>, CommandError> {
    let mut served: BTreeMap<VersionId, (Version, Vec<Target>)> = BTreeMap::new();
    for target in targets {
        let Some(Ok(live)) = survey.answers.get(target) else { continue };
        let Some(release) = live.release() else { continue };
        let of = served.entry(release.version.id.clone());
        of.or_insert_with(|| (release.version.clone(), Vec::new())).1.push(target.clone());
    }
    let source = wire::lenient_source(project)?;
    let mut ahead = BTreeMap::new();
    for (id, served) in served {
        let relation = source.changes(&served.0, version).await?.relation;
        if matches!(relation, Relation::Backward | Relation::Diverged) {
            ahead.insert(id, served);
        }
    }
    Ok(ahead)
}
