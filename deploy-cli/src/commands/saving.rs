//! `plan -o`: keeping a plan for later.

use std::{
    io,
    path::{Path, PathBuf},
};

use deploy_core::{plan::SavedPlan, record::RunId};
use jiff::{Timestamp, Unit};

use super::rollout::{Wish, last_run};
use crate::{
    context::{Context, Project},
    display,
    error::CommandError,
    report::{escape_json, quoted},
    saved::{self, Asked, FORMAT, Made, PlanFile, PlanFileError, Seen},
    who,
};

/// A plan that is being made to be saved.
pub(super) struct Saving<'a> {
    context: &'a Context,
    project: &'a Project,
    /// As it was given; `-` is standard output.
    path: PathBuf,
    seen: Seen,
}

impl<'a> Saving<'a> {
    /// Looks how the state directory stands, before the hosts are asked.
    ///
    /// # Errors
    /// Refused while a run is at work: hosts move, and the plan could never be applied.
    pub(super) fn begin(
        context: &'a Context,
        project: &'a Project,
        path: &Path,
    ) -> Result<Self, CommandError> {
        if path == Path::new("-") && context.global.json {
            return Err(CommandError::usage("-o - and --json both mean standard output"));
        }
        if path != Path::new("-") {
            saved::may_write(&context.cwd.join(path)).map_err(|error| cannot_save(path, error))?;
        }
        let seen = seen(project)?;
        Ok(Self { context, project, path: path.to_owned(), seen })
    }

    pub(super) fn is_to_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Writes the file, and says so.
    pub(super) fn end(self, wish: &Wish, run: &RunId, plan: SavedPlan) -> Result<(), CommandError> {
        if seen(self.project)? != self.seen {
            let problem = "another run was at work while the plan was made";
            return Err(CommandError::refused(problem).hint("the same command again"));
        }
        let file = PlanFile {
            format: FORMAT,
            made: made(self.project, run),
            asked: asked(wish, &plan),
            seen: self.seen,
            configuration: saved::configuration(&self.project.loaded),
            builds: super::builds(self.project),
            saved: plan,
        };
        let written =
            file.to_text().map_err(|error| CommandError::because("write the plan", error))?;
        if self.path == Path::new("-") {
            self.context.ui.line(written.text.trim_end());
            return Ok(());
        }
        let path = self.context.cwd.join(&self.path);
        saved::write(&path, &written.text).map_err(CommandError::refused)?;
        let shown = self.path.display().to_string();
        if self.context.global.json {
            let line = serde_json::json!({ "saved": shown, "sha256": written.digest });
            self.context.ui.line(&escape_json(&line.to_string()));
        } else {
            let (command, options) = (command(wish), &self.project.options);
            let (name, file) = (display::line(&shown), quoted(&shown));
            self.context.ui.prose(&format!("\nsaved as {name}, sha256 {}", written.digest));
            self.context
                .ui
                .prose(&format!("apply it: deploy-cli {command}{options} --plan {file}"));
        }
        Ok(())
    }
}

fn cannot_save(path: &Path, error: PlanFileError) -> CommandError {
    let hint = match (&error, path.parent()) {
        (PlanFileError::Unwritable(_, cause), Some(directory))
            if cause.kind() == io::ErrorKind::NotFound =>
        {
            format!("mkdir -p {}", quoted(&directory.display().to_string()))
        }
        _ => "-o takes a file in a directory that is there, or - for standard output".to_owned(),
    };
    CommandError::refused(error).hint(hint)
}

fn command(wish: &Wish) -> &'static str {
    match wish.command {
        deploy_core::record::Command::Rollback => "rollback",
        _ => "deploy",
    }
}

fn seen(project: &Project) -> Result<Seen, CommandError> {
    let holder = project.state.lock().look()?;
    if let Some(holder) = holder.as_ref().filter(|holder| holder.run.is_some()) {
        return Err(CommandError::locked(holder)
            .hint("hosts move while it is at work: save the plan when it is over"));
    }
    Ok(Seen { lock: holder, last_run: last_run(&project.state).map(|(run, _)| run) })
}

fn made(project: &Project, run: &RunId) -> Made {
    let now = Timestamp::now();
    Made {
        at: now.round(Unit::Second).unwrap_or(now),
        by: project.who.clone(),
        host: who::host(),
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        id: run.clone(),
    }
}

fn asked(wish: &Wish, plan: &SavedPlan) -> Asked {
    Asked {
        command: wish.command,
        version: plan.plan.version.clone(),
        batch: wish.batch,
        hosts: (!wish.hosts.is_empty()).then(|| plan.plan.targets().cloned().collect()),
        redeploy: wish.redeploy,
    }
}
