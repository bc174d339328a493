//! Hosts that are known by the word of an authority: real certificates of a real sshd, and what
//! ssh itself says of each.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/sshd.rs"]
mod sshd;

use std::process::{Command, Stdio};

use deploy_core::backend::{BackendError, ErrorKind};
use deploy_ssh::session::Script;
use sshd::{Client, Sshd, make_key, public_key, scope, target};

/// An sshd with a certified key, and a client that knows no key yet.
struct Certified {
    client: Client,
    sshd: Sshd,
}

impl Certified {
    /// Its key is signed by the client's authority `ca`, as `options` of ssh-keygen say.
    fn by(options: &[&str]) -> Self {
        Self::of_kind("ed25519", options)
    }

    fn of_kind(kind: &str, options: &[&str]) -> Self {
        let client = Client::new();
        make_key(&client.path("ca"), "");
        make_key(&client.path("other"), "");
        let key = client.path("certified");
        let make = ["-q", "-t", kind, "-N", "", "-f"];
        let made = Command::new("ssh-keygen").args(make).arg(&key).status().unwrap();
        assert!(made.success());
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-I", "test", "-s"])
            .arg(client.path("ca"))
            .args(options)
            .arg(client.path("certified.pub"))
            .status()
            .unwrap();
        assert!(signed.success());
        let key = key.display();
        let sshd = Sshd::start(&client, &format!("HostKey {key}\nHostCertificate {key}-cert.pub"));
        client.host("h1", sshd.port, "StrictHostKeyChecking yes\nBatchMode yes");
        Self { client, sshd }
    }

    /// The authority may vouch for hosts like this one.
    fn trusted(self, authority: &str) -> Self {
        let key = public_key(&self.client.path(&format!("{authority}.pub")));
        self.client.know(&format!("@cert-authority [127.0.0.*]:* {key}"));
        self
    }

    fn knows(self, line: &str, key: &str) -> Self {
        let key = public_key(&self.client.path(&format!("{key}.pub")));
        self.client.know(&line.replace("KEY", &key));
        self
    }

    async fn login(&self) -> Result<(), BackendError> {
        let sessions = self.client.sessions();
        sessions.run(&target("h1"), &Script::new("true"), &scope()).await.map(drop)
    }

