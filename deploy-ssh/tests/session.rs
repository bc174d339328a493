//! Steps on a real sshd and on this machine: the same promises over both links.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
#[path = "support/links.rs"]
mod links;
#[path = "support/sshd.rs"]
mod sshd;

use std::{fs, sync::Arc, time::Duration};

use deploy_core::{
    backend::{ErrorKind, Stream},
    model::Target,
};
use deploy_ssh::session::{DialError, OnStdinEnd, Script, Sessions, SshConfig, Stdin};
use sshd::{Seen, one_host, scope, scope_of, target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

over_both_links!(
    status_output_arguments_and_environment_come_through,
    many_steps_use_one_shell,
    a_step_killed_by_a_signal_is_no_success,
    output_cannot_forge_an_end,
    a_binary_payload_arrives_byte_for_byte,
    a_payload_that_nobody_reads_does_no_harm,
    a_flood_is_bounded_and_seen_whole,
    the_deadline_kills_the_group_and_the_session_goes_on,
    cancel_kills_a_step,
    what_a_step_leaves_running_does_not_hold_it,
    steps_run_side_by_side,
    an_unsendable_script_is_refused,
    an_address_is_dialled_as_the_target_sees_it,
    a_dropped_step_is_killed_and_one_that_must_end_is_not,
);

async fn status_output_arguments_and_environment_come_through(sessions: &Sessions, on: &Target) {
    let nasty = ["", " a  b ", "'\"$(id)`id`\\", "-n", "two\nlines\n", "\u{1b}[2J", "*"];
    let script = Script::new(
        "printf '%s|' \"$@\" \"$DEPLOY_X\"\necho err >&2\nread -r l; echo \"stdin:$l\"; exit 7",
    )
    .args(nasty)
    .env("DEPLOY_X", "v $(x)\ny");
    let seen = Arc::new(Seen::default());
    let mut scope = scope();
    scope.output = seen.clone();
    let output = sessions.run(on, &script, &scope).await.unwrap();
    assert_eq!(output.status, 7);
    assert_eq!(output.stdout.text(), format!("{}|v $(x)\ny|stdin:\n", nasty.join("|")));
    assert_eq!(output.stderr.text(), "err\n");
    assert!(!output.detached);
    assert!(seen.0.lock().unwrap().iter().any(|(s, b)| *s == Stream::Stderr && b == b"err\n"));
    assert!(seen.text().contains("$(x)"));
    let error = output.require_success("ask").unwrap_err();
    assert_eq!((error.kind(), error.cause().as_str()), (ErrorKind::Rejected, "exit status 7: err"));
}

async fn many_steps_use_one_shell(sessions: &Sessions, on: &Target) {
    // The step's sh, the two groups around it, then the wrapper: its group is the shell.
    let script = Script::new("ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat");
    let first = sessions.run(on, &script, &scope()).await.unwrap().stdout.text();
    for n in 0..20 {
        let count = Script::new("echo $(($1 + 1)); echo $1 >&2").arg(n.to_string());
        let output = sessions.run(on, &count, &scope()).await.unwrap();
        assert_eq!(output.stdout.text().trim(), (n + 1).to_string());
        assert_eq!(output.stderr.text().trim(), n.to_string());
    }
    assert_eq!(sessions.run(on, &script, &scope()).await.unwrap().stdout.text(), first);
}

async fn a_step_killed_by_a_signal_is_no_success(sessions: &Sessions, on: &Target) {
    let output = sessions.run(on, &Script::new("kill -9 $$"), &scope()).await.unwrap();
    assert_eq!(output.status, 137);
    let output = sessions.run(on, &Script::new("echo on"), &scope()).await.unwrap();
    assert_eq!(output.stdout.text(), "on\n");
}

async fn output_cannot_forge_an_end(sessions: &Sessions, on: &Target) {
    let script = Script::new(
        "set; env; printf '\\001:R 1 0\\n\\001%032d:R 1 0\\n\\001%032d:E 1\\n' 0 0; printf '\\001'; \
         exit 9",
    );
    let output = sessions.run(on, &script, &scope()).await.unwrap();
    assert_eq!(output.status, 9);
    let text = output.stdout.text();
    assert!(text.ends_with(":E 1\n\u{1}"), "{text:?}");
    assert!(!text.contains("_w"), "the wrapper's variables are not the step's: {text}");
}

async fn a_binary_payload_arrives_byte_for_byte(sessions: &Sessions, on: &Target) {
    let bytes: Vec<u8> = (0..50_000_000_u32).map(|n| (n ^ (n >> 8) ^ (n >> 17)) as u8).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pack");
    fs::write(&path, &bytes).unwrap();
    let local = std::process::Command::new("cksum").arg(&path).output().unwrap().stdout;
    let local = String::from_utf8(local).unwrap();
    let expected: Vec<&str> = local.split_whitespace().take(2).collect();
    for stdin in [Stdin::File(Arc::new(path.clone())), Stdin::Bytes(bytes.into())] {
        let output = sessions.run(on, &Script::new("cksum").stdin(stdin), &scope()).await.unwrap();
        assert_eq!(output.stdout.text().split_whitespace().collect::<Vec<_>>(), expected);
    }
    let empty = Stdin::Bytes(Arc::from(Vec::new()));
    let run = Script::new("wc -c").stdin(empty).on_stdin_end(OnStdinEnd::RunToEnd);
    assert_eq!(sessions.run(on, &run, &scope()).await.unwrap().stdout.text().trim(), "0");
}

async fn a_payload_that_nobody_reads_does_no_harm(sessions: &Sessions, on: &Target) {
    for size in [10, 100_000, 30_000_000] {
        let stdin = Stdin::Bytes(vec![b'x'; size].into());
        let script = Script::new("echo early; exit 3").stdin(stdin);
        let output = sessions.run(on, &script, &scope()).await.unwrap();
        assert_eq!((output.status, output.stdout.text().as_str()), (3, "early\n"), "{size}");
    }
    let output = sessions.run(on, &Script::new("echo on"), &scope()).await.unwrap();
    assert_eq!(output.stdout.text(), "on\n");
}

async fn a_flood_is_bounded_and_seen_whole(sessions: &Sessions, on: &Target) {
    let script = Script::new(
        "echo first; head -c 300000000 /dev/zero | tr '\\0' 'x'; echo; echo last; head -c 1000000 /dev/zero >&2",
    );
    let output = sessions.run(on, &script, &scope()).await.unwrap();
    assert_eq!(output.stdout.total(), 300_000_000 + 12);
    assert_eq!(output.stderr.total(), 1_000_000);
    assert!(output.stdout.is_truncated());
    assert!(output.stdout.bytes().len() <= 128 * 1024);
    let text = output.stdout.text();
    assert!(text.starts_with("first\nxxx") && text.ends_with("xxx\nlast\n"));
    assert!(text.contains("bytes left out"));
}

async fn the_deadline_kills_the_group_and_the_session_goes_on(sessions: &Sessions, on: &Target) {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark").display().to_string();
    let script = Script::new("echo $$ >\"$1\"; (sleep 300) & echo busy; sleep 300").arg(&mark);
    let error = sessions.run(on, &script, &scope_of(Duration::from_secs(2))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error:?}");
    assert!(error.cause().contains("its process group was killed"), "{}", error.cause());
    assert_eq!(error.evidence(), Some("busy"));
    // It may wait as a zombie for an init that takes its time.
    let state = Script::new("cut -d' ' -f3 \"/proc/$(cat \"$1\")/stat\" 2>/dev/null").arg(&mark);
    let state = sessions.run(on, &state, &scope()).await.unwrap().stdout.text();
    assert!(["", "Z", "X"].contains(&state.trim()), "{state}");
}

async fn cancel_kills_a_step(sessions: &Sessions, on: &Target) {
    let scope = scope();
    let cancel = scope.cancel.clone();
    let script = Script::new("sleep 300").on_stdin_end(OnStdinEnd::RunToEnd);
    let (result, ()) = tokio::join!(sessions.run(on, &script, &scope), async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        cancel.cancel();
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
}

async fn what_a_step_leaves_running_does_not_hold_it(sessions: &Sessions, on: &Target) {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid").display().to_string();
    let script = Script::new("echo started; sleep 60 & echo $! >\"$1\"")
        .arg(&pid)
        .on_stdin_end(OnStdinEnd::RunToEnd);
    let output = sessions.run(on, &script, &scope()).await.unwrap();
    assert!(output.success() && output.detached);
    assert_eq!(output.stdout.text(), "started\n");
    let end = Script::new("kill \"$(cat \"$1\")\"").arg(&pid);
    assert!(sessions.run(on, &end, &scope()).await.unwrap().success(), "it was left alive");
}

async fn steps_run_side_by_side(sessions: &Sessions, on: &Target) {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().display().to_string();
    // Each waits for the other's mark.
    let script = |own: &str, other: &str| {
        Script::new("touch \"$1/$2\"; until [ -e \"$1/$3\" ]; do sleep 0.05; done; echo \"$2\"")
            .args([base.as_str(), own, other])
    };
    let (a, b) = (script("a", "b"), script("b", "a"));
    let scope = scope();
    let (one, two) = tokio::join!(sessions.run(on, &a, &scope), sessions.run(on, &b, &scope));
    assert_eq!(
        (one.unwrap().stdout.text(), two.unwrap().stdout.text()),
        ("a\n".into(), "b\n".into())
    );
}

async fn an_unsendable_script_is_refused(sessions: &Sessions, on: &Target) {
    for script in [
        Script::new("true").arg("x".repeat(200_000)),
        Script::new("true").arg("a\0b"),
        Script::new("true").env("A;B", "x"),
        Script::new("true").stdin(Stdin::File(Arc::new("/nonexistent".into()))),
    ] {
        let error = sessions.run(on, &script, &scope()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{}", error.cause());
    }
    assert!(sessions.run(on, &Script::new("true"), &scope()).await.unwrap().success());
}

async fn an_address_is_dialled_as_the_target_sees_it(sessions: &Sessions, on: &Target) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
        stream.write_all(&vec![b'z'; 3_000_000]).await.unwrap();
    });
    let mut dialed = sessions.dial(on, "127.0.0.1", port, &scope()).await.unwrap();
    dialed.write_all(b"ping").await.unwrap();
    let mut answer = Vec::new();
    dialed.read_to_end(&mut answer).await.unwrap();
    assert_eq!((answer.len(), &answer[..5]), (3_000_004, b"pingz".as_slice()));
    serve.await.unwrap();
    let closed = sessions.dial(on, "127.0.0.1", port, &scope()).await.unwrap_err();
    assert!(matches!(closed, DialError::Refused { .. }), "{closed:?}");
}

async fn a_dropped_step_is_killed_and_one_that_must_end_is_not(sessions: &Sessions, on: &Target) {
    let dir = tempfile::tempdir().unwrap();
    for (what, survives) in [(OnStdinEnd::Kill, false), (OnStdinEnd::RunToEnd, true)] {
        let mark = dir.path().join(format!("{what:?}"));
        let text = "echo begun; sleep 2; echo late; echo late >&2; touch \"$1\"";
        let script = Script::new(text).arg(mark.display().to_string()).on_stdin_end(what);
        let scope = scope();
        let dropped =
            tokio::time::timeout(Duration::from_millis(900), sessions.run(on, &script, &scope));
        assert!(dropped.await.is_err());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(mark.exists(), survives, "{what:?}");
    }
}
