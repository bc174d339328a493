//! `unlock`: remove a lock, and claims, that nobody needs any more.

use std::collections::BTreeSet;

use clap::Args;
use clap_complete::ArgValueCompleter;
use deploy_core::{
    backend::{BackendError, Holder, Lock},
    model::Target,
    plan::{Noun, OnAbort},
    record::Exit,
};

use super::selection::selected;
use crate::{
    ask::Deployer,
    completion,
    context::{Context, Project},
    display,
    error::{CommandError, Kind},
    report::{Screen, escape_json},
    state::{Freed, describe_holder},
    wire::{self, FoundClaim},
};

/// Remove the lock, and what dead runs hold on the hosts
///
/// The lock of a run that lives is never removed: stop that run instead. Claims of runs that are
/// proven dead are removed; for others, which may live on another machine, you are asked. With
/// --hosts the lock stays: it is for all hosts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploy-cli unlock
  deploy-cli unlock --lock-only")]
pub struct UnlockArgs {
    /// Only claims on these hosts, not the lock: globs, h[01-20], !not, @FILE, @RUN/failed, separated by commas
    #[arg(long, value_name = "HOSTS", add = ArgValueCompleter::new(completion::hosts))]
    hosts: Vec<String>,
    /// Remove the lock only, and do not look at the hosts
    #[arg(long, conflicts_with = "hosts")]
    lock_only: bool,
    /// The runs that still hold hosts are dead for certain: do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Frees the lock and the claims.
pub(crate) async fn cmd_unlock(context: &Context, args: &UnlockArgs) -> Result<Exit, CommandError> {
    let project = context.project()?;
    let groups = selected(context, &project, &args.hosts, wire::groups(&project.loaded)?)?;
    let mut tally = Tally { noun: project.noun(), ..Tally::default() };
    if args.hosts.is_empty() {
        tally.lock = free(context, &project).await?;
    } else {
        leave(context, &project).await?;
    }
    if args.lock_only {
        return tally.exit(context);
    }
    let targets: BTreeSet<Target> = groups.into_iter().flat_map(|group| group.targets).collect();
    let (run, wired) = (context.run_id(), wire::pipeline(context, &project, false)?);
    let deployer = Deployer {
        ui: context.ui.clone(),
        screen: Screen::new(),
        can_ask: context.ui.can_ask(),
        yes: args.yes,
        on_abort: OnAbort::Leave,
        noun: project.noun(),
    };
    for (target, found) in wired.claims(targets, &run, &project.who).await {
        match found {
            Ok(Some(found)) if may_remove(&deployer, &target, &found).await => {
                let removed = wired.remove_claim(&target, &found, &run, &project.who).await;
                tally.removed(context, &target, &found, removed);
            }
            Ok(Some(found)) => {
                tell(context, &format!("{target}: left the claim of {}", told(&found)));
                tally.note(&target, &found, false);
                tally.left += 1;
            }
            Ok(None) => {}
            Err(error) => tally.failed(context, error),
        }
    }
    wired.close().await;
    tally.exit(context)
}

/// Tells a person; a program gets one value at the end.
fn tell(context: &Context, line: &str) {
    if !context.global.json {
        context.ui.prose(line);
    }
}

/// Removes the lock, unless its run lives. Answers with who held it.
async fn free(context: &Context, project: &Project) -> Result<Option<Holder>, CommandError> {
    match wire::lock(project, context.run_id())?.free().await? {
        Freed::Alive(holder) => Err(at_work(&holder)),
        Freed::Removed(holder) => {
            tell(context, &format!("removed the lock of {}", describe_holder(&holder)));
            Ok(Some(holder))
        }
        Freed::Nobody => {
            tell(context, &format!("{} was not locked", project.name()));
            Ok(None)
        }
    }
}

/// The lock is for all hosts, so it stays where only some are meant. The claims of a run that
/// lives are no more removed than its lock.
async fn leave(context: &Context, project: &Project) -> Result<(), CommandError> {
    match wire::lock(project, context.run_id())?.holder().await? {
        Some(holder) if holder.run.is_some() => Err(at_work(&holder)),
        Some(holder) => {
            let left = format!("left the lock of {}", describe_holder(&holder));
            tell(context, &format!("{left}; without --hosts it is removed"));
            Ok(())
        }
        None => Ok(()),
    }
}

fn at_work(holder: &Holder) -> CommandError {
    CommandError::locked(holder).hint("it is at work: wait for it, or interrupt it where it runs")
}

#[derive(Debug, Default)]
struct Tally {
    /// The lock that was removed.
    lock: Option<Holder>,
    /// Each claim that was found, for a program.
    claims: Vec<serde_json::Value>,
    left: usize,
    failed: usize,
    noun: Noun,
}

impl Tally {
    fn removed(
        &mut self,
        context: &Context,
        target: &Target,
        found: &FoundClaim,
        removed: Result<(), BackendError>,
    ) {
        match removed {
            Ok(()) => {
                tell(context, &format!("{target}: removed the claim of {}", told(found)));
                self.note(target, found, true);
            }
            Err(error) => {
                self.note(target, found, false);
                self.failed(context, error);
            }
        }
    }

    fn failed(&mut self, context: &Context, error: BackendError) {
        CommandError::from(error).print(&context.ui);
        self.failed += 1;
    }

    fn note(&mut self, target: &Target, found: &FoundClaim, removed: bool) {
        let (claim, dead) = (&found.claim, found.is_dead());
        self.claims.push(serde_json::json!({
            "target": target, "claim": claim, "dead": dead, "removed": removed,
        }));
    }

    fn exit(self, context: &Context) -> Result<Exit, CommandError> {
        if context.global.json {
            let line = serde_json::json!({
                "lock_removed": self.lock, "claims": self.claims, "not_asked": self.failed,
            });
            context.ui.line(&escape_json(&line.to_string()));
        }
        if self.left > 0 {
            let told = format!("{} claims are left", self.left);
            return Err(CommandError::new(Kind::Locked, told)
                .hint("--yes removes them; be certain that those runs are dead"));
        }
        if self.failed > 0 {
            let told = format!("{} could not be asked for claims", self.noun.count(self.failed));
            return Err(CommandError::new(Kind::Incomplete, told));
        }
        Ok(Exit::Complete)
    }
}

fn told(found: &FoundClaim) -> String {
    match &found.claim {
        Some(claim) => format!(
            "run {} of {} since {}",
            claim.run,
            display::line(&claim.who),
            crate::time::moment(claim.since)
        ),
        None => "a run that cannot be read".to_owned(),
    }
}

/// A run that is proven dead needs no claim; for any other a person must say so.
async fn may_remove(deployer: &Deployer, target: &Target, found: &FoundClaim) -> bool {
    if found.is_dead() || deployer.yes {
        return true;
    }
    let question = format!("{target}: remove the claim of {}?", told(found));
    deployer.can_ask && deployer.confirm(&question, false).await == Some(true)
}
