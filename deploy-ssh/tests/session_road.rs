//! Jump hosts, proxy commands, and names that must stay inert.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/sshd.rs"]
mod sshd;

use std::fs;

use deploy_core::{backend::ErrorKind, model::Target};
use deploy_ssh::session::{Script, Sessions, SshConfig, Stdin};
use sshd::{Client, Sshd, free_port, scope, target};

fn hello() -> Script {
    Script::new("echo hello")
}

#[tokio::test]
async fn a_jump_host_carries_many_on_one_connection() {
    let client = Client::new();
    let bastion = Sshd::start(&client, "");
    let inner = Sshd::start(&client, "");
    client.trust("bastion", &bastion, "");
    client.know(&format!("[127.0.0.1]:{} {}", inner.port, inner.host_key()));
    client.host("h*", inner.port, "ProxyJump bastion");
    let sessions = client.sessions();
    let (h1, h2) = (target("h1"), target("h2"));
    let payload = Script::new("wc -c").stdin(Stdin::Bytes(vec![7; 20_000_000].into()));
    let (scope, hello) = (scope(), hello());
    let (one, two) =
        tokio::join!(sessions.run(&h1, &payload, &scope), sessions.run(&h2, &hello, &scope));
    assert_eq!(one.unwrap().stdout.text().trim(), "20000000");
    assert_eq!(two.unwrap().stdout.text(), "hello\n");
    assert_eq!((bastion.logins(), inner.logins()), (1, 2));
}

#[tokio::test]
async fn jump_hosts_stand_in_a_row() {
    let client = Client::new();
    let (first, second, inner) =
        (Sshd::start(&client, ""), Sshd::start(&client, ""), Sshd::start(&client, ""));
    client.trust("b1", &first, "").trust("b2", &second, "").trust("h1", &inner, "ProxyJump b1,b2");
    let output = client.sessions().run(&target("h1"), &hello(), &scope()).await.unwrap();
    assert!(output.success());
    assert_eq!((first.logins(), second.logins(), inner.logins()), (1, 1, 1));
}

#[tokio::test]
async fn a_jump_host_that_fails_is_blamed_and_asked_once() {
    let client = Client::new();
    let port = free_port();
    client.host("bastion", port, "").host("h*", 22, "ProxyJump bastion");
    let sessions = client.sessions();
    let (h1, h2, hello) = (target("h1"), target("h2"), hello());
    let scope = scope();
    let (one, two) =
        tokio::join!(sessions.run(&h1, &hello, &scope), sessions.run(&h2, &hello, &scope));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.cause().starts_with("jump host bastion: "), "{}", error.cause());
    }
}

#[tokio::test]
async fn a_host_that_its_jump_host_cannot_reach_is_not_the_jump_hosts_fault() {
    let client = Client::new();
    let bastion = Sshd::start(&client, "");
    client.trust("bastion", &bastion, "").host("h1", free_port(), "ProxyJump bastion");
    let error = client.sessions().run(&target("h1"), &hello(), &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.cause().contains("as seen from jump host bastion"), "{}", error.cause());
}

#[tokio::test]
async fn a_jump_host_that_forbids_is_blamed() {
    let client = Client::new();
    let bastion = Sshd::start(&client, "AllowTcpForwarding no");
    client.trust("bastion", &bastion, "").host("h1", 22, "ProxyJump bastion");
    let error = client.sessions().run(&target("h1"), &hello(), &scope()).await.unwrap_err();
    assert!(error.cause().contains("jump host bastion"), "{}", error.cause());
    assert!(error.cause().contains("forbids"), "{}", error.cause());
}

#[tokio::test]
async fn jump_hosts_in_a_circle_are_refused() {
    let client = Client::new();
    client.host("b1", 22, "ProxyJump b2").host("b2", 22, "ProxyJump b1");
    let error = client.sessions().run(&target("b1"), &hello(), &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{}", error.cause());
    assert!(error.cause().contains("circle"), "{}", error.cause());
}

#[tokio::test]
async fn a_proxy_command_carries_a_session() {
    let client = Client::new();
    let inner = Sshd::start(&client, "");
    let mark = client.path("proxied");
    let relay = format!(
        "sh -c 'echo %h %p $(ps -o pgid= -p $$) >{}; exec bash -c \"exec 3<>/dev/tcp/%h/%p; cat <&3 & exec cat >&3\"'",
        mark.display()
    );
    client.trust("h1", &inner, &format!("ProxyCommand {relay}"));
    let output = client.sessions().run(&target("h1"), &hello(), &scope()).await.unwrap();
    assert!(output.success());
    let said = fs::read_to_string(mark).unwrap();
    let ours = nix::unistd::getpgrp();
    let (address, group) = said.trim().rsplit_once(' ').unwrap();
    assert_eq!(address, format!("127.0.0.1 {}", inner.port));
    assert_ne!(group, ours.to_string(), "a Ctrl-C at the terminal does not reach it");
}

#[tokio::test]
async fn a_proxy_command_that_fails_is_told() {
    let client = Client::new();
    client.host("h1", 22, "ProxyCommand sh -c 'echo no route >&2'");
    let error = client.sessions().run(&target("h1"), &hello(), &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert_eq!(error.cause(), "the ProxyCommand ended: no route");
}

#[tokio::test]
async fn names_of_targets_are_inert() {
    let client = Client::new();
    let mark = client.path("mark");
    client.host("*", free_port(), &format!("ProxyCommand touch {}; false", mark.display()));
    for name in ["a@-b", "x@[y", "a/b", "h1:port", "@", ":22"] {
        let Ok(name) = name.parse::<Target>() else { continue };
        let error = client.sessions().run(&name, &hello(), &scope()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{name}: {}", error.cause());
    }
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_missing_configuration_is_told() {
    let mut config = SshConfig::default();
    config.config_file = Some("/nonexistent/config".into());
    let error = Sessions::new(config).run(&target("h1"), &hello(), &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("/nonexistent/config"), "{}", error.cause());
}
