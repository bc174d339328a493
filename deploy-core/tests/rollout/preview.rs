//! What a plan says of what changes on targets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, Cancel, ErrorKind, FileDiff, Preview, Scope},
    model::GroupName,
    plan::{Change, Goal, Plan},
    record::RunId,
    run::Pipeline,
};

use super::rig::*;

/// Shows one file, the same on all targets, and remembers how many are asked at once.
#[derive(Debug, Clone, Default)]
struct OneFile {
    file: &'static str,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl OneFile {
    fn new(file: &'static str) -> Self {
        Self { file, ..Self::default() }
    }
}

#[async_trait]
impl Preview for OneFile {
    async fn diffs(&self, change: &Change, scope: &Scope) -> Result<Vec<FileDiff>, BackendError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        let failed = |kind, why: &str| BackendError::new(kind, "look").with_source(why.to_owned());
        match change.target.as_str() {
            "denied-1" | "denied-2" => Err(failed(ErrorKind::Denied, "not allowed")),
            "panics" => panic!("not thought of"),
            "once" if scope.attempt == 1 => Err(failed(ErrorKind::Unreachable, "gone")),
            "silent" => std::future::pending().await,
            name if name.starts_with("large") => {
                let diff = format!("{name} {}", "x".repeat(100_000));
                Ok(vec![FileDiff { file: name.to_owned(), diff }])
            }
            _ => Ok(vec![FileDiff { file: self.file.to_owned(), diff: "-1\n+2".to_owned() }]),
        }
    }
}

async fn plan(story: &Story) -> Plan {
    story.plan_to_save(Goal::Deploy(version("v2"))).await.plan
}

fn on(plan: &Plan) -> Vec<(String, usize)> {
    plan.diffs.iter().map(|diff| (diff.file.clone(), diff.targets.len())).collect()
}

#[tokio::test(start_paused = true)]
async fn each_group_is_asked_through_its_own_backend_and_equal_diffs_are_told_once() {
    let story = Story::new(&[("hosts", &["h1", "h2"]), ("clusters", &["c1", "c2"])]);
    let story = story.pipeline(|backend| {
        let clusters = backend.clone().with_preview(OneFile::new("manifest"));
        Pipeline::new(backend.with_preview(OneFile::new("template")))
            .with_group(GroupName::new("clusters").unwrap(), clusters)
    });
    let plan = plan(&story).await;
    assert_eq!(on(&plan), [("manifest".to_owned(), 2), ("template".to_owned(), 2)]);
    assert_eq!(plan.diffs[0].targets, [target("c1"), target("c2")], "in the plan's order");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_known_of_a_target_is_a_warning_and_no_refusal() {
    let names = ["h1", "denied-1", "denied-2", "panics", "once", "silent"];
    let story = Story::new(&[("hosts", &names)]);
    let story =
        story.pipeline(|backend| Pipeline::new(backend.with_preview(OneFile::new("template"))));
    let plan = plan(&story).await;
    assert_eq!(on(&plan), [("template".to_owned(), 2)]);
    assert_eq!(plan.diffs[0].targets, [target("h1"), target("once")]);
    let told = |words: &str| plan.warnings.iter().any(|warning| warning.contains(words));
    assert!(told("on denied-1, denied-2 is not known: not allowed"), "{:?}", plan.warnings);
    assert!(told("on panics is not known: panicked: not thought of"), "{:?}", plan.warnings);
    assert!(told("on silent is not known: no answer within its time"), "{:?}", plan.warnings);
    assert!(!told("once"), "{:?}", plan.warnings);
    assert_eq!(story.deploy("v2").await.code(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_targets_are_asked_at_once_but_not_all() {
    let names: Vec<String> = (0..20).map(|n| format!("h{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let preview = OneFile::new("template");
    let given = preview.clone();
    let story = Story::new(&[("hosts", &names)])
        .pipeline(move |backend| Pipeline::new(backend.with_preview(given.clone())));
    let plan = plan(&story).await;
    assert_eq!(on(&plan), [("template".to_owned(), 20)]);
    assert_eq!(preview.most.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_stopped_or_dropped_asks_nobody_any_more() {
    let names: Vec<String> = (0..20).map(|n| format!("h{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (story, preview) = (Story::new(&[("hosts", &names)]), OneFile::new("template"));
    let pipeline = Pipeline::new(story.fleet.backend().with_preview(preview.clone()));
    let request = story.request(Goal::Deploy(version("v2")));
    let run = RunId::new("run-1").unwrap();
    for dropped in [true, false] {
        preview.asked.store(0, Ordering::SeqCst);
        let cancel = Cancel::new();
        let planned = pipeline.plan(&request, story.allow, &run, "ann", &cancel);
        let half_way = Duration::from_millis(500);
        if dropped {
            assert!(tokio::time::timeout(half_way, planned).await.is_err());
        } else {
            let stop = async {
                tokio::time::sleep(half_way).await;
                cancel.cancel();
            };
            let (planned, ()) = tokio::join!(planned, stop);
            assert!(planned.is_err(), "a plan of a part is none");
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let asked = preview.asked.load(Ordering::SeqCst);
        assert!((1..20).contains(&asked), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_has_room_for_so_much_and_names_the_targets_of_the_rest() {
    let names: Vec<String> = (10..40).map(|n| format!("large{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let story = Story::new(&[("hosts", &names)]);
    let story =
        story.pipeline(|backend| Pipeline::new(backend.with_preview(OneFile::new("template"))));
    let plan = plan(&story).await;
    assert_eq!(plan.diffs.len(), 30, "each is named");
    let size: usize = plan.diffs.iter().map(|diff| diff.diff.len()).sum();
    assert!((900_000..1_048_577).contains(&size), "{size}");
    assert!(plan.diffs[29].diff.is_empty());
}
