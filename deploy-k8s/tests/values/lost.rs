//! Answers that are lost, and what must not be told with an error.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use deploy_core::backend::ErrorKind;
use deploy_k8s::{Publish, Published};

use super::{
    answers::Answers,
    rig::{FILE, KEY, Place, TEXT, git, scope, wish},
};

#[tokio::test]
async fn a_push_that_arrived_counts_though_its_answer_was_lost() {
    let place = Place::new();
    let values = place.values(Publish::Push);
    // The remote takes it, and dies before it says so.
    place.hook("post-receive", "kill -9 $PPID");
    let done = values.publish(&wish("v2"), "mathoid: v2", &scope(60)).await.unwrap();
    let tip = git(&place.remote(), &["rev-parse", "master"]).trim().to_owned();
    assert_eq!(done, Published::Commit { id: tip, before: "old".into() });

    // It dies before it takes it.
    place.hook("pre-receive", "kill -9 $PPID");
    let error = values.publish(&wish("v3"), "mathoid: v3", &scope(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{}", error.cause());
    assert_eq!(place.value_in(FILE), "v2");
    place.hook("pre-receive", "exit 0");
    place.hook("post-receive", "exit 0");
    values.publish(&wish("v3"), "mathoid: v3", &scope(60)).await.unwrap();
    assert_eq!(place.there(), TEXT.replace("old", "v3"));
}

#[tokio::test]
async fn what_gives_access_is_sent_and_never_shown() {
    let server = Answers::new(|asked| match asked.authorization.as_str() {
        "" => "401 Unauthorized\nWWW-Authenticate: Basic realm=\"values\"\n\n".to_owned(),
        _ => "500 Internal Server Error\n\n".to_owned(),
    });
    let place = Place::new();
    let remote = format!("http://ann:t0k3n@127.0.0.1:{}/values.git", server.port);
    let values = place.values_of(remote, Publish::Push);
    let error = values.value(FILE, &KEY.parse().unwrap(), &scope(60)).await.unwrap_err();
    let asked = server.asked();
    assert!(asked.iter().any(|it| it.authorization == "Basic YW5uOnQwazNu"), "{asked:?}");
    let told = format!("{error:?} {values:?}");
    assert!(told.contains("127.0.0.1") && !told.contains("t0k3n"), "{told}");
    assert!(!told.contains("ann:"), "{told}");
    let cache = place.path("cache.git");
    assert!(!cache.join("deploy.credentials").exists(), "it is kept no longer than it is used");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&cache.join("deploy.lock"))), (0o700, 0o600));
}

#[tokio::test]
async fn a_cache_that_somebody_else_has_made_is_not_used() {
    let place = Place::new();
    let (elsewhere, cache) = (place.path("elsewhere"), place.path("cache.git"));
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &cache).unwrap();
    let key = KEY.parse().unwrap();
    let ask = || async {
        let values = place.values(Publish::Push);
        values.value(FILE, &key, &scope(60)).await
    };
    let error = ask().await.unwrap_err();
    assert!(error.cause().contains("no directory of ours"), "{}", error.cause());
    fs::remove_file(&cache).unwrap();
    ask().await.unwrap();
    // A link is not written through, whoever has left it.
    fs::remove_file(cache.join("deploy.lock")).unwrap();
    symlink(elsewhere.join("made"), cache.join("deploy.lock")).unwrap();
    ask().await.unwrap_err();
    assert!(!elsewhere.join("made").exists());
    fs::remove_file(cache.join("deploy.lock")).unwrap();
    // Of another user.
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&cache, Some(65534), None).unwrap();
        let error = ask().await.unwrap_err();
        assert!(error.cause().contains("no directory of ours"), "{}", error.cause());
    }
}
