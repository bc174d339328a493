//! Registries that send for a token, are slow, answer in pages, or lead elsewhere.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use deploy_core::{
    backend::{BackendError, ErrorKind, VersionSource},
    model::{Scheme, Version, VersionRef},
};
use deploy_k8s::RegistrySource;
use rcgen::{CertificateParams, KeyPair, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xtask::Registry;

use super::answers::{Answers, Asked};

const NAME: &str = "services/mathoid";
/// ann:secret.
const LOGIN: &str = "YW5uOnNlY3JldA==";

/// Signs tokens that a registry believes which knows its certificate.
struct Signer {
    key: KeyPair,
    der: Vec<u8>,
    pem: String,
}

impl Signer {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["tests".into()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        Self { key, der: certificate.der().to_vec(), pem: certificate.pem() }
    }

    /// A token for `actions` (ES256, with the certificate beside it).
    fn token(&self, actions: &[&str]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let certificate = BASE64_STANDARD.encode(&self.der);
        let head = part(json!({ "typ": "JWT", "alg": "ES256", "x5c": [certificate] }));
        let access = json!([{ "type": "repository", "name": NAME, "actions": actions }]);
        let claims = part(json!({
            "iss": "tests", "sub": "ann", "aud": "registry", "jti": "1", "access": access,
            "iat": now, "nbf": now - 10, "exp": now + 600,
        }));
        let signature = self.key.sign(format!("{head}.{claims}").as_bytes()).unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.encode(fixed(&signature));
        format!("{head}.{claims}.{signature}")
    }
}

/// Two numbers of 32 bytes, out of ASN.1.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        rest = after;
        let number: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        numbers.extend(vec![0; 32 - number.len()]);
        numbers.extend(number);
    }
    numbers
}

fn named(name: &str) -> VersionRef {
    VersionRef::Named(name.to_owned())
}

/// A source whose Docker configuration is `config`.
fn source(host: &str, config: &Value) -> (tempfile::TempDir, RegistrySource) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    fs::write(&file, config.to_string()).unwrap();
    let name = format!("{host}/{NAME}").parse().unwrap();
    let source = RegistrySource::with_docker_config(name, Scheme::Any, file).unwrap();
    (dir, source)
}

