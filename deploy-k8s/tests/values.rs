//! Values in a real git repository, with a real remote.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use deploy_core::{
    backend::{Cancel, Discard, ErrorKind, Scope},
    plan::Stage,
    record::RunId,
};
use deploy_k8s::{Publish, Published, ValuesOptions, ValuesRepository, Wish};
use tokio::time::Instant;

const FILE: &str = "helmfile.d/services/mathoid/values-eqiad.yaml";
const KEY: &str = "main_app.version";
const TEXT: &str = "# eqiad\nmain_app:\n  version: old   # the tag\n  port: 10044\n";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let (remote, work) = (place.remote(), place.path("work"));
        git(place.dir.path(), &["init", "-q", "--bare", "-b", "master", remote.to_str().unwrap()]);
        git(place.dir.path(), &["clone", "-q", remote.to_str().unwrap(), "work"]);
        place.commit(FILE, TEXT);
        assert!(work.join(FILE).is_file());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn remote(&self) -> PathBuf {
        self.path("remote.git")
    }

    /// Somebody else's commit.
    fn commit(&self, file: &str, text: &str) {
        let work = self.path("work");
        let path = work.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let _ = Command::new("git").current_dir(&work).args(["pull", "-q", "--rebase"]).output();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "somebody's"]);
        git(&work, &["push", "-q", "origin", "HEAD:master"]);
    }

    fn hook(&self, name: &str, text: &str) {
        let hook = self.remote().join("hooks").join(name);
        fs::write(&hook, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn values(&self, publish: Publish) -> ValuesRepository {
        ValuesRepository::new(ValuesOptions {
            remote: self.remote().display().to_string(),
            branch: "master".into(),
            publish,
            cache: self.path("cache.git"),
            author: "Ann <ann@example.org>".into(),
        })
    }

    fn there(&self) -> String {
        git(&self.remote(), &["show", &format!("master:{FILE}")])
    }
}

fn git(dir: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=Bob", "-c", "user.email=bob@example.org"])
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn wish(value: &str) -> Wish {
    Wish { file: FILE.into(), key: KEY.parse().unwrap(), value: value.into() }
}

fn scope(seconds: u64) -> Scope {
    Scope {
        run: RunId::new("r1").unwrap(),
        who: "ann".into(),
        stage: Stage::Promote,
        attempt: 1,
        deadline: Instant::now() + Duration::from_secs(seconds),
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}

#[tokio::test]
async fn one_value_is_committed_and_comes_back() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    let done = values.publish(&wish("v2"), "mathoid: v2\n\nRun: r1\n", &scope(20)).await.unwrap();
    assert!(matches!(done, Published::Commit(_)), "{done:?}");
    assert_eq!(place.there(), TEXT.replace("old", "v2"));
    let log = git(&place.remote(), &["log", "-1", "--format=%an <%ae> %s", "master"]);
    assert_eq!(log.trim(), "Ann <ann@example.org> mathoid: v2");
    let changed = git(&place.remote(), &["diff", "--stat", "master~1", "master"]);
    assert!(changed.contains("1 file changed, 1 insertion(+), 1 deletion(-)"), "{changed}");

    let again = values.publish(&wish("v2"), "again", &scope(20)).await.unwrap();
    assert_eq!(again, Published::Nothing);
    values.publish(&wish("old"), "back", &scope(20)).await.unwrap();
    assert_eq!(place.there(), TEXT);
    let key = KEY.parse().unwrap();
    assert_eq!(values.value(FILE, &key, &scope(20)).await.unwrap(), "old");
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
    values.publish(&wish("v2"), "mathoid: v2", &scope(30)).await.unwrap();
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
    let error = values.publish(&wish("v2"), "mathoid: v2", &scope(30)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.cause().contains("from \"old\" to \"theirs\""), "{}", error.cause());
    assert!(place.there().contains("version: theirs"));
}

#[tokio::test]
async fn what_the_remote_refuses_is_told() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    place.hook("update", "echo 'only on weekdays' >&2; exit 1");
    let error = values.publish(&wish("v2"), "mathoid: v2", &scope(20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("only on weekdays"), "{}", error.cause());
    assert_eq!(place.there(), TEXT);

    let missing = Wish { file: "no.yaml".into(), ..wish("v2") };
    let error = values.publish(&missing, "x", &scope(20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let missing = Wish { key: "main_app.tag".parse().unwrap(), ..wish("v2") };
    let error = values.publish(&missing, "x", &scope(20)).await.unwrap_err();
    assert!(error.cause().contains("has no key `main_app.tag`"), "{}", error.cause());
    fs::rename(place.remote(), place.path("gone.git")).unwrap();
    let error = values.publish(&wish("v2"), "x", &scope(20)).await.unwrap_err();
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
    let done = values.publish(&wish("v2"), "mathoid: v2", &scope(30)).await.unwrap();
    assert!(matches!(done, Published::Commit(_)), "{done:?}");
    assert!(place.there().contains("version: v2"));

    place.hook("post-receive", "exit 0");
    let error = values.publish(&wish("v3"), "mathoid: v3", &scope(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.cause().contains("nobody has submitted"), "{}", error.cause());
    assert!(place.there().contains("version: v2"));
}
