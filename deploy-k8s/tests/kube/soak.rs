//! What goes wrong after all was up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deploy_core::{
    model::{App, Gate, Group, GroupName},
    plan::{CheckPolicy, Goal, PlanRequest},
    record::{Clock, Command, RunId, RunInfo, Summary, SystemClock},
    run::{Backend, Begin, Pipeline},
};
use deploy_k8s::{RolloutCheck, WorkloadTransport};
use xtask::{Kube, PodLook};

use super::scene::{IMAGE, Scene, target, terms, version};

const NAME: &str = "soak";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_crash_in_the_soak_that_is_over_by_the_next_look_is_rolled_back() {
    let scene = Scene::new(NAME);
    scene.deployment("mathoid", "registry.example/placeholder:1", 2);
    let [crash, stop] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (crashes, stopped) = (Arc::clone(&crash), Arc::clone(&stop));
    let kubelet = std::thread::spawn(move || {
        let kube = Kube::open(NAME).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            kube.show_pods(":v1@", PodLook::Ready).unwrap();
            let second =
                if crashes.load(Ordering::Relaxed) { PodLook::Revived } else { PodLook::Ready };
            kube.show_pods(":v2@", second).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let places = || scene.places(&["mathoid"]);
    let deploy = async |n: u8| -> Summary {
        let transport = WorkloadTransport::new("mathoid", IMAGE, places(), terms("this process"));
        let mut policy = CheckPolicy::new("rollout");
        policy.timeout = Duration::from_secs(60);
        policy.interval = Duration::from_secs(1);
        let backend = Backend::new(transport).with_check(policy, RolloutCheck::new(places()));
        let mut group = Group::new(GroupName::new("all").unwrap(), vec![target("mathoid")]);
        let soak = (n == 2).then(|| Duration::from_secs(20));
        group.gate = Gate { soak, interval: Duration::from_secs(1), ask: false };
        let goal = Goal::Deploy(version(n));
        let request = PlanRequest::new(App::new("mathoid").unwrap(), goal, vec![group]);
        let run = RunId::at(SystemClock.now(), u16::from(n));
        let info = RunInfo::new(run, request.app.clone(), Command::Deploy, "ann");
        Pipeline::new(backend).run(&request, Begin::new(info)).await
    };
    let first = deploy(1).await;
    assert_eq!(first.exit.map(|exit| exit.code()), Some(0), "{first:#?}");
    let watching = async {
        loop {
            let workload = scene.workload("mathoid");
            let status = &workload["status"];
            let is_new = scene.image("mathoid").contains(":v2@")
                && workload["metadata"]["generation"] == status["observedGeneration"];
            if is_new && status["updatedReplicas"] == 2 && status["availableReplicas"] == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // It has been looked at by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        crash.store(true, Ordering::Relaxed);
    };
    let (second, ()) = tokio::join!(deploy(2), watching);
    stop.store(true, Ordering::Relaxed);
    kubelet.join().unwrap();
    assert_eq!(second.exit.map(|exit| exit.code()), Some(3), "{second:#?}");
    assert!(scene.image("mathoid").contains(":v1@"), "{}", scene.image("mathoid"));
    let told = format!("{second:?}");
    assert!(told.contains("main was ready and has crashed 1 time since: exit code 2"), "{told}");
}
