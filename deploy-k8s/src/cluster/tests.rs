use std::fs;

use deploy_core::{
    backend::{Cancel, Discard},
    plan::Stage,
    record::RunId,
};
use tokio::time::Instant;

use super::*;

fn scope(patience: Duration) -> Scope {
    Scope {
        run: RunId::new("r1").unwrap(),
        who: "ann".into(),
        stage: Stage::Fetch,
        attempt: 1,
        rolling_back: false,
        deadline: Instant::now() + patience,
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}

/// What is said where the kubeconfig of the cluster has this user.
async fn told(user: &str, patience: Duration) -> BackendError {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\n\
         clusters: [{{name: c, cluster: {{server: \"https://127.0.0.1:1\"}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users:\n- name: u\n  user: {user}\n"
    );
    fs::write(&file, text).unwrap();
    let identity = Identity::Uid("6f1c2a34-0000-4b1e-9c3d-0123456789ab".into());
    let options =
        ClusterOptions { name: "c".into(), kubeconfig: Some(file), context: "c".into(), identity };
    Cluster::new(options).client(&scope(patience)).await.err().unwrap()
}

fn exec(script: &str) -> String {
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, \
         command: sh, args: [\"-c\", \"{script}\"], env: [{{name: KEY, value: s3cr3t}}]}}}}"
    )
}

#[tokio::test]
async fn nothing_that_a_program_printed_or_was_given_is_told() {
    for (user, kind, words) in [
        (
            exec("echo s3cr3t; echo s3cr3t >&2; exit 3"),
            ErrorKind::Denied,
            "(sh) failed: exit status: 3",
        ),
        (exec("echo token: s3cr3t: s3cr3t"), ErrorKind::Denied, "(sh) gave none that can be read"),
        (
            exec("x").replace("command: sh", "command: no-such"),
            ErrorKind::Denied,
            "(no-such) cannot be run",
        ),
        ("{token: s3cr3t, [".to_owned(), ErrorKind::NotFound, "not written as a kubeconfig"),
        ("{token: \"s3cr3t\\u0001\"}".to_owned(), ErrorKind::Denied, "cannot be used"),
    ] {
        let error = told(&user, Duration::from_secs(20)).await;
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.cause().contains(words), "{}", error.cause());
        assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_end_ends_with_the_scope() {
    let error = told(&exec("exec sleep 5"), Duration::from_millis(200)).await;
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
}
