//! What a run needs: how each group's targets are acted upon, and the clock.

mod operation;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Refusal,
    attempt::Caller,
    begin::{Begin, Run},
    survey::{ask_all, targets_of},
};
use crate::{
    backend::{
        Cancel, Changes, Checker, Discard, Operator, OutputSink, Preview, Relation, Restarter,
        Step, Transport, VersionSource,
    },
    model::{Group, GroupName, Target, Version, VersionId},
    plan::{
        CheckPolicy, Direction, Goal, Plan, PlanRequest, Purpose, Retry, SavedPlan, Stage,
        StepPolicy, Survey, Timeouts, Transition,
    },
    record::{Clock, End, Failure, RunId, Served, Summary, SystemClock},
};

/// How the targets of a group are acted upon.
#[derive(Debug, Clone)]
pub struct Backend {
    /// How versions come onto them.
    pub transport: Arc<dyn Transport>,
    /// How their services are made to use what was promoted, in order.
    pub restarters: Vec<Arc<dyn Restarter>>,
    /// What is asked about their health, in order.
    pub checks: Vec<OwnedCheck>,
    /// The app's own steps, in order.
    pub steps: Vec<OwnedStep>,
    /// The services that can be operated without another version, in order.
    pub operators: Vec<Arc<dyn Operator>>,
    /// Who knows what changes on them beside the files of the version itself. Without it, plans have
    /// no diffs of them.
    pub preview: Option<Arc<dyn Preview>>,
}

impl Backend {
    /// A backend that only brings versions onto targets: nothing is restarted nor checked.
    pub fn new(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Arc::new(transport),
            restarters: Vec::new(),
            checks: Vec::new(),
            steps: Vec::new(),
            operators: Vec::new(),
            preview: None,
        }
    }

    /// Restarts one more service, after those before.
    #[must_use]
    pub fn with_restarter(mut self, restarter: impl Restarter + 'static) -> Self {
        self.restarters.push(Arc::new(restarter));
        self
    }

    /// Asks one more check, after those before.
    #[must_use]
    pub fn with_check(mut self, policy: CheckPolicy, checker: impl Checker + 'static) -> Self {
        self.checks.push(OwnedCheck { policy, checker: Arc::new(checker) });
        self
    }

    /// Runs one more step of the app's own, after those before.
    #[must_use]
    pub fn with_step(mut self, policy: StepPolicy, step: impl Step + 'static) -> Self {
        self.steps.push(OwnedStep { policy, step: Arc::new(step) });
        self
    }

    /// Says who knows what changes on the targets.
    #[must_use]
    pub fn with_preview(mut self, preview: impl Preview + 'static) -> Self {
        self.preview = Some(Arc::new(preview));
        self
    }
}

/// A checker, and where and how often it is asked.
#[derive(Debug, Clone)]
pub struct OwnedCheck {
    /// Where and how often.
    pub policy: CheckPolicy,
    /// What is asked.
    pub checker: Arc<dyn Checker>,
}

/// A step of the app's own, and where and when it runs.
#[derive(Debug, Clone)]
pub struct OwnedStep {
    /// Where and when.
    pub policy: StepPolicy,
    /// What it does.
    pub step: Arc<dyn Step>,
}

/// What a deployer allowed beyond the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    /// To go to a version that is older than what is live, or that lacks some of it (rule 8).
    pub downgrade: bool,
}

/// What a run needs. Cheap to clone; one value serves many runs.
#[derive(Debug, Clone)]
pub struct Pipeline {
    default: Arc<Backend>,
    groups: BTreeMap<GroupName, Arc<Backend>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) output: Arc<dyn OutputSink>,
    source: Option<Arc<dyn VersionSource>>,
    last_known: BTreeMap<Target, Served>,
}

impl Pipeline {
    /// A pipeline with one backend for all groups, the machine's clock, and no place for output.
    pub fn new(backend: Backend) -> Self {
        Self {
            default: Arc::new(backend),
            groups: BTreeMap::new(),
            clock: Arc::new(SystemClock),
            output: Arc::new(Discard),
            source: None,
            last_known: BTreeMap::new(),
        }
    }

    /// Gives one group a backend of its own: hosts and clusters in one run.
    #[must_use]
    pub fn with_group(mut self, group: GroupName, backend: Backend) -> Self {
        self.groups.insert(group, Arc::new(backend));
        self
    }

    /// Replaces the clock that events are timed with.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Says where the output of remote steps goes.
    #[must_use]
    pub fn with_output(mut self, output: Arc<dyn OutputSink>) -> Self {
        self.output = output;
        self
    }

