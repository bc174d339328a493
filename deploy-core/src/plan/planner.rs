//! From what is wanted and what the targets answered to a [`Plan`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Absent, Budget, Change, Direction, Goal, Lost, Plan, PlannedCheck, PlannedGroup, PlannedStep,
    Purpose, Stage, Strategy, Transition, Work,
    behind::{has_died, is_behind, is_in_order},
    operation::{command, operation},
};
use crate::{
    backend::{ErrorKind, Live, Standing},
    model::{App, Environment, Group, GroupName, Release, Target, Version},
    record::{Failure, Served},
};

/// What is wanted. `groups` are those left after every filter.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The app.
    pub app: App,
    /// The environment, where the configuration has any.
    pub environment: Option<Environment>,
    /// What is to become of the targets.
    pub goal: Goal,
    /// The groups, in order.
    pub groups: Vec<Group>,
    /// How the run behaves.
    pub strategy: Strategy,
    /// Treats no target as unchanged (rule 3).
    pub redeploy: bool,
    /// What is restarted, in words.
    pub restarts: Vec<String>,
    /// What is checked.
    pub checks: Vec<PlannedCheck>,
    /// The app's own steps.
    pub steps: Vec<PlannedStep>,
}

impl PlanRequest {
    /// Wants `goal` for `groups`, with the default strategy.
    pub fn new(app: App, goal: Goal, groups: Vec<Group>) -> Self {
        Self {
            app,
            environment: None,
            goal,
            groups,
            strategy: Strategy::default(),
            redeploy: false,
            restarts: Vec::new(),
            checks: Vec::new(),
            steps: Vec::new(),
        }
    }
}

/// What the targets answered when they were asked what is live.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// An answer, or why there was none, for each target.
    pub answers: BTreeMap<Target, Result<Live, Failure>>,
}

/// Why no plan could be made. Nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Rule 4.
    #[error("group {0} has no targets")]
    EmptyGroup(GroupName),
    /// There is nothing to do it to.
    #[error("no targets are selected")]
    NoTargets,
    /// Two groups share a name.
    #[error("group {0} is defined twice")]
    GroupTwice(GroupName),
}

impl Plan {
    /// Makes the plan for `request` from what the targets answered.
    ///
    /// `release` says what a version is on a target ([`Transport::release`]); `transitions` is left
    /// empty, for the caller to fill in from the source.
    ///
    /// [`Transport::release`]: crate::backend::Transport::release
    ///
    /// # Errors
    /// [`PlanError`] for what rule 4 refuses. A target that did not answer, lacks something or is
    /// claimed by another run is not an error: it is [lost](PlannedGroup::lost), and counts in its
    /// budget.
    pub fn make(
        request: &PlanRequest,
        survey: &Survey,
        release: impl Fn(&Group, &Target, &Version) -> Result<Release, Failure>,
    ) -> Result<Self, PlanError> {
        let mut groups = first_group_wins(&request.groups)?;
        let back = request.goal.is_back();
        let absent = match &request.goal {
            Goal::CatchUp(version) => keep_behind(&mut groups, survey, version),
            _ => Vec::new(),
        };
        let catches_up = matches!(request.goal, Goal::CatchUp(_));
        let by_place = groups.len() > 1 && !groups.iter().any(|group| group.canary) && !catches_up;
        let mut planned = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let canary = !back && (group.canary || (by_place && index == 0));
            planned.push(plan_group(request, survey, group, canary, &release));
        }
        let total: usize = groups.iter().map(|group| group.targets.len()).sum();
        let mut plan = Self {
            app: request.app.clone(),
            environment: request.environment.clone(),
            version: request.goal.version().cloned(),
            purpose: request.goal.purpose(),
            direction: if back { Direction::Back } else { Direction::Forward },
            groups: planned,
            absent,
            allowance: request
                .strategy
                .max_failures
                .filter(|_| !back)
                .map(|budget| budget.resolve(total)),
            strategy: request.strategy.clone(),
            transitions: Vec::<Transition>::new(),
            diffs: Vec::new(),
            restarts: request.restarts.clone(),
            checks: request.checks.clone(),
            steps: if back { Vec::new() } else { request.steps.clone() },
            noun: super::Noun::default(),
            apart: Vec::new(),
            warnings: Vec::new(),
            details: Vec::new(),
        };
        plan.warnings = warnings(&plan, survey);
        plan.details = details(&plan, survey);
        if let Goal::CatchUp(version) = &request.goal {
            plan.warnings.extend(laid_out_otherwise(&request.groups, survey, version, &release));
        }
        Ok(plan)
    }
}

