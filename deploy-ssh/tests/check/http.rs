//! HTTP: what is sent, and what is expected.

use std::{fs, sync::Arc, time::Duration};

use deploy_core::{
    backend::{Checker, Verdict},
    model::Target,
};
use deploy_ssh::{
    CheckUrl, HttpCheck, HttpExpectation, HttpFrom, HttpHeader, HttpMethod, HttpRequest, JsonPlace,
    Pattern,
    session::{Sessions, SshConfig},
};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    ask,
    health::situation,
    seen,
    sshd::{free_port, one_host, scope_of, target},
};

over_all_links!(
    http_is_judged_by_status_and_body,
    http_without_an_answer_is_not_yet,
    json_is_judged_by_its_values,
    headers_and_method_are_sent,
    a_secret_is_neither_shown_nor_seen_by_others,
    redirects_are_followed_only_as_far_as_said,
);

/// Answers every request on the port with the same bytes, and then keeps silent.
pub async fn serve(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                tokio::time::sleep(Duration::from_secs(30)).await;
            });
        }
    });
    port
}

fn http(sessions: &Sessions, port: u16, path: &str) -> HttpCheck {
    let url = CheckUrl::new(format!("http://localhost:{port}{path}")).unwrap();
    HttpCheck::new(sessions.clone(), url)
}

async fn http_is_judged_by_status_and_body(sessions: &Sessions, on: &Target) {
    let good = serve("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nv2 is up\n").await;
    let warm = serve("HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\nwarming up").await;
    for from in [HttpFrom::Host, HttpFrom::Deployer] {
        let of = |port: u16| HttpCheck { from, ..http(sessions, port, "/_info?a=1&b=$(x)") };
        assert_eq!(ask(&of(good), on).await, Verdict::Healthy);
        let expecting = |status: Option<u16>, body: Option<&str>| {
            let body = body.map(str::to_owned);
            HttpExpectation { status, body, ..HttpExpectation::default() }
        };
        let told = HttpCheck { expected: expecting(Some(200), Some("v2")), ..of(good) };
        assert_eq!(ask(&told, on).await, Verdict::Healthy);
        let other = HttpCheck { expected: expecting(None, Some("v3")), ..of(good) };
        let verdict = ask(&other, on).await;
        assert_eq!(seen(&verdict), "status 200, but no \"v3\" in the body: v2 is up");
        let verdict = ask(&of(warm), on).await;
        assert_eq!(seen(&verdict), "status 503, not 2xx: warming up");
        let warm = HttpCheck { expected: expecting(Some(503), None), ..of(warm) };
        assert_eq!(ask(&warm, on).await, Verdict::Healthy);
    }
}

async fn http_without_an_answer_is_not_yet(sessions: &Sessions, on: &Target) {
    let silent = serve("").await;
    let noise = serve("SSH-2.0-whatever\r\n\r\n").await;
    for from in [HttpFrom::Host, HttpFrom::Deployer] {
        for port in [silent, noise, free_port()] {
            let check = HttpCheck { from, ..http(sessions, port, "/") };
            let scope = scope_of(Duration::from_secs(3));
            let verdict = check.check(on, &situation(), &scope).await.unwrap();
            assert!(!seen(&verdict).is_empty());
        }
    }
}

/// Answers each request with what `answer` makes of it.
async fn serve_with(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&answer)));
        }
    });
    port
}

pub async fn converse<S>(
    mut stream: S,
    answer: Arc<impl Fn(&str) -> String + Send + Sync + 'static>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(count) if count > 0 => request.extend_from_slice(&bytes[..count]),
            _ => return,
        }
    }
    let text = answer(&String::from_utf8_lossy(&request));
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