    /// Says who knows what lies between two versions. Without it, plans have no transitions and no
    /// downgrade is recognised.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn VersionSource>) -> Self {
        self.source = Some(source);
        self
    }

    /// Says what targets served when somebody last knew, such as an earlier run
    /// ([`Summary::served`](crate::record::Summary::served)). Only told of targets that cannot be
    /// reached; nothing is ever decided by it.
    #[must_use]
    pub fn with_last_known(mut self, served: BTreeMap<Target, Served>) -> Self {
        self.last_known = served;
        self
    }

    pub(super) fn backend(&self, group: &GroupName) -> &Arc<Backend> {
        self.groups.get(group).unwrap_or(&self.default)
    }

    /// Asks all targets of `groups` at once what is live. Changes nothing and emits no events.
    /// Cancel-safe.
    pub async fn survey(
        &self,
        groups: &[Group],
        timeouts: &Timeouts,
        retry: &Retry,
        as_run: &RunId,
        who: &str,
        cancel: &Cancel,
    ) -> Survey {
        let caller = self.caller(as_run, who, *retry);
        let targets = targets_of(self, groups);
        ask_all(targets, &caller, timeouts.connect, cancel, |_| {}).await
    }

    /// Asks all targets, and makes the plan that a run would make now. Changes nothing and emits no
    /// events. Cancel-safe.
    ///
    /// # Errors
    /// What a run would be refused for.
    pub async fn plan(
        &self,
        request: &PlanRequest,
        allow: Allowances,
        as_run: &RunId,
        who: &str,
        cancel: &Cancel,
    ) -> Result<Plan, Refusal> {
        Ok(self.plan_to_save(request, allow, as_run, who, cancel).await?.plan)
    }

    /// The same, with what the plan was made from: to be kept, reviewed, and run later by
    /// [`Run::plan_as_saved`] if nothing has moved by then.
    ///
    /// # Errors
    /// What a run would be refused for.
    pub async fn plan_to_save(
        &self,
        request: &PlanRequest,
        allow: Allowances,
        as_run: &RunId,
        who: &str,
        cancel: &Cancel,
    ) -> Result<SavedPlan, Refusal> {
        self.refuse_impossible(request)?;
        let strategy = &request.strategy;
        let survey = match request.goal {
            Goal::Run | Goal::Adopt => Survey::default(),
            _ => {
                let (timeouts, retry) = (&strategy.timeouts, &strategy.retry);
                self.survey(&request.groups, timeouts, retry, as_run, who, cancel).await
            }
        };
        if cancel.is_cancelled() {
            return Err(Refusal::interrupted());
        }
        let caller = self.caller(as_run, who, strategy.retry);
        let mut plan = self.plan_from(request, &survey, &caller, cancel).await?;
        if cancel.is_cancelled() {
            return Err(Refusal::interrupted());
        }
        admit(&mut plan, allow)?;
        Ok(SavedPlan::new(plan, &survey))
    }

    /// Refuses, before anybody is asked, what the backends cannot do.
    pub(super) fn refuse_impossible(&self, request: &PlanRequest) -> Result<(), Refusal> {
        let Goal::Operate(action) = request.goal else { return Ok(()) };
        request.groups.iter().try_for_each(|group| {
            operation::refuse_impossible(action, group, self.backend(&group.name))
        })
    }

    /// Begins a run under a lock that the caller holds. Emits
    /// [`RunStarted`](crate::record::EventKind::RunStarted).
    pub fn begin(&self, begin: Begin) -> Run {
        Run::new(self.clone(), begin)
    }

    /// Runs what `request` wants from the first question to the summary: [`begin`](Self::begin),
    /// [`Run::plan`], [`Run::execute`]. Who wants to show the plan first calls these.
    ///
    /// A refusal is a summary too, with [`Exit::Refused`](crate::record::Exit::Refused) and its
    /// reason. Not cancel-safe: a run is stopped by the [`Stop`](super::Stop) in `begin`.
    pub async fn run(&self, request: &PlanRequest, begin: Begin) -> Summary {
        let mut run = self.begin(begin);
        match run.plan(request, Allowances::default()).await {
            Ok(plan) => run.execute(plan).await,
            Err(refusal) => run.refuse(refusal).await,
        }
    }

    pub(super) fn caller(&self, run: &RunId, who: &str, retry: Retry) -> Caller {
        let output = Arc::clone(&self.output);
        Caller { run: run.clone(), who: who.to_owned(), retry, output }
    }

    /// Makes the plan from what the targets answered, with what arrives, in words and numbers.
    pub(super) async fn plan_from(
        &self,
        request: &PlanRequest,
        survey: &Survey,
        caller: &Caller,
        kill: &Cancel,
    ) -> Result<Plan, Refusal> {
        let release = |group: &Group, target: &Target, version: &Version| {
            let transport = &self.backend(&group.name).transport;
            transport
                .release(target, version)
                .map_err(|error| Failure::from_error(Stage::Preflight, target, &error))
        };
        let mut plan = Plan::make(request, survey, release)?;
        if let Purpose::Operate(_) = plan.purpose {
            operation::refuse_idle(&plan)?;
        }
        self.fill_in_last_known(&mut plan);
        words::fill_in(&mut plan, |group| self.backend(group));
        self.fill_in_transitions(&mut plan).await;
        super::preview::fill_in(&mut plan, self, caller, kill).await;
        Ok(plan)
    }

    /// A target that could not be reached is last known to serve what it did then.
    fn fill_in_last_known(&self, plan: &mut Plan) {
        let lost = plan.groups.iter_mut().flat_map(|group| &mut group.lost);
        let absent = plan.absent.iter_mut().map(|absent| &mut absent.lost);
        for lost in lost.chain(absent) {
            let silent = matches!(lost.end(), End::Unreachable { served: Served::NeverAsked, .. });
            if let Some(served) = self.last_known.get(&lost.target).filter(|_| silent) {
                lost.served = served.clone();
            }
        }
    }

    /// Asks the source once per pair of versions what lies between.
    async fn fill_in_transitions(&self, plan: &mut Plan) {
        let Some(source) = &self.source else { return };
        let mut pairs: BTreeMap<(VersionId, VersionId), (Version, Version)> = BTreeMap::new();
        for (_, change) in plan.changes() {
            let (Some(from), Some(to)) = (&change.from, &change.to) else { continue };
            if from.version.id != to.version.id {
                let ids = (from.version.id.clone(), to.version.id.clone());
                pairs.entry(ids).or_insert_with(|| (from.version.clone(), to.version.clone()));
            }
        }
        for ((from, to), (old, new)) in pairs {
            let changes = match source.changes(&old, &new).await {
                Ok(changes) => changes,
                Err(error) => {
                    let what = format!("{} to {}", from.short(), to.short());
                    plan.warnings
                        .push(format!("what lies from {what} is not known: {}", error.cause()));
                    Changes { relation: Relation::Unknown, commits: Vec::new() }
                }
            };
            plan.transitions.push(Transition { from, to, changes });
        }
    }
}