    /// Whether ssh itself lets us in.
    fn ssh_agrees(&self) -> bool {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.client.path("config")).args(["h1", "true"]);
        ssh.stdin(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    #[track_caller]
    fn refused(&self, outcome: Result<(), BackendError>, cause: &str) -> BackendError {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert_eq!(error.cause(), cause);
        assert!(!self.ssh_agrees(), "ssh lets in what we refuse: {cause}");
        error
    }
}

const GOOD: [&str; 3] = ["-h", "-n", "127.0.0.1"];

#[tokio::test]
async fn a_host_is_known_by_its_authority_alone() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let host = Certified::of_kind(kind, &GOOD).trusted("ca");
        host.login().await.unwrap();
        assert!(host.ssh_agrees(), "{kind}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let host = Certified::by(&GOOD).trusted("other");
    let error = host.refused(
        host.login().await,
        "its host certificate is signed by an authority that is not known for it",
    );
    assert_eq!(error.evidence().unwrap().matches("SHA256:").count(), 2, "{:?}", error.evidence());
    assert!(error.hint().unwrap().contains("@cert-authority"), "{:?}", error.hint());
}

#[tokio::test]
async fn an_authority_for_other_hosts_is_none_for_this_one() {
    let host = Certified::by(&GOOD).knows("@cert-authority *.example.org KEY", "ca");
    host.refused(host.login().await, "its host key is not known");
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_refused() {
    let window = |window: &'static str| ["-h", "-n", "127.0.0.1", "-V", window];
    let host = Certified::by(&window("-2h:-1h")).trusted("ca");
    let error = host.refused(host.login().await, "its host certificate has expired");
    assert!(error.evidence().unwrap().contains("it was valid until 20"), "{:?}", error.evidence());
    let host = Certified::by(&window("+1h:+2h")).trusted("ca");
    host.refused(host.login().await, "its host certificate is not valid yet");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let host = Certified::by(&["-h", "-n", "h2.example.org,127.0.0.*"]).trusted("ca");
    let error = host.refused(host.login().await, "its host certificate is for other names");
    let seen = error.evidence().unwrap();
    assert!(seen.ends_with("it is for h2.example.org, 127.0.0.*"), "{seen}");
}

#[tokio::test]
async fn a_certificate_for_all_names_is_refused_though_ssh_may_take_it() {
    let host = Certified::by(&["-h"]).trusted("ca");
    let error = host.login().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.cause().contains("names no host"), "{}", error.cause());
}

#[tokio::test]
async fn a_certificate_for_users_is_refused() {
    let host = Certified::by(&["-n", "127.0.0.1"]).trusted("ca");
    host.refused(host.login().await, "its host certificate is one for users, not for hosts");
}

#[tokio::test]
async fn an_authority_does_not_make_a_plain_key_known() {
    let client = Client::new();
    let sshd = Sshd::start(&client, "");
    client.host("h1", sshd.port, "").know(&format!("@cert-authority * {}", sshd.host_key()));
    let sessions = client.sessions();
    let error = sessions.run(&target("h1"), &Script::new("true"), &scope()).await.unwrap_err();
    assert_eq!(error.cause(), "its host key is not known");
    assert!(error.hint().unwrap().contains("shows no certificate"), "{:?}", error.hint());
}

#[tokio::test]
async fn a_condition_that_is_not_known_is_refused() {
    let host = Certified::by(&["-h", "-n", "127.0.0.1", "-O", "critical:x=y"]).trusted("ca");
    host.refused(
        host.login().await,
        "its host certificate sets a condition that is not known here (a critical option)",
    );
}

#[tokio::test]
async fn a_revoked_key_or_authority_is_refused_whatever_else_is_known() {
    for revoked in ["certified", "ca"] {
        let host = Certified::by(&GOOD)
            .trusted("ca")
            .knows("[127.0.0.1]:* KEY", "certified")
            .knows("@revoked * KEY", revoked);
        let error = host.refused(host.login().await, "its host key is revoked");
        assert!(error.evidence().unwrap().contains("known_hosts:3"), "{:?}", error.evidence());
    }
}

#[tokio::test]
async fn a_key_that_is_known_needs_no_certificate() {
    let host =
        Certified::by(&["-h", "-n", "h2"]).trusted("ca").knows("[127.0.0.1]:* KEY", "certified");
    host.login().await.unwrap();
    assert!(host.ssh_agrees());
    // One that is only known as another host's proves nothing.
    let host = Certified::by(&["-h", "-n", "h2"]).trusted("ca").knows("[127.0.0.1]:* KEY", "other");
    host.refused(host.login().await, "its host certificate is for other names");
}

#[tokio::test]
async fn an_alias_is_the_name_that_the_certificate_must_have() {
    let host = Certified::by(&["-h", "-n", "farm"]);
    let key = public_key(&host.client.path("ca.pub"));
    host.client.know(&format!("@cert-authority farm {key}"));
    let strict = "HostKeyAlias farm\nStrictHostKeyChecking yes\nBatchMode yes";
    host.client.host("h2", host.sshd.port, strict);
    let sessions = host.client.sessions();
    sessions.run(&target("h2"), &Script::new("true"), &scope()).await.unwrap();
    host.refused(host.login().await, "its host key is not known");
}

#[tokio::test]
async fn only_allowed_ways_of_signing_count() {
    let host = Certified::by(&GOOD).trusted("ca");
    let strict = "CASignatureAlgorithms rsa-sha2-512\nStrictHostKeyChecking yes\nBatchMode yes";
    host.client.host("h2", host.sshd.port, strict);
    let sessions = host.client.sessions();
    let error = sessions.run(&target("h2"), &Script::new("true"), &scope()).await.unwrap_err();
    assert!(error.cause().contains("CASignatureAlgorithms"), "{}", error.cause());
}
