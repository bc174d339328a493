//! Host keys and logins: what is trusted, what is refused, and what is said about it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/sshd.rs"]
mod sshd;

use std::{
    fs,
    process::{Command, Stdio},
};

use deploy_core::backend::{BackendError, ErrorKind};
use deploy_ssh::session::Script;
use sshd::{Client, Sshd, make_key, one_host, public_key, scope, target};

async fn try_h1(client: &Client) -> Result<(), BackendError> {
    let sessions = client.sessions();
    sessions.run(&target("h1"), &Script::new("true"), &scope()).await.map(drop)
}

/// A client and an sshd whose key is not yet known.
fn strangers() -> (Sshd, Client) {
    let client = Client::new();
    let sshd = Sshd::start(&client, "");
    client.host("h1", sshd.port, "StrictHostKeyChecking no");
    (sshd, client)
}

#[tokio::test]
async fn an_unknown_key_is_refused_whatever_ssh_would_do() {
    let (sshd, client) = strangers();
    let error = try_h1(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.cause(), "its host key is not known", "the same for every such host");
    let shown = format!("[127.0.0.1]:{} shows ssh-ed25519 SHA256:", sshd.port);
    assert!(error.evidence().unwrap().starts_with(&shown), "{:?}", error.evidence());
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("ssh-keyscan -H -p {} 127.0.0.1 >> ", sshd.port)), "{hint}");
    // What the hint says works.
    let command = hint.split_once(": ").unwrap().1;
    let status = Command::new("sh").args(["-c", command]).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    try_h1(&client).await.unwrap();
}

#[tokio::test]
async fn a_changed_key_is_refused_with_both_fingerprints_and_the_cure() {
    let (sshd, client) = strangers();
    make_key(&client.path("other"), "");
    let other = public_key(&client.path("other.pub"));
    client.know(&format!("[127.0.0.1]:{} {other}", sshd.port));
    let error = try_h1(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.cause(), "its host key has changed");
    let seen = error.evidence().unwrap();
    assert_eq!(seen.matches("SHA256:").count(), 2, "{seen}");
    assert!(seen.contains("known_hosts:1"), "{seen}");
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("ssh-keygen -R '[127.0.0.1]:{}'", sshd.port)), "{hint}");
}

#[tokio::test]
async fn a_revoked_key_is_refused_though_it_is_known() {
    let (sshd, client) = strangers();
    client.know(&format!("[127.0.0.1]:{} {}", sshd.port, sshd.host_key()));
    try_h1(&client).await.unwrap();
    client.know(&format!("@revoked * {}", sshd.host_key()));
    let error = try_h1(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.cause(), "its host key is revoked");
    assert!(error.evidence().unwrap().contains("revoked in"), "{:?}", error.evidence());
}

#[tokio::test]
async fn hashed_names_wildcards_and_bad_lines_are_read_as_ssh_reads_them() {
    let (sshd, client) = strangers();
    client.know("this line is no line").know(&format!("[127.0.0.*]:* {}", sshd.host_key()));
    try_h1(&client).await.unwrap();

    let (sshd, client) = strangers();
    client.know(&format!("[127.0.0.1]:{} {}", sshd.port, sshd.host_key()));
    let hashed = Command::new("ssh-keygen")
        .args(["-H", "-f"])
        .arg(client.path("known_hosts"))
        .output()
        .unwrap();
    assert!(hashed.status.success());
    assert!(fs::read_to_string(client.path("known_hosts")).unwrap().starts_with("|1|"));
    try_h1(&client).await.unwrap();
}

#[tokio::test]
async fn the_type_of_key_that_is_known_is_asked_for() {
    let client = Client::new();
    let dir = tempfile::tempdir().unwrap();
    let rsa = dir.path().join("rsa");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
        .arg(&rsa)
        .status()
        .unwrap();
    assert!(made.success());
    let sshd = Sshd::start(&client, &format!("HostKey {}", rsa.display()));
    client.host("h1", sshd.port, "");
    client.know(&format!("[127.0.0.1]:{} {}", sshd.port, public_key(&rsa.with_extension("pub"))));
    try_h1(&client).await.unwrap();
}

