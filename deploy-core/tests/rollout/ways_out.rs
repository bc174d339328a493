//! On every way out the lock is given up; and what happens just before that (rule 9).

use std::{
    fs::File,
    io::BufReader,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use deploy_core::{
    backend::{Answer, Ask, BackendError, Cancel, Completion, ErrorKind, LockGuard, Question},
    plan::{Goal, Plan, Retry, Timeouts},
    record::{
        End, Event, EventKind, Exit, Journal, Observer, RunId, RunInfo, Summary, read_journal,
    },
    run::{Allowances, Begin, Pipeline, Refusal, Run, Stop},
    testing::{Fault, Turn},
};

use super::rig::*;

#[derive(Debug, Clone, Default)]
struct Lock {
    held: Arc<AtomicBool>,
    fails: bool,
}

#[async_trait]
impl LockGuard for Lock {
    async fn release(self: Box<Self>) -> Result<(), BackendError> {
        match self.fails {
            true => Err(BackendError::new(ErrorKind::Denied, "remove the lock")),
            false => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.held.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Yes;

#[async_trait]
impl Ask for Yes {
    async fn ask(&self, _: &Question) -> Answer {
        Answer::Yes
    }
}

#[derive(Debug)]
struct Tag {
    held: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<bool>>>,
    fails: bool,
}

#[async_trait]
impl Completion for Tag {
    async fn complete(&self, _: &RunInfo, _: &Plan) -> Result<(), BackendError> {
        self.told.lock().unwrap().push(self.held.load(Ordering::SeqCst));
        match self.fails {
            true => Err(BackendError::new(ErrorKind::Unreachable, "push the tag")),
            false => Ok(()),
        }
    }
}

fn begin(
    story: &Story,
    held: &Arc<AtomicBool>,
    observers: Vec<Box<dyn Observer>>,
    on_complete: Option<Arc<dyn Completion>>,
) -> Run {
    held.store(true, Ordering::SeqCst);
    let lock = Lock { held: Arc::clone(held), fails: false };
    Pipeline::new(story.fleet.backend()).begin(Begin {
        info: story.info(),
        lock: Some(Box::new(lock)),
        observers,
        ask: Arc::new(Yes),
        stop: Stop::new(),
        on_complete,
    })
}

#[tokio::test(start_paused = true)]
async fn a_success_is_marked_once_under_the_lock_and_a_failure_to_do_so_is_a_warning() {
    for (broken, fails, times) in [(false, false, 1), (false, true, 1), (true, false, 0)] {
        let story = Story::new(&[("all", &["h1"])]);
        if broken {
            story.fleet.break_version(&version("v2"));
        }
        let held = Arc::new(AtomicBool::new(false));
        let told = Arc::new(Mutex::new(Vec::new()));
        let tag = Tag { held: Arc::clone(&held), told: Arc::clone(&told), fails };
        let mut run = begin(&story, &held, Vec::new(), Some(Arc::new(tag)));
        let request = story.request(Goal::Deploy(version("v2")));
        let plan = run.plan(&request, Allowances::default()).await.unwrap();
        let summary = run.execute(plan).await;
        assert_eq!(*told.lock().unwrap(), vec![true; times]);
        assert_eq!(summary.exit, Some(if broken { Exit::RolledBack } else { Exit::Complete }));
        assert_eq!(summary.warnings.len(), usize::from(fails));
        assert!(!held.load(Ordering::SeqCst));
    }
}

#[tokio::test(start_paused = true)]
async fn times_that_no_clock_reaches_are_no_obstacle() {
    let ever = std::time::Duration::MAX;
    let mut story = Story::new(&[("all", &["h1"])])
        .fault("h1", Deed::Check, Turn::Nth(1), Fault::Unhealthy("sick".into()))
        .fault("h1", Deed::Fetch, Turn::Nth(1), Fault::LoseBefore)
        .pipeline(move |mut backend| {
            for check in &mut backend.checks {
                (check.policy.timeout, check.policy.retries) = (ever, 1);
            }
            Pipeline::new(backend)
        });
    story.strategy.timeouts =
        Timeouts { connect: ever, fetch: ever, promote: ever, restart: ever, finalize: ever };
    assert_eq!(story.deploy("v2").await.code(), 0);

    let story = Story::new(&[("all", &["h1"])])
        .fault("h1", Deed::Fetch, Turn::Nth(1), Fault::LoseBefore)
        .strategy(|strategy| strategy.retry = Retry { attempts: 9, backoff: ever });
    assert_eq!(story.deploy("v2").await.code(), 1, "nobody waits that long for a second attempt");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_gives_its_lock_up() {
    let story = Story::new(&[("all", &["h1"])]);
    let held = Arc::new(AtomicBool::new(false));
    let run = begin(&story, &held, Vec::new(), None);
    assert!(held.load(Ordering::SeqCst));
    drop(run);
    assert!(!held.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_engines_own_task_never_leaves_the_lock() {
    let story = Story::new(&[("all", &["h1"])]);
    let held = Arc::new(AtomicBool::new(false));
    let observer = |event: &Event| {
        assert!(!matches!(event.kind, EventKind::GroupStarted { .. }), "a reporter that panics");
        Ok(())
    };
    let mut run = begin(&story, &held, vec![Box::new(observer)], None);
    let request = story.request(Goal::Deploy(version("v2")));
    let plan = run.plan(&request, Allowances::default()).await.unwrap();
    let panicked = tokio::spawn(run.execute(plan)).await;
    assert!(panicked.unwrap_err().is_panic());
    assert!(!held.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_not_confirmed_ends_its_targets_as_not_attempted() {
    let story = Story::new(&[("all", &["h1", "h2"])]).cut("h2");
    let held = Arc::new(AtomicBool::new(false));
    let mut run = begin(&story, &held, Vec::new(), None);
    let request = story.request(Goal::Deploy(version("v2")));
    run.plan(&request, Allowances::default()).await.unwrap();
    let summary = run.refuse(Refusal::new("not confirmed")).await;
    assert_eq!(summary.exit, Some(Exit::Refused));
    assert_eq!(summary.targets[&target("h1")].end, Some(End::NotAttempted));
    assert!(matches!(summary.targets[&target("h2")].end, Some(End::Unreachable { .. })));
    assert!(!held.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn the_inverse_of_a_plan_is_run_by_the_same_engine() {
    let story = Story::new(&[("canary", &["h1"]), ("all", &["h2", "fresh", "done"])]);
    story.fleet.set(&target("fresh"), |host| *host = deploy_core::testing::Host::default());
    story.fleet.install(&target("done"), &version("v2"));
    let held = Arc::new(AtomicBool::new(false));
    let mut run = begin(&story, &held, Vec::new(), None);
    let request = story.request(Goal::Deploy(version("v2")));
    let plan = run.plan(&request, Allowances::default()).await.unwrap();
    let inverse = plan.inverse();
    assert_eq!(run.execute(plan).await.exit, Some(Exit::Complete));
    let back = begin(&story, &held, Vec::new(), None);
    let summary = back.execute(inverse).await;
    assert_eq!(summary.exit, Some(Exit::Complete));
    assert_eq!(summary.counts().deployed, 3);
    let host = |name: &str| story.fleet.host(&target(name));
    assert_eq!((host("h1").serves(), host("h2").serves()), (Some("v1"), Some("v1")));
    assert_eq!((host("fresh").serves(), host("fresh").runs()), (None, None));
    assert_eq!(host("done").serves(), Some("v2"));
}

/// With threads, a clock that runs, and a journal on a disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_read_again_from_its_journal() {
    let names: Vec<String> = (0..100).map(|number| format!("h{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let story = Story::new(&[("canary", &names[..5]), ("all", &names[5..])])
        .allow(1, "2")
        .batch(1, "25%")
        .fault("h50", Deed::Check, Turn::Nth(1), Fault::Unhealthy("sick".into()));
    story.fleet.set_latency(std::time::Duration::from_millis(1));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::new(File::create_new(&path).unwrap());
    let held = Arc::new(AtomicBool::new(false));
    let mut run = begin(&story, &held, vec![Box::new(journal)], None);
    let request = story.request(Goal::Deploy(version("v2")));
    let plan = run.plan(&request, Allowances::default()).await.unwrap();
    let summary = run.execute(plan).await;
    assert_eq!(summary.exit, Some(Exit::Incomplete));
    assert_eq!(summary.counts().deployed, 99);
    let reader = read_journal(BufReader::new(File::open(&path).unwrap()));
    let events: Vec<Event> = reader.map(Result::unwrap).collect();
    assert_eq!(Summary::of(&events), summary);
}

#[tokio::test(start_paused = true)]
async fn a_survey_asks_all_and_tells_nobody() {
    let story = Story::new(&[("canary", &["h1"]), ("all", &["h1", "h2", "h3"])]).cut("h2").fault(
        "h3",
        Deed::Live,
        Turn::Nth(1),
        Fault::LoseBefore,
    );
    let pipeline = Pipeline::new(story.fleet.backend());
    let (timeouts, retry) = (Timeouts::default(), Retry::default());
    let run = RunId::new("status").unwrap();
    let survey =
        pipeline.survey(&story.groups, &timeouts, &retry, &run, "ann", &Cancel::new()).await;
    assert_eq!(survey.answers.len(), 3);
    assert!(survey.answers[&target("h2")].is_err());
    assert!(survey.answers[&target("h3")].is_ok(), "asked again");
    assert_eq!(story.fleet.count(&target("h1"), Deed::Live), 1, "in two groups, asked once");
}