/// A host in several groups belongs to the first; no group may be empty to begin with (rule 4).
fn first_group_wins(groups: &[Group]) -> Result<Vec<Group>, PlanError> {
    let mut names = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for group in groups {
        if !names.insert(&group.name) {
            return Err(PlanError::GroupTwice(group.name.clone()));
        }
        if group.targets.is_empty() {
            return Err(PlanError::EmptyGroup(group.name.clone()));
        }
        let mut group = group.clone();
        group.targets.retain(|target| seen.insert(target.clone()));
        if !group.targets.is_empty() {
            kept.push(group);
        }
    }
    if kept.is_empty() { Err(PlanError::NoTargets) } else { Ok(kept) }
}

/// Leaves those that are behind `version`. What could not be asked is taken out and returned.
fn keep_behind(groups: &mut Vec<Group>, survey: &Survey, version: &Version) -> Vec<Absent> {
    let mut absent = Vec::new();
    for group in &mut *groups {
        let name = group.name.clone();
        group.targets.retain(|target| match survey.answers.get(target) {
            Some(Ok(live)) => is_behind(live, version),
            Some(Err(failure)) => {
                let (target, failure) = (target.clone(), failure.clone());
                let lost = Lost { target, failure, served: Served::NeverAsked };
                absent.push(Absent { group: name.clone(), lost });
                false
            }
            None => true,
        });
    }
    groups.retain(|group| !group.targets.is_empty());
    absent
}

fn plan_group(
    request: &PlanRequest,
    survey: &Survey,
    group: &Group,
    canary: bool,
    release: impl Fn(&Group, &Target, &Version) -> Result<Release, Failure>,
) -> PlannedGroup {
    let mut changes = Vec::new();
    let mut lost = Vec::new();
    for target in &group.targets {
        match plan_target(request, survey, group, target, &release) {
            Ok(change) => changes.push(change),
            Err(failure) => {
                let answer = survey.answers.get(target).and_then(|answer| answer.as_ref().ok());
                let served =
                    answer.map_or(Served::NeverAsked, |live| live.release().cloned().into());
                lost.push(Lost { target: target.clone(), failure, served });
            }
        }
    }
    let planned = group.targets.len();
    let back = request.goal.is_back();
    let size = if back { planned } else { group.batch.resolve(planned) };
    let allowance = match (back, canary) {
        (true, _) => super::Allowance { failures: planned, of: planned },
        (false, true) => Budget::default().resolve(planned),
        (false, false) => group.max_failures.resolve(planned),
    };
    PlannedGroup {
        name: group.name.clone(),
        canary,
        batches: changes.chunks(size.max(1)).map(<[Change]>::to_vec).collect(),
        lost,
        allowance,
        gate: request.goal.gate(group),
    }
}

fn plan_target(
    request: &PlanRequest,
    survey: &Survey,
    group: &Group,
    target: &Target,
    release: impl Fn(&Group, &Target, &Version) -> Result<Release, Failure>,
) -> Result<Change, Failure> {
    if request.goal.purpose().is_steps() {
        return Ok(command(target));
    }
    let live = match survey.answers.get(target) {
        Some(Ok(live)) => live,
        Some(Err(failure)) => return Err(failure.clone()),
        None => {
            return Err(preflight(ErrorKind::Broken, target, "it was never asked", None));
        }
    };
    if let Some(failure) = claimed(target, live) {
        return Err(failure);
    }
    if let Goal::Operate(action) = request.goal {
        return Ok(operation(action, target, live));
    }
    if !live.lacks.is_empty() {
        return Err(preflight(ErrorKind::Rejected, target, &live.lacks.join("; "), None));
    }
    let from = live.release().cloned();
    let good_now = from.as_ref().is_some_and(|from| live.is_good(from));
    let to = match &request.goal {
        Goal::Deploy(version) | Goal::CatchUp(version) => release(group, target, version)?,
        Goal::RollBackTo(version) => live
            .good
            .iter()
            .find(|good| good.present && good.release.version.id == version.id)
            .map_or_else(|| release(group, target, version), |good| Ok(good.release.clone()))?,
        // The other goals are planned above.
        Goal::RollBack | Goal::Operate(_) | Goal::Run | Goal::Adopt => {
            where_a_rollback_goes(live).cloned().ok_or_else(|| {
                let why = "no good version to go back to";
                preflight(ErrorKind::NotFound, target, why, Some("deploy a version to it instead"))
            })?
        }
    };
    let back = match &from {
        Some(from) if good_now => Some(from.clone()),
        _ => live.last_good_not_live().cloned(),
    };
    // A run that died or failed may have gone back here without the restart that belongs to it.
    let settled = is_in_order(live);
    let work = match &from {
        Some(from) if *from == to && settled && !request.redeploy => Work::Nothing,
        Some(from) if *from == to => Work::Confirm,
        _ => Work::Move,
    };
    Ok(Change { target: target.clone(), from, to: Some(to), back, work })
}

/// The last good release that is not live. But a way back that died after its switch is finished,
/// not followed by another: the same command is the resume (rule 21).
fn where_a_rollback_goes(live: &Live) -> Option<&Release> {
    let unfinished = live
        .release()
        .filter(|release| live.is_good(release) && has_died(live) && !live.is_settled());
    unfinished.or_else(|| live.last_good_not_live())
}