#[tokio::test]
async fn an_alias_of_the_key_stands_for_the_host() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "");
    client.host("h1", sshd.port, "HostKeyAlias farm").know(&format!("farm {}", sshd.host_key()));
    try_h1(&client).await.unwrap();
}

#[tokio::test]
async fn a_refused_login_names_user_host_and_keys() {
    let (sshd, client, sessions) = one_host("");
    fs::write(sshd.dir.path().join("authorized"), "").unwrap();
    let error = sessions.run(&target("h1"), &Script::new("true"), &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    let cause = error.cause();
    let port = sshd.port;
    let who = format!("{} was refused the login", sshd::user());
    assert!(cause.contains(&who), "{cause}");
    assert_eq!(error.evidence(), Some(format!("address: 127.0.0.1:{port}").as_str()));
    assert!(cause.contains(&client.path("id").display().to_string()), "{cause}");
    let config = client.path("config").display().to_string();
    let command = format!("ssh -F {config} -o BatchMode=yes h1 true");
    assert_eq!(error.hint(), Some(format!("see that `{command}` works").as_str()));
    let by_hand = || Command::new("sh").args(["-c", &command]).status().unwrap().success();
    assert!(!by_hand());
    let key = fs::read(client.path("id.pub")).unwrap();
    fs::write(sshd.dir.path().join("authorized"), key).unwrap();
    assert!(by_hand(), "it works when the login would");
}

#[tokio::test]
async fn an_sshd_that_wants_a_password_is_not_given_one() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "PubkeyAuthentication no\nPasswordAuthentication yes");
    client.trust("h1", &sshd, "");
    let error = try_h1(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.cause().contains("it only takes: password"), "{}", error.cause());
}

#[tokio::test]
async fn an_encrypted_key_is_for_the_agent() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "");
    make_key(&client.path("locked"), "secret");
    client.trust("h1", &sshd, "IdentityFile %d/nothing");
    let config = fs::read_to_string(client.path("config")).unwrap();
    let locked = client.path("locked").display().to_string();
    let own = format!("IdentityFile {}\n", client.path("id").display());
    let config = config.replace(&own, &format!("IdentityFile {locked}\n"));
    fs::write(client.path("config"), config).unwrap();
    let error = try_h1(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.cause().contains("locked is encrypted; ssh-add it"), "{}", error.cause());
    assert!(error.hint().unwrap().contains("ssh-add"));
}

#[tokio::test]
async fn a_key_of_the_agent_logs_in() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "");
    let socket = client.path("agent");
    let mut agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..200 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    // Six keys that do not fit, and one that does: five are tried, the configured one first.
    for n in 0..6 {
        make_key(&client.path(&format!("k{n}")), "");
        add(&socket, &client.path(&format!("k{n}")));
    }
    add(&socket, &client.path("id"));
    fs::remove_file(client.path("id")).unwrap();
    let options = format!("IdentityAgent {}\nIdentitiesOnly no", socket.display());
    client.trust("h1", &sshd, &options);
    let result = try_h1(&client).await;
    // Without its public half, the key is the seventh: it is said that it was not tried.
    fs::remove_file(client.path("id.pub")).unwrap();
    let error = try_h1(&client).await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    result.unwrap();
    assert!(error.unwrap_err().cause().contains("2 more keys of the agent were not tried"));
}

fn add(socket: &std::path::Path, key: &std::path::Path) {
    let added = Command::new("ssh-add")
        .arg("-q")
        .arg(key)
        .env("SSH_AUTH_SOCK", socket)
        .stderr(Stdio::null())
        .status();
    assert!(added.unwrap().success());
}

#[tokio::test]
async fn a_user_certificate_logs_in() {
    let client = Client::new();
    make_key(&client.path("ca"), "");
    let user = sshd::user();
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(client.path("ca"))
        .args(["-I", "test", "-n", &user])
        .arg(client.path("id.pub"))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(signed.success());
    let authority = client.path("ca.pub");
    let sshd = Sshd::start(&client, &format!("TrustedUserCAKeys {}", authority.display()));
    fs::write(sshd.dir.path().join("authorized"), "").unwrap();
    client.trust("h1", &sshd, "");
    try_h1(&client).await.unwrap();
}
