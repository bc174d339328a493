//! The workers of a run, and the orders that reach them all.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    backend::{Cancel, ErrorKind},
    model::{Gate, Target},
    plan::{Direction, Plan, Stage, StepMoment, StepPlace, Work},
    record::{End, Failure, RunInfo, Served},
    run::{
        Job, Mishap, Pipeline,
        attempt::guarded,
        worker::{Memory, Post, Report, Site},
    },
};

pub(super) struct Crew {
    site: Arc<Site>,
    posts: Vec<Arc<Post>>,
    groups: Vec<usize>,
    /// The gate of each group.
    gates: Vec<Gate>,
    /// The group whose gate is at work.
    soaking: usize,
    tasks: JoinSet<()>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
}

impl Crew {
    pub(super) fn new(pipeline: &Pipeline, info: &RunInfo, plan: &Plan) -> Self {
        let (tx, reports) = mpsc::unbounded_channel();
        let strategy = &plan.strategy;
        let site = Arc::new(Site {
            caller: pipeline.caller(&info.run, &info.who, strategy.retry),
            timeouts: strategy.timeouts,
            reports: tx,
            halt: Cancel::new(),
            kill: Cancel::new(),
            soak_cut: Mutex::default(),
            once_taken: Mutex::default(),
            ill_checks: Mutex::default(),
            back: plan.direction == Direction::Back,
        });
        let mut posts = Vec::new();
        let mut groups = Vec::new();
        for (number, group) in plan.groups.iter().enumerate() {
            let lost = group.lost.iter().map(|lost| crate::plan::Change {
                target: lost.target.clone(),
                from: None,
                to: None,
                back: None,
                work: Work::Nothing,
            });
            for change in group.batches.iter().flatten().cloned().chain(lost) {
                let serves = Some(change.from.clone());
                posts.push(Arc::new(Post {
                    site: Arc::clone(&site),
                    at: posts.len(),
                    group: group.name.clone(),
                    change,
                    backend: Arc::clone(pipeline.backend(&group.name)),
                    memory: Mutex::new(Memory::of(serves)),
                }));
                groups.push(number);
            }
        }
        let gates = plan.groups.iter().map(|group| group.gate.clone()).collect();
        Self { site, posts, groups, gates, soaking: 0, tasks: JoinSet::new(), reports }
    }

    pub(super) fn len(&self) -> usize {
        self.posts.len()
    }

    pub(super) fn target(&self, at: usize) -> &Target {
        &self.posts[at].change.target
    }

    pub(super) fn group_of(&self, at: usize) -> usize {
        self.groups[at]
    }

    /// Per group, the steps that run once for all before anything is promoted.
    pub(super) fn once_steps(&self, plan: &Plan) -> Vec<Vec<String>> {
        let mut once = vec![Vec::new(); plan.groups.len()];
        if plan.direction == Direction::Back {
            return once;
        }
        let mut seen = BTreeSet::new();
        for (post, number) in self.posts.iter().zip(&self.groups) {
            if !seen.insert(*number) {
                continue;
            }
            for owned in &post.backend.steps {
                let policy = &owned.policy;
                let here = policy.group.as_ref().is_none_or(|only| *only == post.group);
                let early = policy.moment == StepMoment::BeforePromote;
                if here && early && policy.place == StepPlace::Once {
                    once[*number].push(policy.name.clone());
                }
            }
        }
        once
    }

    /// Sends a worker to a target.
    pub(super) fn send(&mut self, at: usize, job: Job, good: bool, once: Vec<String>) {
        let post = Arc::clone(&self.posts[at]);
        let gate = self.gates.get(self.soaking).cloned().unwrap_or_default();
        self.tasks.spawn(async move {
            let work = async {
                match job {
                    Job::Fetch => post.fetch().await,
                    Job::Lead => post.lead(&once).await,
                    Job::Handle => post.handle().await,
                    Job::Soak => post.soak(&gate).await,
                    Job::Revert => post.revert().await,
                    Job::Close => post.close(good).await,
                }
            };
            let result = match guarded(work).await {
                Ok(result) => result.map_err(Box::new),
                Err(panic) => Err(Box::new(broken(&post, job, &panic.0))),
            };
            // The owner outlives its workers, unless the run itself was dropped.
            let _ = post.site.reports.send(Report::Done { at, job, result });
        });
    }

    /// Forgets the workers that ended.
    pub(super) fn reap(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    pub(super) fn halt(&self) {
        self.site.halt.cancel();
    }

    pub(super) fn kill(&self) {
        self.site.kill.cancel();
    }

    pub(super) fn begin_soak(&mut self, group: usize) {
        self.soaking = group;
        let mut cut = self.site.soak_cut.lock().unwrap_or_else(PoisonError::into_inner);
        *cut = Cancel::new();
    }

    pub(super) fn cut_soak(&self) {
        self.site.soak_cut.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }
}

/// What a panic of the engine's own code comes to: nobody knows what the target serves.
fn broken(post: &Post, job: Job, panic: &str) -> Mishap {
    let failure = Failure {
        stage: match job {
            Job::Fetch => Stage::Fetch,
            Job::Lead | Job::Handle => Stage::Promote,
            Job::Soak => Stage::Check,
            Job::Revert => Stage::Rollback,
            Job::Close => Stage::Finalize,
        },
        kind: ErrorKind::Broken,
        attempted: "work on the target".to_owned(),
        cause: format!("panicked: {panic}"),
        hint: Some("this is a defect of the tool: please report it".to_owned()),
        evidence: None,
    };
    let served = |release: &Option<crate::model::Release>| Served::from(release.clone());
    let change = &post.change;
    let untouched = matches!(job, Job::Fetch | Job::Lead) || change.work == Work::Nothing;
    let end = if untouched {
        End::Failed { failure, served: served(&change.from) }
    } else {
        End::Unknown { failure, one_of: vec![served(&change.from), served(&change.to)] }
    };
    post.memory().serves = None;
    Mishap { end, touched: !untouched, halted: false, once: false }
}
