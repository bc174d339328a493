//! Checks against a real Prometheus.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Situation, Verdict},
    model::{GroupName, Release},
};
use deploy_k8s::{PrometheusCheck, PrometheusOptions};
use xtask::Prometheus;

use super::scene::{scope, target, version};

fn check(url: &str, query: &str, threshold: &str) -> PrometheusCheck {
    let headers =
        BTreeMap::from([("Authorization".to_owned(), "Bearer not-to-be-shown".to_owned())]);
    let options = PrometheusOptions {
        url: url.to_owned(),
        query: query.to_owned(),
        threshold: threshold.parse().unwrap(),
        headers,
    };
    PrometheusCheck::new(options).unwrap()
}

fn situation(name: &str) -> Situation {
    let mut version = version(2);
    version.name = Some(name.to_owned());
    Situation {
        group: GroupName::new("canary").unwrap(),
        release: Some(Release { id: "two".parse().unwrap(), version }),
        previous: None,
        rolling_back: false,
        noted: None,
    }
}

async fn asked(check: &PrometheusCheck, version: &str) -> Result<Verdict, BackendError> {
    check.check(&target("web-07"), &situation(version), &scope("r1")).await
}

/// Asks until the answer is what is wanted.
async fn until(check: &PrometheusCheck, wanted: impl Fn(&Verdict) -> bool) -> Verdict {
    let mut verdict = asked(check, "v2").await.unwrap();
    for _ in 0..150 {
        if wanted(&verdict) {
            return verdict;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        verdict = asked(check, "v2").await.unwrap();
    }
    panic!("{verdict:?}");
}

#[tokio::test]
#[ignore = "needs prometheus (cargo xtask kube build)"]
async fn a_threshold_is_kept_or_broken_by_what_is_scraped() {
    let prometheus = Prometheus::up().unwrap();
    let of_version = "errors{version=\"{{ version }}\", place=\"{{ group }}-{{ target }}\"}";
    let check = check(&prometheus.url(), of_version, "< 0.05");
    let none = asked(&check, "v2").await.unwrap();
    assert_eq!(none, Verdict::NotYet { seen: "no data yet".into() });

    let series = |version: &str, pod: &str, value: &str| {
        format!("errors{{version=\"{version}\",place=\"canary-web-07\",pod=\"{pod}\"}} {value}\n")
    };
    let good = [series("v1", "x", "7"), series("v2", "a", "0.01"), series("v2", "b", "0.02")];
    prometheus.show(&good.concat());
    until(&check, |verdict| *verdict == Verdict::Healthy).await;

    prometheus.show(&[series("v2", "a", "0.1"), series("v2", "b", "0.3")].concat());
    let is_unhealthy = |verdict: &Verdict| matches!(verdict, Verdict::Unhealthy { .. });
    let bad =
        until(&check, |verdict| is_unhealthy(verdict) && format!("{verdict:?}").contains("0.3"));
    let Verdict::Unhealthy { reason, evidence } = bad.await else { panic!() };
    assert!(
        reason.contains("pod=\"b\"") && reason.contains("is 0.3, which is not < 0.05"),
        "{reason}"
    );
    let evidence = evidence.unwrap();
    assert!(
        evidence.starts_with("errors{version=\"v2\", place=\"canary-web-07\"}\n"),
        "{evidence}"
    );
    assert!(evidence.contains("pod=\"a\""), "{evidence}");

    prometheus.show(&series("v2", "a", "NaN"));
    let nan = until(&check, |verdict| format!("{verdict:?}").contains("NaN")).await;
    assert!(is_unhealthy(&nan), "{nan:?}");
}

#[tokio::test]
#[ignore = "needs prometheus (cargo xtask kube build)"]
async fn no_value_breaks_out_of_its_quotes() {
    let prometheus = Prometheus::up().unwrap();
    // A version as nobody should call one: the label comes back as it was given, whatever the quotes.
    let hostile = "v\"1'`\\d}) or vector(1) # \t é\n";
    for quote in ['"', '\''] {
        let query = format!(
            "label_replace(vector(0), \"version\", {quote}{{{{ version }}}}{quote}, \"\", \"\")"
        );
        let check = check(&prometheus.url(), &query, "!= 0");
        let verdict = asked(&check, hostile).await.unwrap();
        let Verdict::Unhealthy { reason, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!(reason, format!("{{version={hostile:?}}} is 0, which is not != 0"));
    }
    let raw = check(&prometheus.url(), "absent(up{version=`{{ version }}`})", "== 1");
    assert_eq!(asked(&raw, hostile).await.unwrap(), Verdict::Healthy, "it matches nothing");

    let name = check(&prometheus.url(), "absent(up{version=~\"{{ version | regex }}\"})", "== 1");
    assert_eq!(asked(&name, "v1.0+(\\w").await.unwrap(), Verdict::Healthy, "a regular expression");
}

#[tokio::test]
#[ignore = "needs prometheus (cargo xtask kube build)"]
async fn a_wrong_query_is_an_error_for_good_and_a_lost_server_is_not() {
    let prometheus = Prometheus::up().unwrap();
    let url = prometheus.url();
    for (query, why) in [
        ("sum(", "bad_data"),
        ("no_such_function(up)", "no_such_function"),
        ("up[5m]", "over a time"),
        ("\"text\"", "text"),
    ] {
        let error = asked(&check(&url, query, "== 1"), "v2").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{query}: {error:?}");
        assert!(!error.kind().is_transient() && error.cause().contains(why), "{}", error.cause());
    }
    assert_eq!(
        asked(&check(&url, "scalar(vector(1))", "== 1"), "v2").await.unwrap(),
        Verdict::Healthy
    );
    let away = check(&format!("{url}/elsewhere"), "up", "== 1");
    assert_eq!(asked(&away, "v2").await.unwrap_err().kind(), ErrorKind::NotFound);
    drop(prometheus);
    let error = asked(&check(&url, "up", "== 1"), "v2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
}

/// Answers one question with this, whatever it was.
fn once(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        // Who has read enough hangs up.
        let _ = stream.write_all(&answer);
    });
    url
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into()
}

#[tokio::test]
async fn answers_of_others_are_told_apart_bounded_and_leak_nothing() {
    for (answer, kind, why) in [
        (http("503 Busy", "{\"error\":\"query timed out\"}"), ErrorKind::Unreachable, "timed out"),
        (http("502 Bad Gateway", "<html>"), ErrorKind::Unreachable, "502"),
        (http("401 No", "who is not-to-be-shown"), ErrorKind::Denied, "401"),
        (http("302 Found", ""), ErrorKind::Rejected, "302"),
        (
            http("400 Bad", "{\"errorType\":\"x\",\"error\":\"no Bearer not-to-be-shown\"}"),
            ErrorKind::Rejected,
            "x: no ***",
        ),
        (http("200 OK", "<html>"), ErrorKind::Broken, "cannot be read"),
        (http("200 OK", &" ".repeat(5 << 20)), ErrorKind::Rejected, "larger than 4 MB"),
    ] {
        let error = asked(&check(&once(answer), "up", "== 1"), "v2").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.cause().contains(why), "{}", error.cause());
        assert!(!format!("{error:?}").contains("not-to-be-shown"), "{error:?}");
    }
}

#[tokio::test]
async fn a_silent_server_ends_with_the_scope() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = check(&format!("http://{}", listener.local_addr().unwrap()), "up", "== 1");
    let ask = async |stop: bool| {
        let mut scope = scope("r1");
        match stop {
            true => scope.cancel.cancel(),
            false => scope.deadline = tokio::time::Instant::now() + Duration::from_millis(100),
        }
        let error = check.check(&target("web-07"), &situation("v2"), &scope).await.unwrap_err();
        error.kind()
    };
    assert_eq!(ask(false).await, ErrorKind::TimedOut);
    assert_eq!(ask(true).await, ErrorKind::Cancelled);
}
