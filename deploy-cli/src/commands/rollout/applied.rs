//! A saved plan that is applied.

use std::path::Path;

use deploy_core::{
    backend::{BackendError, ErrorKind},
    model::VersionRef,
    plan::{Difference, Direction},
    record::Command,
};

use super::last_run::last_run;
use crate::{
    context::{Context, Project},
    display,
    error::CommandError,
    saved::{self, PlanFile, PlanFileError},
    wire,
};

/// A saved plan that is applied, with the digest that names it.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Applied {
    pub(super) file: PlanFile,
    pub(super) digest: String,
    name: String,
}

impl Applied {
    /// Reads the saved plan at `path`, which has to be for `command`, this app and this
    /// environment.
    pub(in crate::commands) fn read(
        context: &Context,
        path: &Path,
        command: Command,
    ) -> Result<Self, CommandError> {
        let (file, digest) = saved::read(&context.cwd.join(path)).map_err(|error| {
            let hint = matches!(error, PlanFileError::Content(..));
            let error = CommandError::refused(error);
            if hint { error.hint("`deploy-cli plan -o FILE` makes it anew") } else { error }
        })?;
        let applied = Self { file, digest, name: path.display().to_string() };
        let back = applied.file.saved.plan.direction == Direction::Back;
        let right = if back { Command::Rollback } else { Command::Deploy };
        if right != command {
            let (what, right) =
                if back { ("a rollback", "rollback") } else { ("a deploy", "deploy") };
            let problem = format!("{} is the plan of {what}", applied.name);
            return Err(CommandError::refused(problem)
                .hint(format!("deploy-cli {right} --plan applies it")));
        }
        Ok(applied)
    }

    /// Refuses a plan that was made for another app or environment.
    pub(super) fn refuse_foreign(&self, project: &Project) -> Result<(), CommandError> {
        let plan = &self.file.saved.plan;
        let here = &project.loaded;
        if plan.app == here.config.app && plan.environment == here.environment {
            return Ok(());
        }
        let theirs = match &plan.environment {
            Some(environment) => format!("{} in {environment}", plan.app),
            None => plan.app.to_string(),
        };
        let problem = format!("{} is for {theirs}; this is {}", self.name, project.name());
        let error = CommandError::refused(problem);
        Err(match &plan.environment {
            Some(environment) if plan.app == here.config.app => {
                error.hint(format!("--env {environment} applies it there"))
            }
            _ => error,
        })
    }

    /// Who made it, when, and what names it.
    pub(super) fn told(&self) -> String {
        let made = &self.file.made;
        let name = display::line(&self.name);
        let when = crate::time::moment(made.at);
        format!("applying {name} of {}, {when}\n  sha256 {}", display::line(&made.by), self.digest)
    }

    /// What has moved since it was made, as far as that is known here: the name of its version, the
    /// configuration, runs of this state directory. Asked under the lock.
    pub(super) async fn moved(&self, project: &Project) -> Result<Vec<Difference>, BackendError> {
        let mut moved: Vec<Difference> = self.version(project).await?.into_iter().collect();
        let now = saved::configuration(&project.loaded);
        moved.extend(saved::differences(&self.file.configuration, &now));
        if let Some((run, told)) = last_run(&project.state)
            && run > self.file.made.id
        {
            let was = &self.file.seen.last_run;
            let was = was.as_ref().map_or("none".to_owned(), ToString::to_string);
            moved.push(Difference::new("last run", was, format!("{run}, {told}")));
        }
        Ok(moved)
    }

    /// A tag or branch that was moved or taken away.
    async fn version(&self, project: &Project) -> Result<Option<Difference>, BackendError> {
        let Some(version) = &self.file.asked.version else { return Ok(None) };
        let Some(name) = &version.name else { return Ok(None) };
        let asked = VersionRef::Named(name.clone());
        let is = match wire::lenient_source(project)?.resolve(&asked).await {
            Ok(now) if now.id == version.id => return Ok(None),
            Ok(now) => now.id.short().to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => "not here any more".to_owned(),
            Err(error) => return Err(error),
        };
        Ok(Some(Difference::new(format!("version {name}"), version.id.short(), is)))
    }
}
