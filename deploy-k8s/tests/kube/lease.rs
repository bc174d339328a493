//! Leases that runs hold.

use std::time::Duration;

use deploy_core::backend::{Acquired, Holder, Lock};
use deploy_k8s::{Lease, LeaseLock, LeaseTerms, Taken};

use super::scene::{DEAD, NAMESPACE, Scene, scope, terms};

fn holder(run: &str) -> Holder {
    Holder {
        who: format!("{run}'s owner"),
        host: "desk".into(),
        pid: 7,
        why: Some("because".into()),
        since: jiff::Timestamp::now(),
        run: run.parse().ok(),
        until: None,
    }
}

fn lease(scene: &Scene, terms: LeaseTerms) -> Lease {
    Lease::new(scene.cluster.clone(), NAMESPACE, "deploy-mathoid", terms)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn one_run_holds_a_lease_until_it_ends_or_is_dead() {
    let scene = Scene::new("lease");
    let ours = lease(&scene, terms("ours"));
    let held = ours.take(&holder("r1"), &scope("r1")).await.unwrap();
    let Taken::Ours(held) = held else { panic!("{held:?}") };
    let second = ours.take(&holder("r2"), &scope("r2")).await.unwrap();
    let Taken::HeldBy(tenant) = second else { panic!("{second:?}") };
    assert_eq!((tenant.holder.who.as_str(), tenant.holder.pid), ("r1's owner", 7));
    assert!(!tenant.is_dead);
    held.give_up().await.unwrap();
    assert_eq!(ours.holder(&scope("r1")).await.unwrap(), None);

    // A process that is proven dead holds nothing.
    let theirs = lease(&scene, terms(DEAD));
    let dead = theirs.take(&holder("r3"), &scope("r3")).await.unwrap();
    let Taken::Ours(dead) = dead else { panic!("{dead:?}") };
    assert!(ours.holder(&scope("r1")).await.unwrap().unwrap().is_dead);
    let taken = ours.take(&holder("r4"), &scope("r4")).await.unwrap();
    assert!(matches!(taken, Taken::Ours(_)), "{taken:?}");
    dead.give_up().await.unwrap();
    let tenant = ours.holder(&scope("r1")).await.unwrap().unwrap();
    assert_eq!(tenant.holder.run, "r4".parse().ok(), "what is not ours is not given up");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_lease_is_renewed_while_it_is_held_and_free_when_nobody_does() {
    let scene = Scene::new("renewed");
    let short = LeaseTerms { duration: Duration::from_secs(4), ..terms("ours") };
    let lease = lease(&scene, short);
    let taken = lease.take(&holder("r1"), &scope("r1")).await.unwrap();
    let Taken::Ours(held) = taken else { panic!("{taken:?}") };
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(!lease.holder(&scope("r1")).await.unwrap().unwrap().is_dead, "it is renewed");
    assert!(!held.is_lost());

    // As after a kill: nobody renews it, and nobody gives it up.
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/deploy-mathoid");
    scene
        .kube
        .patch(&path, &serde_json::json!({ "spec": { "holderIdentity": "r9 bob" } }))
        .unwrap();
    for _ in 0..100 {
        if held.is_lost() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(held.is_lost(), "somebody else has it");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(lease.holder(&scope("r1")).await.unwrap().unwrap().is_dead, "its time is over");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane (cargo xtask kube build)"]
async fn a_lease_is_a_lock_for_whoever_reaches_the_cluster() {
    let scene = Scene::new("lock");
    let [one, other] =
        ["one machine", "another"].map(|it| LeaseLock::new(lease(&scene, terms(it))));
    let Acquired::Yes(guard) = one.acquire(&holder("r1")).await.unwrap() else { panic!() };
    let Acquired::HeldBy(who) = other.acquire(&holder("r2")).await.unwrap() else { panic!() };
    assert_eq!((who.who.as_str(), who.why.as_deref()), ("r1's owner", Some("because")));
    assert!(other.holder().await.unwrap().is_some());
    guard.release().await.unwrap();
    assert_eq!(other.holder().await.unwrap(), None);
    // People who lock without a run are two all the same.
    let person = |name: &str| Holder { who: name.into(), run: None, ..holder("r3") };
    let Acquired::Yes(guard) = one.acquire(&person("ann")).await.unwrap() else { panic!() };
    let Acquired::HeldBy(who) = one.acquire(&person("bob")).await.unwrap() else { panic!() };
    assert_eq!(who.who, "ann");
    guard.release().await.unwrap();
    let Acquired::Yes(guard) = other.acquire(&holder("r2")).await.unwrap() else { panic!() };
    drop(guard);
    for _ in 0..50 {
        if one.holder().await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("what is dropped is given up too");
}