/// Refuses what is not allowed (rule 8).
pub(super) fn admit(plan: &mut Plan, allow: Allowances) -> Result<(), Refusal> {
    if plan.direction == Direction::Forward && !allow.downgrade {
        refuse_downgrade(plan)?;
        warn_of_strangers(plan);
    }
    if plan.direction == Direction::Back {
        warn_of_newer(plan);
    }
    Ok(())
}

/// Says where the way back leads to a newer version, as it does after another rollback: the last good
/// version that is not live is then the one that was taken back (rule 1).
fn warn_of_newer(plan: &mut Plan) {
    let targets = related(plan, &[Relation::Forward]);
    if !targets.is_empty() {
        let targets = named(&targets);
        plan.warnings.push(format!(
            "on {targets} this leads to a newer version than the live one, maybe one that was taken \
             back; name a version to go to another"
        ));
    }
}

/// The targets that move between versions of which the source says one of `relations`.
fn related(plan: &Plan, relations: &[Relation]) -> Vec<Target> {
    let pairs: BTreeSet<(&VersionId, &VersionId)> = plan
        .transitions
        .iter()
        .filter(|transition| relations.contains(&transition.changes.relation))
        .map(|transition| (&transition.from, &transition.to))
        .collect();
    let moves = |change: &crate::plan::Change| {
        let (from, to) = (change.from.as_ref()?, change.to.as_ref()?);
        pairs.contains(&(&from.version.id, &to.version.id)).then(|| change.target.clone())
    };
    plan.changes().filter_map(|(_, change)| moves(change)).collect()
}

/// The first ten targets by name, and how many there are besides.
pub(super) fn named(targets: &[Target]) -> String {
    let named: Vec<&str> = targets.iter().take(10).map(Target::as_str).collect();
    let more = targets.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

/// Says where nobody can tell whether targets would be taken backwards (rule 8).
fn warn_of_strangers(plan: &mut Plan) {
    let targets = related(plan, &[Relation::Unknown]);
    if !targets.is_empty() {
        let targets = named(&targets);
        plan.warnings.push(format!(
            "what is live on {targets} is not known here: it may be newer than the version"
        ));
    }
}

/// Refuses a plan that would take targets backwards (rule 8), and names them.
fn refuse_downgrade(plan: &Plan) -> Result<(), Refusal> {
    let targets = related(plan, &[Relation::Backward, Relation::Diverged]);
    if targets.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "what is live on {} is newer than the version, or has what the version lacks",
        named(&targets)
    );
    let hint = "`--allow-downgrade` deploys it all the same; `rollback` goes to the last good";
    Err(Refusal { targets, ..Refusal::new(reason).with_hint(hint) })
}
