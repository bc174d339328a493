//! Links that freeze, break or never come to be.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/sshd.rs"]
mod sshd;

use std::{net::TcpListener, sync::Arc, time::Duration};

use deploy_core::backend::ErrorKind;
use deploy_ssh::session::{OnStdinEnd, Script, Sessions, Stdin};
use nix::sys::signal::Signal;
use sshd::{Client, Sshd, free_port, one_host, scope, scope_of, target};

fn hello() -> Script {
    Script::new("echo hello")
}

#[tokio::test]
async fn a_frozen_sshd_is_a_lost_link_and_the_next_use_connects_anew() {
    let (sshd, _client, sessions) = one_host("");
    let h1 = target("h1");
    sessions.run(&h1, &hello(), &scope()).await.unwrap();
    let script = Script::new("sleep 20");
    let scope = scope();
    let (result, ()) = tokio::join!(sessions.run(&h1, &script, &scope), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        sshd.signal(Signal::SIGSTOP);
    });
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
    assert!(error.cause().contains("no sign of life"), "{}", error.cause());
    assert!(sessions.run(&h1, &hello(), &scope).await.unwrap().success());
    assert_eq!(sshd.logins(), 2, "one connection before the loss, one after");
    sshd.signal(Signal::SIGCONT);
}

#[tokio::test]
async fn a_killed_sshd_is_a_lost_link_and_what_must_end_ends() {
    let (sshd, _client, sessions) = one_host("");
    let h1 = target("h1");
    let dir = tempfile::tempdir().unwrap();
    for (what, survives) in [(OnStdinEnd::Kill, false), (OnStdinEnd::RunToEnd, true)] {
        let mark = dir.path().join(format!("{what:?}"));
        let text = "echo begun; sleep 2; echo late; echo late >&2; touch \"$1\"";
        let script = Script::new(text).arg(mark.display().to_string()).on_stdin_end(what);
        let scope = scope();
        let (result, ()) = tokio::join!(sessions.run(&h1, &script, &scope), async {
            tokio::time::sleep(Duration::from_millis(1000)).await;
            sshd.signal(Signal::SIGKILL);
        });
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Lost);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(mark.exists(), survives, "{what:?}");
    }
}

#[tokio::test]
async fn a_payload_that_was_cut_off_is_never_taken_for_whole() {
    let (sshd, _client, sessions) = one_host("");
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("whole");
    // More than what fits on the way, to a reader who takes his time.
    let script = Script::new("head -c 1000 >/dev/null; sleep 2; cat >/dev/null; touch \"$1\"")
        .arg(mark.display().to_string())
        .stdin(Stdin::Bytes(vec![b'x'; 30_000_000].into()))
        .on_stdin_end(OnStdinEnd::RunToEnd);
    let (h1, scope) = (target("h1"), scope());
    let (result, ()) = tokio::join!(sessions.run(&h1, &script, &scope), async {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        sshd.signal(Signal::SIGKILL);
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Lost);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_link_that_died_while_idle_is_replaced_without_a_word() {
    let (sshd, _client, sessions) = one_host("");
    let h1 = target("h1");
    sessions.run(&h1, &hello(), &scope()).await.unwrap();
    sshd.signal(Signal::SIGKILL);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(sessions.run(&h1, &hello(), &scope()).await.unwrap().success());
    sshd.signal(Signal::SIGSTOP);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(sessions.run(&h1, &hello(), &scope()).await.unwrap().success());
    assert_eq!(sshd.logins(), 3);
    sshd.signal(Signal::SIGCONT);
}

#[tokio::test]
async fn the_end_of_the_remote_shell_is_no_success() {
    let (_sshd, _client, sessions) = one_host("");
    let script = Script::new("kill -9 0; sleep 5");
    let error = sessions.run(&target("h1"), &script, &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.cause().contains("without its last frame"), "{}", error.cause());
    assert!(sessions.run(&target("h1"), &hello(), &scope()).await.unwrap().success());
}

async fn reach(client: &Client) -> (ErrorKind, String) {
    let error = client.sessions().run(&target("h1"), &hello(), &scope()).await.unwrap_err();
    (error.kind(), error.cause())
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let client = Client::new();
    client.host("h1", free_port(), "");
    let (kind, cause) = reach(&client).await;
    assert_eq!(kind, ErrorKind::Unreachable);
    assert!(cause.contains("refused"), "{cause}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let client = Client::new();
    client.host("other", 22, "");
    let error = client
        .sessions()
        .run(&target("no-such-host.invalid"), &hello(), &scope())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{}", error.cause());
    assert!(error.cause().contains("cannot be resolved"), "{}", error.cause());
    assert_eq!(error.evidence(), Some("name: \"no-such-host.invalid\""));
}

#[tokio::test]
async fn an_sshd_that_never_answers_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new();
    client.host("h1", listener.local_addr().unwrap().port(), "ConnectTimeout 1");
    let (kind, cause) = reach(&client).await;
    assert_eq!(kind, ErrorKind::Unreachable);
    assert!(cause.contains("no answer within 1 s"), "{cause}");
}

#[tokio::test]
async fn swallowed_packets_are_unreachable_for_all_who_wait() {
    // A listener whose queue is full answers no more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..600 {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(stream) => waiting.push(stream),
            Err(_) => break,
        }
    }
    let client = Client::new();
    client.host("h1", address.port(), "ConnectTimeout 1");
    let sessions = client.sessions();
    let (h1, hello) = (target("h1"), hello());
    let scope = scope();
    let (one, two) =
        tokio::join!(sessions.run(&h1, &hello, &scope), sessions.run(&h1, &hello, &scope));
    for result in [one, two] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{}", error.cause());
    }
}

