//! HTTPS: whom a check trusts.

use std::{sync::Arc, time::Duration};

use deploy_core::{
    backend::{Checker, Situation, Verdict},
    model::Target,
};
use deploy_ssh::{
    Authorities, CheckUrl, HttpCheck, HttpFrom, HttpRequest,
    session::{Sessions, SshConfig},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{
    ask,
    health::situation,
    http::{converse, with_body},
    seen,
    sshd::{one_host, scope_of, target},
};

over_both_links!(a_server_must_prove_its_name_to_an_authority_of_our_own);

/// An authority, and a server of HTTPS that it vouches for as `name`.
async fn serve_by_tls(name: &str) -> (Authorities, u16) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    converse(stream, Arc::new(|_: &str| with_body("200 OK", "by TLS"))).await;
                }
            });
        }
    });
    (Authorities::from_pem(authority.pem().as_bytes()).unwrap(), port)
}

fn by_tls(sessions: &Sessions, port: u16, authorities: &Authorities) -> HttpCheck {
    let url = CheckUrl::new(format!("https://localhost:{port}/")).unwrap();
    let authorities = Some(authorities.clone());
    let request = HttpRequest { authorities, ..HttpRequest::default() };
    HttpCheck { request, ..HttpCheck::new(sessions.clone(), url) }
}

async fn a_server_must_prove_its_name_to_an_authority_of_our_own(sessions: &Sessions, on: &Target) {
    let (ours, port) = serve_by_tls("localhost").await;
    let (_, strange) = serve_by_tls("localhost").await;
    let (named, elsewhere) = serve_by_tls("h2.example.org").await;
    for from in [HttpFrom::Host, HttpFrom::Deployer] {
        let check = |port: u16, by: &Authorities| HttpCheck { from, ..by_tls(sessions, port, by) };
        assert_eq!(ask(&check(port, &ours), on).await, Verdict::Healthy, "{from:?}");
        let verdict = ask(&check(strange, &ours), on).await;
        assert!(seen(&verdict).contains("invalid peer certificate"), "{verdict:?}");
        let verdict = ask(&check(elsewhere, &named), on).await;
        assert!(seen(&verdict).contains("not valid for name"), "{verdict:?}");
        // Those whom the machine trusts do not vouch for it.
        let url = CheckUrl::new(format!("https://localhost:{port}/")).unwrap();
        let check = HttpCheck { from, ..HttpCheck::new(sessions.clone(), url) };
        assert!(matches!(ask(&check, on).await, Verdict::NotYet { .. }));
    }
}

#[tokio::test]
async fn an_authority_of_our_own_needs_forwarding() {
    let (_sshd, _client, sessions) = one_host("AllowTcpForwarding no");
    let (ours, port) = serve_by_tls("localhost").await;
    let now: Situation = situation();
    let scope = scope_of(Duration::from_secs(20));
    let check = by_tls(&sessions, port, &ours);
    let error = check.check(&target("h1"), &now, &scope).await.unwrap_err();
    assert!(error.cause().contains("forbids forwarding"), "{}", error.cause());
}