/// The failure that another run holds the target, if one does.
fn claimed(target: &Target, live: &Live) -> Option<Failure> {
    let claim = live.claim.as_ref().filter(|claim| claim.standing == Standing::Foreign)?;
    let why = format!("claimed by run {} of {} since {:.0}", claim.run, claim.who, claim.since);
    let hint = "wait for that run, or, when it is dead for certain, `deploy-cli unlock`";
    Some(preflight(ErrorKind::Claimed, target, &why, Some(hint)))
}

fn preflight(kind: ErrorKind, target: &Target, cause: &str, hint: Option<&str>) -> Failure {
    Failure {
        stage: Stage::Preflight,
        kind,
        attempted: format!("prepare {target}"),
        cause: cause.to_owned(),
        hint: hint.map(str::to_owned),
        evidence: None,
    }
}

/// Where targets serve the version as an older configuration laid it out, those that catch up get
/// it in another way.
fn laid_out_otherwise(
    groups: &[Group],
    survey: &Survey,
    version: &Version,
    release: impl Fn(&Group, &Target, &Version) -> Result<Release, Failure>,
) -> Option<String> {
    let mut otherwise = BTreeSet::new();
    for group in groups {
        for target in &group.targets {
            let Some(Ok(live)) = survey.answers.get(target) else { continue };
            let same = |live: &Release| release(group, target, version).is_ok_and(|r| r == *live);
            let served = live.release().filter(|_| !is_behind(live, version));
            otherwise.extend(served.filter(|served| !same(served)).map(|_| target.as_str()));
        }
    }
    let first = otherwise.first()?;
    let more = match otherwise.len() {
        1 => String::new(),
        number => format!(" and {} more", number - 1),
    };
    Some(format!(
        "{version} is laid out otherwise on {first}{more}: the configuration has changed since it \
         was deployed there"
    ))
}

fn warnings(plan: &Plan, survey: &Survey) -> Vec<String> {
    let mut warnings = Vec::new();
    for group in &plan.groups {
        let largest = group.batches.iter().map(Vec::len).max().unwrap_or(0);
        let allowed = group.allowance.failures;
        if plan.direction == Direction::Forward && largest > 1 && largest > allowed {
            warnings.push(format!(
                "group {}: a batch of {largest} can fail whole before the budget of {allowed} stops it",
                group.name
            ));
        }
    }
    match plan.purpose {
        Purpose::Version if plan.direction == Direction::Forward => {
            let first = |change: &Change| change.work != Work::Nothing && change.is_first_deploy();
            warnings
                .extend(those(plan, first).map(|on| format!("no way back: first deploy on {on}")));
        }
        Purpose::Operate(_) => {
            let idle = |change: &Change| change.work == Work::Nothing;
            warnings.extend(those(plan, idle).map(|on| format!("serve nothing, left alone: {on}")));
            let lacks =
                survey.answers.iter().filter_map(|(at, answer)| Some((at, answer.as_ref().ok()?)));
            let told = lacks
                .flat_map(|(at, live)| live.lacks.iter().map(move |lack| format!("{at}: {lack}")));
            warnings.extend(told);
        }
        Purpose::Version | Purpose::Run | Purpose::Adopt => {}
    }
    let answers = survey.answers.iter();
    let noted = answers.flat_map(|(at, answer)| answer.iter().map(move |live| (at, &live.notes)));
    warnings.extend(told(noted));
    warnings
}

/// What the targets that will be moved say of themselves.
fn details(plan: &Plan, survey: &Survey) -> Vec<String> {
    let moved = plan.changes().filter(|(_, change)| change.work == Work::Move);
    told(moved.filter_map(|(_, change)| {
        let answer = survey.answers.get(&change.target)?.as_ref().ok()?;
        Some((&change.target, &answer.details))
    }))
}

/// What targets say, those that say the same together.
fn told<'a>(said: impl Iterator<Item = (&'a Target, &'a Vec<String>)>) -> Vec<String> {
    let mut told: BTreeMap<&String, Vec<&str>> = BTreeMap::new();
    for (target, words) in said {
        words.iter().for_each(|word| told.entry(word).or_default().push(target.as_str()));
    }
    let named = told.into_iter().filter_map(|(words, on)| Some((words, names(&on)?)));
    named.map(|(words, on)| format!("{on}: {words}")).collect()
}

/// The targets whose change is such: the first ten by name, and how many there are besides.
fn those(plan: &Plan, such: impl Fn(&Change) -> bool) -> Option<String> {
    let targets = plan.changes().filter(|(_, change)| such(change));
    let targets: Vec<&str> = targets.map(|(_, change)| change.target.as_str()).collect();
    names(&targets)
}

fn names(targets: &[&str]) -> Option<String> {
    let named = &targets[..targets.len().min(10)];
    let more = targets.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!targets.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}
