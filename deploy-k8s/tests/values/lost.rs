//! Answers that are lost, and what must not be told with an error.

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
}
