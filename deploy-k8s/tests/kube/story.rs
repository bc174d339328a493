//! Whole deployments to two clusters.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use deploy_core::{
    backend::{Closing, Operator, Scope, Situation, Transport},
    model::{App, Group, GroupName, Version},
    plan::{Action, Change, CheckPolicy, Goal, PlanRequest, Work},
    record::{Clock, Command, RunId, RunInfo, Summary, SystemClock},
    run::{Backend, Begin, Pipeline},
};
use deploy_k8s::{RolloutCheck, WorkloadOperator, WorkloadTransport};
use xtask::{Kube, PodLook};

use super::scene::{IMAGE, Scene, scope, target, terms, version};

/// Does a kubelet's work in both clusters: pods run, but those of the third version in the second.
struct Kubelets(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Kubelets {
    fn new(names: [&'static str; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            let [first, second] = names.map(|name| Kube::open(name).unwrap());
            while !stopped.load(Ordering::Relaxed) {
                let _ = first.show_pods(IMAGE, PodLook::Ready);
                for good in ["placeholder", ":v1@", ":v2@"] {
                    let _ = second.show_pods(good, PodLook::Ready);
                }
                let _ = second.show_pods(":v3@", PodLook::NoImage);
                thread::sleep(Duration::from_millis(200));
            }
        };
        Self(stop, Some(thread::spawn(work)))
    }
}

impl Drop for Kubelets {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(thread::JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_broken_image_is_rolled_back_from_both_clusters() {
    let names = ["story-staging", "story-eqiad"];
    let scenes = names.map(Scene::new);
    for scene in &scenes {
        scene.deployment("mathoid", "registry.example/placeholder:1", 2);
    }
    let _kubelets = Kubelets::new(names);
    let places = || {
        let of = |n: usize| (target(names[n]), scenes[n].place("mathoid"));
        [of(0), of(1)].into_iter().collect()
    };
    let deploy = async |n: u8, wanted: &Version| -> Summary {
        let transport = WorkloadTransport::new("mathoid", IMAGE, places(), terms("this process"));
        let mut policy = CheckPolicy::new("rollout");
        policy.timeout = Duration::from_secs(60);
        policy.interval = Duration::from_secs(1);
        let backend = Backend::new(transport).with_check(policy, RolloutCheck::new(places()));
        let group = |name: &str, n: usize| {
            Group::new(GroupName::new(name).unwrap(), vec![target(names[n])])
        };
        let groups = vec![group("staging", 0), group("production", 1)];
        let goal = Goal::Deploy(wanted.clone());
        let request = PlanRequest::new(App::new("mathoid").unwrap(), goal, groups);
        let run = RunId::at(SystemClock.now(), u16::from(n));
        let info = RunInfo::new(run, request.app.clone(), Command::Deploy, "ann");
        Pipeline::new(backend).run(&request, Begin::new(info)).await
    };
    let images = || scenes.each_ref().map(|scene| scene.image("mathoid"));
    for n in [1, 2] {
        let summary = deploy(n, &version(n)).await;
        assert_eq!(summary.exit.map(|exit| exit.code()), Some(0), "{summary:#?}");
        let digest = version(n).id;
        assert!(
            images().iter().all(|image| *image == format!("{IMAGE}:v{n}@{digest}")),
            "{:?}",
            images()
        );
    }
    let summary = deploy(3, &version(3)).await;
    assert_eq!(summary.exit.map(|exit| exit.code()), Some(3), "{summary:#?}");
    assert!(images().iter().all(|image| image.contains(":v2@")), "both went back: {:?}", images());
    let told = format!("{summary:?}");
    assert!(told.contains("the image cannot be pulled (ImagePullBackOff)"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_restart_makes_new_pods_of_the_same_image_once() {
    let names = ["restart-staging", "restart-eqiad"];
    let scenes = names.map(Scene::new);
    let scene = &scenes[0];
    scene.deployment("mathoid", &format!("{IMAGE}:v1@{}", version(1).id), 2);
    let _kubelets = Kubelets::new(names);
    let operator = WorkloadOperator::new(scene.places(&["mathoid"]));
    let target = target("mathoid");
    let situation = Situation {
        group: GroupName::new("all").unwrap(),
        release: None,
        previous: None,
        rolling_back: false,
        noted: None,
    };
    let long = |attempt| Scope {
        attempt,
        deadline: tokio::time::Instant::now() + Duration::from_secs(60),
        ..scope("r1")
    };
    assert!(operator.describe_action(Action::Stop).is_err());
    for _ in 0..150 {
        if operator.state(&target, &long(1)).await.unwrap().state == "active" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let before = operator.state(&target, &long(1)).await.unwrap().instance;
    let generation = || scene.workload("mathoid")["metadata"]["generation"].as_i64().unwrap();
    let first = generation();
    let restart = async |attempt| {
        let (action, scope) = (Action::Restart, long(attempt));
        operator.operate(&target, action, &before, &situation, &scope).await.unwrap();
    };
    restart(1).await;
    assert_eq!(generation(), first + 1);
    let after = operator.state(&target, &long(1)).await.unwrap();
    assert!(after.instance.active && after.instance.mark != before.mark, "{after:?}");
    // The answer was lost, and it is told again.
    restart(2).await;
    assert_eq!(generation(), first + 1, "it is not done twice");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn what_ran_before_the_first_deploy_is_a_way_back() {
    let names = ["before-staging", "before-eqiad"];
    let scenes = names.map(Scene::new);
    let scene = &scenes[0];
    scene.deployment("mathoid", &format!("{IMAGE}:v1@{}", version(1).id), 1);
    let _kubelets = Kubelets::new(names);
    let transport =
        WorkloadTransport::new("mathoid", IMAGE, scene.places(&["mathoid"]), terms("p"));
    let target = target("mathoid");
    let release = |n| transport.release(&target, &version(n)).unwrap();
    let mut live = transport.live(&target, &scope("r1")).await.unwrap();
    for _ in 0..100 {
        if !live.good.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        live = transport.live(&target, &scope("r1")).await.unwrap();
    }
    assert!(live.is_good(&release(1)), "all of it is up: {live:?}");
    let (from, to) = (Some(release(1)), Some(release(2)));
    let change = Change { target: target.clone(), back: from.clone(), from, to, work: Work::Move };
    transport.fetch(&target, &change, &scope("r1")).await.unwrap();
    transport.promote(&target, &change, &scope("r1")).await.unwrap();
    // The run dies here: the next one knows the way back all the same.
    let live = transport.live(&target, &scope("r2")).await.unwrap();
    assert_eq!((live.release(), live.last_good_not_live()), (Some(&release(2)), Some(&release(1))));
    let closing = Closing { good: change.to.clone(), back: change.back.clone() };
    transport.finalize(&target, &closing, &scope("r1")).await.unwrap();
    let live = transport.live(&target, &scope("r2")).await.unwrap();
    assert_eq!(live.last_good_not_live(), Some(&release(1)));

    // Two tags that begin alike are two releases.
    let tag = |name: &str| Version { id: format!("tag:{name}").parse().unwrap(), name: None };
    let [one, other] = ["2024-06-10-123456-production", "2024-06-10-134501-production"]
        .map(|name| transport.release(&target, &tag(name)).unwrap());
    assert_ne!(one, other);
}