async fn resolve(host: &str, config: &Value, tag: &str) -> Result<Version, BackendError> {
    let (_dir, source) = source(host, config);
    source.resolve(&named(tag)).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry (cargo xtask kube build)"]
async fn a_registry_that_sends_for_a_token_is_shown_one() {
    let signer = Arc::new(Signer::new());
    let signing = Arc::clone(&signer);
    let service = Answers::new(move |asked| {
        let is_refresh = asked.body.contains("refresh_token=r3fresh");
        let token = match asked.authorization.as_str() {
            _ if is_refresh => signing.token(&["pull"]),
            login if login == format!("Basic {LOGIN}") => signing.token(&["pull"]),
            // Anybody gets one, that opens nothing.
            "" => signing.token(&[]),
            _ => return "401 Unauthorized\n\n".to_owned(),
        };
        format!("200 OK\n\n{}", json!({ "token": token }))
    });
    let realm = format!("http://127.0.0.1:{}/token", service.port);
    let mut registry = Registry::with_tokens(&realm, &signer.pem).unwrap();
    registry.show_token(signer.token(&["pull", "push"]));
    let digest = registry.push(NAME, "v1", &[]).unwrap();
    let host = registry.host();
    let with = |entry: Value| json!({ "auths": { host.clone(): entry } });

    let config = with(json!({ "auth": LOGIN }));
    let (_dir, source) = source(&host, &config);
    assert_eq!(source.resolve(&named("v1")).await.unwrap().id.as_str(), digest);
    assert_eq!(source.list(5).await.unwrap().len(), 1);
    let asked = service.asked();
    assert_eq!(asked.len(), 1, "one token is enough: {asked:?}");
    let scope = "scope=repository%3Aservices%2Fmathoid%3Apull&service=registry";
    assert!(asked[0].line.contains(scope), "{asked:?}");

    let refresh = with(json!({ "auth": LOGIN, "identitytoken": "r3fresh" }));
    let version = resolve(&host, &refresh, "v1").await.unwrap();
    assert_eq!(version.id.as_str(), digest);
    let wrong = with(json!({ "auth": "YW5uOndyb25n" }));
    for nobody in [wrong, json!({})] {
        let refused = resolve(&host, &nobody, "v1").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied, "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry (cargo xtask kube build)"]
async fn a_tag_that_means_something_else_by_now_is_a_conflict() {
    let registry = Registry::up(false).unwrap();
    let host = registry.host();
    let old = registry.push(NAME, "v2", &[("a", "b")]).unwrap();
    let planned = format!("v2@{old}");
    let version = resolve(&host, &json!({}), &planned).await.unwrap();
    assert_eq!((version.id.as_str(), version.name.as_deref()), (old.as_str(), Some("v2")));
    let new = registry.push(NAME, "v2", &[("a", "c")]).unwrap();
    let error = resolve(&host, &json!({}), &planned).await.unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Conflict, Some("plan again")));
    assert_eq!(error.cause(), format!("the tag v2 was {old} when it was planned, and is {new}"));
    let error = resolve(&host, &json!({}), "v2@sha256:00").await.unwrap_err();
    assert!(error.cause().contains("neither a tag nor a digest"), "{}", error.cause());
    let error = resolve(&host, &json!({}), &format!("v3@{old}")).await.unwrap_err();
    assert_eq!(error.hint(), Some("there is v2"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry (cargo xtask kube build)"]
async fn one_odd_tag_does_not_spoil_the_list() {
    let registry = Registry::up(false).unwrap();
    let host = registry.host();
    registry.push(NAME, "v1", &[("org.opencontainers.image.title", "Mathoid")]).unwrap();
    let chart = "application/vnd.cncf.helm.config.v1+json";
    registry.push_artifact((NAME, "chart"), chart, r#"{"name":"mathoid"}"#).unwrap();
    let image = "application/vnd.oci.image.config.v1+json";
    let odd = r#"{"created":"yesterday","author":"Ann"}"#;
    registry.push_artifact((NAME, "odd-date"), image, odd).unwrap();
    registry.push_artifact((NAME, "no-config"), image, "none").unwrap();
    let gone = registry.push(NAME, "gone", &[("x", "y")]).unwrap();
    registry.delete(NAME, &gone).unwrap();
    let (_dir, source) = source(&host, &json!({}));
    let mut listed: Vec<(String, String, String)> = source
        .list(10)
        .await
        .unwrap()
        .into_iter()
        .map(|it| (it.version.name.unwrap(), it.subject, it.author))
        .collect();
    listed.sort();
    let expected =
        [("chart", "", ""), ("no-config", "", ""), ("odd-date", "", "Ann"), ("v1", "Mathoid", "")]
            .map(|(tag, subject, author)| (tag.to_owned(), subject.to_owned(), author.to_owned()));
    assert_eq!(listed, expected);
}

const SPEAKS: &str = "DEPLOY_TEST_HELPER";

/// Helpers are found in the `PATH`, so the test runs once more with one that has them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker-registry (cargo xtask kube build)"]
async fn credential_helpers_are_asked() {
    if std::env::var_os(SPEAKS).is_none() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("ann", r#"echo '{"Username":"ann","Secret":"secret"}'"#),
            ("none", "echo 'credentials not found in native keychain'; exit 1"),
            ("broken", "echo 's3cret is locked'; exit 1"),
            ("slow", "exec sleep 5"),
        ] {
            let file = dir.path().join(format!("docker-credential-{name}"));
            fs::write(&file, format!("#!/bin/sh\ncat >/dev/null\n{text}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        let again = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tokens::credential_helpers_are_asked", "--ignored"])
            .env("PATH", format!("{}:{path}", dir.path().display()))
            .env(SPEAKS, "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let private = Registry::up(true).unwrap();
    let host = private.host();
    let digest = private.push(NAME, "v1", &[]).unwrap();
    let store = |name: &str| json!({ "credsStore": name });
    let helper = json!({ "credHelpers": { host.clone(): "ann" } });
    for config in [store("ann"), helper] {
        assert_eq!(resolve(&host, &config, "v1").await.unwrap().id.as_str(), digest);
    }
    let refused = resolve(&host, &store("none"), "v1").await.unwrap_err();
    assert_eq!(refused.hint(), Some(format!("`docker login {host}`").as_str()), "nobody is known");
    let failed = resolve(&host, &store("broken"), "v1").await.unwrap_err();
    assert_eq!(failed.cause(), "the credential helper docker-credential-broken failed");
    assert!(!format!("{failed:?}").contains("s3cret"), "{failed:?}");
    let (_dir, source) = source(&host, &store("slow"));
    let source = source.patience(Duration::from_secs(1));
    let failed = source.resolve(&named("v1")).await.unwrap_err();
    assert_eq!(failed.cause(), "the credential helper gives no answer");
}

fn digest(text: &str) -> String {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_in_pages() {
    let manifest = r#"{"schemaVersion":2}"#;
    let server = Answers::new(move |asked| match asked.line.split_once("/tags/list?") {
        Some((_, "n=1000")) => {
            let next = format!("Link: </v2/{NAME}/tags/list?last=v2&n=1000>; rel=\"next\"");
            format!("200 OK\n{next}\n\n{}", json!({ "tags": ["v1", "v2"] }))
        }
        Some((_, "last=v2&n=1000")) => format!("200 OK\n\n{}", json!({ "tags": ["v3"] })),
        Some(_) => "400 Bad Request\n\n".to_owned(),
        None => format!("200 OK\nDocker-Content-Digest: {}\n\n{manifest}", digest(manifest)),
    });
    let (_dir, source) = source(&format!("127.0.0.1:{}", server.port), &json!({}));
    assert_eq!(source.list(10).await.unwrap().len(), 3);
    assert_eq!(source.resolve(&VersionRef::Latest).await.unwrap().id.as_str(), digest(manifest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_nowhere_else() {
    let thief = Answers::new(|_| format!("200 OK\n\n{}", json!({ "token": "t" })));
    let realm = format!("http://127.0.0.1:{}/token", thief.port);
    let challenge = format!("401 Unauthorized\nWWW-Authenticate: Bearer realm=\"{realm}\"\n\n");
    let away = Answers::new(move |_| challenge.clone());
    // Another host names where the login is to be sent.
    let target = format!("http://127.0.0.1:{}/", away.port);
    let registry = Answers::new(move |_| format!("307 Temporary Redirect\nLocation: {target}\n\n"));
    let host = format!("127.0.0.1:{}", registry.port);
    let config = json!({ "auths": { host.clone(): { "auth": LOGIN } } });
    let refused = resolve(&host, &config, "v1").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(thief.asked().is_empty() && away.asked().iter().all(|it| it.authorization.is_empty()));

    // The token service sends it on.
    let target = format!("http://127.0.0.1:{}/", thief.port);
    let tokens = Answers::new(move |_| format!("307 Temporary Redirect\nLocation: {target}\n\n"));
    let realm = format!("http://127.0.0.1:{}/token", tokens.port);
    let challenge = format!("401 Unauthorized\nWWW-Authenticate: Bearer realm=\"{realm}\"\n\n");
    let registry = Answers::new(move |_: &Asked| challenge.clone());
    let host = format!("127.0.0.1:{}", registry.port);
    for entry in [json!({ "auth": LOGIN }), json!({ "auth": LOGIN, "identitytoken": "r3fresh" })] {
        let config = json!({ "auths": { host.clone(): entry } });
        let refused = resolve(&host, &config, "v1").await.unwrap_err();
        assert!(refused.cause().contains("307"), "{}", refused.cause());
    }
    assert_eq!((tokens.asked().len(), thief.asked().len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_slow_or_gone_is_told() {
    let slow = Answers::new(|_| String::new());
    let (_dir, source) = source(&format!("127.0.0.1:{}", slow.port), &json!({}));
    let error =
        source.patience(Duration::from_millis(300)).resolve(&named("v1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{}", error.cause());
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = resolve(&gone.to_string(), &json!({}), "v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{}", error.cause());
}
