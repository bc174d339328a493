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
    place.race("[ ! -e raced ] || exit 0; : >raced", "echo more >>other.txt");
    values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap();
    assert!(place.there().contains("version: v2"));
    let log = git(&place.remote(), &["log", "--format=%s", "master"]);
    assert_eq!(log.lines().collect::<Vec<_>>(), ["mathoid: v2", "other", "somebody's"]);
}

#[tokio::test]
async fn a_value_that_somebody_changes_at_the_same_time_is_left_to_them() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    place.race("[ ! -e raced ] || exit 0; : >raced", &format!("sed -i s/old/theirs/ {FILE}"));
    let error = values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("from \"old\" to \"theirs\""), "{}", error.cause());
    assert!(place.there().contains("version: theirs"));
}

#[tokio::test]
async fn who_is_overtaken_twice_gives_up() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    // The hook's own push is let through.
    place.race("[ -z \"$RACING\" ] || exit 0; export RACING=1", "echo more >>other.txt");
    let error = values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("twice"), "{}", error.cause());
    assert_eq!(place.there(), TEXT);
}

#[tokio::test]
async fn what_is_not_as_it_is_to_be_is_left_alone() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    let wish = Wish { from: Some("v1".into()), ..wish("v2") };
    let error = values.publish(&wish, "mathoid: v2", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("from \"v1\" to \"old\""), "{}", error.cause());
    assert_eq!(place.there(), TEXT);
}

#[tokio::test]
async fn two_at_once_share_a_cache() {
    let place = Place::new();
    let other = "other.yaml";
    place.commit(other, TEXT);
    // As in two processes, they share nothing but the files.
    let (one, two) = (place.values(Publish::Push), place.values(Publish::Push));
    let theirs = Wish { file: other.into(), ..wish("v3") };
    let ours = wish("v2");
    let (here, there) = (scope(60), scope(60));
    let (a, b) =
        tokio::join!(one.publish(&ours, "ours", &here), two.publish(&theirs, "theirs", &there));
    a.unwrap();
    b.unwrap();
    assert_eq!((place.value_in(FILE), place.value_in(other)), ("v2".into(), "v3".into()));
    for commit in ["master", "master~1"] {
        let changed = git(&place.remote(), &["show", "--stat", "--format=", commit]);
        assert!(changed.contains("1 file changed"), "{changed}");
    }
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
