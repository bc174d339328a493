//! One value at a time, in a repository that others push to as well.

use std::fs;

use deploy_core::backend::ErrorKind;
use deploy_k8s::{Publish, Published, Wish};

use super::rig::{FILE, KEY, Place, TEXT, git, scope, wish};

#[tokio::test]
async fn one_value_is_committed_and_comes_back() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    let done = values.publish(&wish("v2"), "mathoid: v2\n\nRun: r1\n", &scope(60)).await.unwrap();
    assert!(matches!(done, Published::Commit { .. }), "{done:?}");
    assert_eq!(place.there(), TEXT.replace("old", "v2"));
    let log = git(&place.remote(), &["log", "-1", "--format=%an <%ae> %s", "master"]);
    assert_eq!(log.trim(), "Ann <ann@example.org> mathoid: v2");
    let changed = git(&place.remote(), &["diff", "--stat", "master~1", "master"]);
    assert!(changed.contains("1 file changed, 1 insertion(+), 1 deletion(-)"), "{changed}");

    let again = values.publish(&wish("v2"), "again", &scope(60)).await.unwrap();
    assert_eq!(again, Published::Nothing);
    values.publish(&wish("old"), "back", &scope(60)).await.unwrap();
    assert_eq!(place.there(), TEXT);
    let key = KEY.parse().unwrap();
    assert_eq!(values.value(FILE, &key, &scope(60)).await.unwrap(), "old");
}

#[tokio::test]
async fn of_two_who_push_at_once_one_is_put_on_top_of_the_other() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    // Right before the first push arrives, somebody else's does.
    let other = place.path("other.sh");
    let work = place.path("work");
    fs::write(
        &other,
        format!(
            "set -e; [ ! -e {0}/raced ] || exit 0; : >{0}/raced; unset GIT_DIR GIT_QUARANTINE_PATH; \
             cd {1}; echo more >>other.txt; git add -A; \
             git -c user.name=B -c user.email=b@x commit -q -m other; git push -q origin HEAD:master",
            place.dir.path().display(),
            work.display()
        ),
    )
    .unwrap();
    place.hook("pre-receive", &format!("sh {} >&2", other.display()));
    values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap();
    assert!(place.there().contains("version: v2"));
    let log = git(&place.remote(), &["log", "--format=%s", "master"]);
    assert_eq!(log.lines().collect::<Vec<_>>(), ["mathoid: v2", "other", "somebody's"]);
}

#[tokio::test]
async fn a_value_that_somebody_changes_at_the_same_time_is_left_to_them() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    let other = place.path("other.sh");
    fs::write(
        &other,
        format!(
            "set -e; [ ! -e {0}/raced ] || exit 0; : >{0}/raced; unset GIT_DIR GIT_QUARANTINE_PATH; \
             cd {1}; sed -i s/old/theirs/ {FILE}; git add -A; \
             git -c user.name=B -c user.email=b@x commit -q -m other; git push -q origin HEAD:master",
            place.dir.path().display(),
            place.path("work").display()
        ),
    )
    .unwrap();
    place.hook("pre-receive", &format!("sh {} >&2", other.display()));
    let error = values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("from \"old\" to \"theirs\""), "{}", error.cause());
    assert!(place.there().contains("version: theirs"));
}

#[tokio::test]
async fn what_the_remote_refuses_is_told() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    place.hook("update", "echo 'only on weekdays' >&2; exit 1");
    let error = values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("only on weekdays"), "{}", error.cause());
    assert_eq!(place.there(), TEXT);

    let missing = Wish { file: "no.yaml".into(), ..wish("v2") };
    let error = values.publish(&missing, "x", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let missing = Wish { key: "main_app.tag".parse().unwrap(), ..wish("v2") };
    let error = values.publish(&missing, "x", &scope(60)).await.unwrap_err();
    assert!(error.cause().contains("has no key `main_app.tag`"), "{}", error.cause());
    fs::rename(place.remote(), place.path("gone.git")).unwrap();
    let error = values.publish(&wish("v2"), "x", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_change_for_review_is_waited_for() {
    let place = Place::new();
    let values = place.values(Publish::Review("refs/for/master".into()));
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