#[tokio::test]
async fn a_start_keeps_the_deadline_and_the_order_to_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new();
    client.host("h1", listener.local_addr().unwrap().port(), "ConnectTimeout 60");
    let sessions = client.sessions();
    let short = scope_of(Duration::from_millis(800));
    let error = sessions.run(&target("h1"), &hello(), &short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let scope = scope();
    scope.cancel.cancel();
    let error = sessions.run(&target("h1"), &hello(), &scope).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_login_shell_that_refuses_is_told() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "ForceCommand echo 'account closed'; exit 1");
    client.trust("h1", &sshd, "");
    let (kind, cause) = reach(&client).await;
    assert_eq!(kind, ErrorKind::Rejected);
    assert!(cause.contains("account closed"), "{cause}");
}

#[tokio::test]
async fn a_talkative_login_shell_is_not_listened_to() {
    let client = Client::new();
    let talk = "echo motd; printf '\\001x:R 1 0\\n'; echo warn >&2; eval \"$SSH_ORIGINAL_COMMAND\"";
    let sshd = Sshd::start(&client, &format!("ForceCommand {talk}"));
    client.trust("h1", &sshd, "");
    let output = client.sessions().run(&target("h1"), &hello(), &scope()).await.unwrap();
    assert_eq!(output.stdout.text(), "hello\n");
}

#[tokio::test]
async fn a_burst_loses_nobody() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "MaxStartups 2:50:4");
    client.know(&format!("[127.0.0.1]:{} {}", sshd.port, sshd.host_key()));
    client.host("h*", sshd.port, "");
    let sessions = Arc::new(Sessions::new(client.options()));
    let runs: Vec<_> = (0..20)
        .map(|n| {
            let sessions = sessions.clone();
            tokio::spawn(async move {
                let host = target(&format!("h{n}"));
                sessions.run(&host, &hello(), &scope()).await.map(|output| output.stdout.text())
            })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap().unwrap(), "hello\n");
    }
    assert_eq!(sshd.logins(), 20);
}

#[tokio::test]
async fn an_sshd_with_one_channel_serves_one_step_after_the_other() {
    let (sshd, _client, sessions) = one_host("MaxSessions 1");
    let h1 = target("h1");
    let (slow, hello) = (Script::new("sleep 1; echo slow"), hello());
    let scope = scope();
    let (one, two) =
        tokio::join!(sessions.run(&h1, &slow, &scope), sessions.run(&h1, &hello, &scope));
    assert_eq!(one.unwrap().stdout.text(), "slow\n");
    assert_eq!(two.unwrap().stdout.text(), "hello\n");
    assert_eq!(sshd.logins(), 1);
    // There is no second channel to kill over: the link is cut, and what became of it is not known.
    let short = scope_of(Duration::from_millis(800));
    let error = sessions.run(&h1, &Script::new("sleep 30"), &short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.cause().contains("may still run"), "{}", error.cause());
    assert!(sessions.run(&h1, &hello, &scope).await.unwrap().success());
}
