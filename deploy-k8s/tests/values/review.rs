//! Changes that a reviewer takes, or does not.

use std::{fs, sync::Arc, time::Duration};

use deploy_core::backend::{ErrorKind, Scope};
use deploy_k8s::{Publish, Published};

use super::rig::{Place, Seen, TEXT, git, scope, wish};

fn reviewed() -> Publish {
    Publish::Review("refs/for/master".into())
}

/// A reviewer who does `take` with each commit `$new` that is pushed for review.
fn reviewer(place: &Place, take: &str) {
    let dir = place.dir.path().display();
    place.hook(
        "post-receive",
        &format!(
            "while read -r _ new ref; do case $ref in refs/for/*) \
             echo $new >>{dir}/pushed; echo 'see /c/values/+/1'; {take} ;; esac; done"
        ),
    );
}

fn pushed(place: &Place) -> usize {
    fs::read_to_string(place.path("pushed")).unwrap().lines().count()
}

#[tokio::test]
async fn a_change_for_review_is_waited_for() {
    let place = Place::new();
    let values = place.values(reviewed());
    // The reviewer: takes what is pushed for review after a second.
    place.hook(
        "post-receive",
        "while read -r _ new ref; do case $ref in refs/for/*) \
         (sleep 1; git update-ref refs/heads/master \"$new\") >/dev/null 2>&1 & ;; esac; done",
    );
    let done = values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap();
    assert!(matches!(done, Published::Commit { .. }), "{done:?}");
    assert!(place.there().contains("version: v2"));

    place.hook("post-receive", "exit 0");
    let error = values.publish(&wish("v3"), "mathoid: v3", &scope(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.cause().contains("nobody has submitted"), "{}", error.cause());
    assert!(place.there().contains("version: v2"));
}

#[tokio::test]
async fn a_review_may_make_another_commit_of_it_and_the_deployer_sees_what_is_waited_for() {
    let place = Place::new();
    let values = place.values(reviewed());
    // As by "cherry-pick": another commit, on top of somebody else's.
    reviewer(
        &place,
        "export GIT_AUTHOR_NAME=R GIT_AUTHOR_EMAIL=r@x GIT_COMMITTER_NAME=R GIT_COMMITTER_EMAIL=r@x; \
         made=$(git commit-tree -p master -m reviewed \"$new^{tree}\"); git update-ref refs/heads/master $made",
    );
    let seen = Arc::new(Seen::default());
    let scope = Scope { output: Arc::clone(&seen) as _, ..scope(60) };
    let message = "mathoid: eqiad to v2\n\nDeploy-Run: r1\n";
    let done = values.publish(&wish("v2"), message, &scope).await.unwrap();
    let tip = git(&place.remote(), &["rev-parse", "master"]).trim().to_owned();
    assert_eq!(done, Published::Commit { id: tip, before: "old".into() });
    let told = seen.text();
    for part in [
        "eqiad: pushed for review to refs/for/master of ",
        ": mathoid: eqiad to v2 (I",
        "remote: see /c/values/+/1",
        "waiting until master has it",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let sent = git(&place.remote(), &["log", "-1", "--format=%B", "refs/for/master"]);
    assert!(sent.contains("\n\nDeploy-Run: r1\nChange-Id: I"), "{sent}");
}

#[tokio::test]
async fn a_review_that_is_open_is_found_again() {
    let place = Place::new();
    reviewer(&place, ":");
    let sent = || git(&place.remote(), &["rev-parse", "refs/for/master"]);
    let id = || {
        let message = git(&place.remote(), &["log", "-1", "--format=%B", "refs/for/master"]);
        message.lines().find(|line| line.starts_with("Change-Id: ")).unwrap().to_owned()
    };
    let values = place.values(reviewed());
    let error = values.publish(&wish("v2"), "run 1", &scope(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let (first, first_id) = (sent(), id());
    // Another run, in another process.
    let values = place.values(reviewed());
    let error = values.publish(&wish("v2"), "run 2", &scope(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!((sent(), pushed(&place)), (first, 1), "it is not pushed twice");
    // The cache is gone, and the branch has moved on: it is the same review still.
    fs::remove_dir_all(place.path("cache.git")).unwrap();
    place.commit("other.txt", "more");
    let error = values.publish(&wish("v2"), "run 3", &scope(4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!((id(), pushed(&place)), (first_id.clone(), 2));
    values.publish(&wish("v3"), "another", &scope(4)).await.unwrap_err();
    assert_ne!(id(), first_id);
    assert_eq!(place.there(), TEXT);
}

#[tokio::test]
async fn a_remote_that_is_away_for_a_while_is_waited_for() {
    let place = Place::new();
    reviewer(&place, ":");
    let values = place.values(reviewed());
    let (wish, here) = (wish("v2"), scope(60));
    let others = async {
        while !place.path("pushed").is_file() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let gone = place.path("gone.git");
        fs::rename(place.remote(), &gone).unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        git(&gone, &["update-ref", "refs/heads/master", "refs/for/master"]);
        fs::rename(&gone, place.remote()).unwrap();
    };
    let (done, ()) = tokio::join!(values.publish(&wish, "mathoid: v2", &here), others);
    assert!(matches!(done, Ok(Published::Commit { .. })), "{done:?}");
    assert_eq!(pushed(&place), 1);
}