pub fn with_body(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn json_is_judged_by_its_values(sessions: &Sessions, on: &Target) {
    let body =
        r#"{"status": "ok", "version": "v2 $(x)", "commit": "0123456789", "db": [{"up": true}]}"#;
    let port = serve_with(move |_| with_body("200 OK", body)).await;
    for from in [HttpFrom::Host, HttpFrom::Deployer] {
        let of = |pairs: &[(&str, serde_json::Value)]| {
            let place = |(place, value): &(&str, serde_json::Value)| {
                (JsonPlace::new(*place).unwrap(), value.clone())
            };
            let json = pairs.iter().map(place).collect();
            let expected = HttpExpectation { json, ..HttpExpectation::default() };
            HttpCheck { from, expected, ..http(sessions, port, "/") }
        };
        let fine = of(&[
            ("/status", json!("ok")),
            ("/version", json!("{version}")),
            ("/commit", json!("{commit}")),
            ("/db/0/up", json!(true)),
        ]);
        assert_eq!(ask(&fine, on).await, Verdict::Healthy);
        let stale = of(&[("/version", json!("v1"))]);
        let verdict = ask(&stale, on).await;
        assert_eq!(seen(&verdict), "status 200, but /version is \"v2 $(x)\", not \"v1\"");
        let pattern = HttpExpectation {
            body_matches: Some(Pattern::new("\"version\": \"{version}\"").unwrap()),
            ..HttpExpectation::default()
        };
        let check = HttpCheck { from, expected: pattern, ..http(sessions, port, "/") };
        assert_eq!(ask(&check, on).await, Verdict::Healthy);
    }
}

async fn headers_and_method_are_sent(sessions: &Sessions, on: &Target) {
    let port = serve_with(|request| with_body("200 OK", &request.to_ascii_lowercase())).await;
    let header = |name: &str, value: &str| HttpHeader::new(name, value).unwrap();
    let headers = vec![
        header("X-One", "say \"hi\" \\ back"),
        header("X-Two", "{version} {commit} {target}"),
        header("Accept", "application/json"),
    ];
    for from in [HttpFrom::Host, HttpFrom::Deployer] {
        for (method, name) in [(HttpMethod::Get, "get"), (HttpMethod::Post, "post")] {
            let request =
                HttpRequest { method, headers: headers.clone(), ..HttpRequest::default() };
            for line in [
                &format!("^{name} /a?b=c http/1.1")[..],
                "^x-one: say \"hi\" \\\\ back",
                &format!("^x-two: v2 \\$\\(x\\) 0123456789 {on}"),
                "^accept: application/json",
                &format!("^host: localhost:{port}"),
            ] {
                let expected = HttpExpectation {
                    body_matches: Some(Pattern::new(line.replace("?", "\\?")).unwrap()),
                    ..HttpExpectation::default()
                };
                let request = request.clone();
                let check = HttpCheck { from, request, expected, ..http(sessions, port, "/a?b=c") };
                assert_eq!(ask(&check, on).await, Verdict::Healthy, "{from:?} {line}");
            }
        }
        let request = HttpRequest { method: HttpMethod::Head, ..HttpRequest::default() };
        let head = serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        let check = HttpCheck { from, request, ..http(sessions, head, "/") };
        assert_eq!(ask(&check, on).await, Verdict::Healthy, "{from:?}");
    }
}

/// Whether the command line or the environment of any process has these words.
fn is_visible(words: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .flat_map(|entry| ["cmdline", "environ"].map(|name| entry.path().join(name)))
        .any(|file| fs::read(file).is_ok_and(|text| String::from_utf8_lossy(&text).contains(words)))
}

async fn a_secret_is_neither_shown_nor_seen_by_others(sessions: &Sessions, on: &Target) {
    let secret = "hunter2-and-more";
    let port = serve_with(move |request| {
        let visible = is_visible(secret);
        let given = request.contains(&format!("Bearer {secret}"));
        // A server that tells what it was told.
        with_body(if given && !visible { "403 No" } else { "500 Wrong" }, request)
    })
    .await;
    for from in [HttpFrom::Host, HttpFrom::Deployer] {
        let header = HttpHeader::new("Authorization", format!("Bearer {secret}")).unwrap();
        let headers = vec![header.hiding(secret)];
        let request = HttpRequest { headers, ..HttpRequest::default() };
        let check = HttpCheck { from, request, ..http(sessions, port, "/") };
        assert!(!format!("{check:?} {}", check.describe()).contains(secret));
        let verdict = ask(&check, on).await;
        let seen = seen(&verdict);
        assert!(seen.starts_with("status 403"), "{seen}");
        assert!(seen.contains("Bearer ***") && !seen.contains(secret), "{seen}");
    }
}

async fn redirects_are_followed_only_as_far_as_said(sessions: &Sessions, on: &Target) {
    let other = serve_with(|request| {
        let told = request.contains("hunter2");
        with_body(if told { "500 Told" } else { "200 OK" }, "other")
    })
    .await;
    let port = serve_with(move |request| {
        let to = match request.split(' ').nth(1).unwrap() {
            "/once" => "/end".to_owned(),
            "/twice" => "once".to_owned(),
            "/away" => format!("http://127.0.0.1:{other}/"),
            "/nowhere" => "ftp://localhost/".to_owned(),
            _ if request.contains("hunter2") => return with_body("200 OK", "end"),
            _ => return with_body("500 Forgotten", ""),
        };
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    for from in [HttpFrom::Host, HttpFrom::Deployer] {
        let of = |path: &str, redirects: u8| {
            let header = HttpHeader::new("X-Token", "hunter2").unwrap().hiding("hunter2");
            let request =
                HttpRequest { redirects, headers: vec![header], ..HttpRequest::default() };
            HttpCheck { from, request, ..http(sessions, port, path) }
        };
        assert_eq!(seen(&ask(&of("/once", 0), on).await), "status 302, not 2xx");
        assert_eq!(ask(&of("/once", 1), on).await, Verdict::Healthy);
        assert_eq!(seen(&ask(&of("/twice", 1), on).await), "status 302, not 2xx");
        assert_eq!(ask(&of("/twice", 2), on).await, Verdict::Healthy);
        assert_eq!(ask(&of("/away", 1), on).await, Verdict::Healthy, "without the secret");
        let verdict = ask(&of("/nowhere", 1), on).await;
        assert!(seen(&verdict).contains("which is no URL"), "{verdict:?}");
    }
}
