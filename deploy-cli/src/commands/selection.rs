//! `--hosts`: the groups that a command is about.

use deploy_core::{
    model::{Group, Target},
    record::Counts,
};

use super::history::fold;
use crate::{
    context::{Context, Project},
    error::CommandError,
    hosts::{Ended, Filter, FilterError, Lists},
    state::Past,
};

/// What `--hosts` leaves of `groups`: all of them where it was not given.
pub(super) fn selected(
    context: &Context,
    project: &Project,
    hosts: &[String],
    groups: Vec<Group>,
) -> Result<Vec<Group>, CommandError> {
    let ended = |run: &str, ended| of_run(project, run, ended);
    let options = project.options.as_str();
    let lists = Lists { directory: &context.cwd, ended: &ended, options };
    let filter = Filter::parse(hosts, &lists);
    filter.and_then(|filter| filter.apply(groups)).map_err(|error| told(error, project))
}

fn told(error: FilterError, project: &Project) -> CommandError {
    let (options, many) = (&project.options, project.noun().many());
    let hint = match &error {
        FilterError::Unmatched { near, .. } if !near.is_empty() => {
            Some(format!("did you mean {}?", near.join(", ")))
        }
        FilterError::Unmatched { .. } | FilterError::Nothing => {
            Some(format!("`deploy-cli status{options}` lists the {many}"))
        }
        FilterError::Empty => Some(format!("leave it out to mean all {many}")),
        FilterError::Ambiguous(_) => Some("`@./…` always means the file".to_owned()),
        FilterError::NoEnd(_) => Some(format!("one of {}", Ended::words())),
        FilterError::Run(_, error) => error.hints().first().cloned(),
        FilterError::Part(..) | FilterError::File(..) => None,
    };
    let error = CommandError::refused(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The targets that ended so in the run that `named` means; `None` when there is no such run.
fn of_run(
    project: &Project,
    named: &str,
    ended: Ended,
) -> Result<Option<Vec<Target>>, CommandError> {
    let Some(past) = Past::look_up(&project.state, named, &project.options)? else {
        return Ok(None);
    };
    let summary = fold(&past);
    let run = &past.run;
    if summary.exit.is_none() && past.is_alive() {
        return Err(CommandError::refused(format!("run {run} is still at work"))
            .hint(format!("deploy-cli show{} --follow {run}", project.options)));
    }
    if summary.plan.is_none() {
        return Err(CommandError::refused(format!("run {run} ended before it had a plan"))
            .hint(format!("`deploy-cli history{}` lists the runs", project.options)));
    }
    let targets = ended.of(&summary);
    if !targets.is_empty() {
        return Ok(Some(targets));
    }
    let counts = summary.counts();
    let left = counts.planned - counts.deployed - counts.unchanged - counts.done;
    Err(if left == 0 {
        let done = format!("nothing is left of run {run}: all of its hosts serve the version");
        CommandError::refused(done)
    } else {
        CommandError::refused(format!(
            "no host of run {run} ended {ended}: {}",
            told_counts(&counts)
        ))
        .hint(format!("@{run}/{} means all that is left", Ended::Unfinished))
    })
}

/// `3 deployed, 1 unreachable`, in the words that a filter takes.
fn told_counts(counts: &Counts) -> String {
    let parts = [
        (counts.deployed, Ended::Deployed),
        (counts.unchanged, Ended::Unchanged),
        (counts.done, Ended::Done),
        (counts.reverted, Ended::Reverted),
        (counts.failed, Ended::Failed),
        (counts.unreachable, Ended::Unreachable),
        (counts.unknown + counts.open, Ended::Unknown),
        (counts.not_attempted, Ended::NotAttempted),
    ];
    let told = parts.iter().filter(|(number, _)| *number > 0);
    let told: Vec<String> = told.map(|(number, ended)| format!("{number} {ended}")).collect();
    told.join(", ")
}
