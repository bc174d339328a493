//! What types cannot say of `[[check]]`: exactly one kind, and keys that belong to it.

use std::collections::BTreeMap;

use deploy_core::plan::CheckPolicy;
use deploy_k8s::Threshold;

use super::{told, told_at};
use crate::config::{
    CheckSection, CheckStage, LogSection, NrpeSection, Span,
    error::Told,
    header_value::{HeaderPart, header_parts},
    short,
};

/// Headers whose value is a secret by nature.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Refuses a `[[check]]` that asks nothing, several things, or what could never pass or fail.
/// Answers with the kind that it is.
pub(super) fn check(index: usize, check: &CheckSection) -> Result<&'static str, Told> {
    let kind = kind(index, check)?;
    if !check.headers.is_empty() && !matches!(kind, "http" | "prometheus") {
        return Err(told_at("check", index, "headers", "goes with `http` or `prometheus` only"));
    }
    for (key, belongs, given) in belonging(check) {
        if given && kind != belongs {
            return Err(told_at("check", index, key, format!("goes with `{belongs}` only")));
        }
    }
    if check.port == Some(0) {
        return Err(told_at("check", index, "port", "0 is no port"));
    }
    if check.status.is_some_and(|status| !(100..600).contains(&status)) {
        return Err(told_at("check", index, "status", "no server answers that: give 100 to 599"));
    }
    for (key, text) in [("command", &check.command), ("script", &check.script)] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return Err(told_at("check", index, key, "is empty: it could never fail"));
        }
    }
    if check.ca_file.is_some() && check.http.as_ref().is_some_and(|url| url.starts_with("http:")) {
        return Err(told_at("check", index, "ca_file", "goes with a URL of https only"));
    }
    check_headers(index, &check.headers)?;
    within_timeout(check, check.stay_up)
        .map_err(|problem| told_at("check", index, "stay_up", problem))?;
    check.log.as_ref().map_or(Ok(()), |log| check_log(index, check, log))?;
    check_prometheus(index, check)?;
    Ok(kind)
}

fn check_prometheus(index: usize, check: &CheckSection) -> Result<(), Told> {
    if check.prometheus.is_none() {
        return Ok(());
    }
    for (key, text) in [("query", &check.query), ("threshold", &check.threshold)] {
        if text.as_ref().is_none_or(|text| text.trim().is_empty()) {
            return Err(told_at("check", index, "prometheus", format!("needs `{key}`")));
        }
    }
    let threshold = check.threshold.as_deref().unwrap_or_default();
    threshold
        .parse::<Threshold>()
        .map(drop)
        .map_err(|error| told_at("check", index, "threshold", error.to_string()))
}

/// Which kind of check it is.
fn kind(index: usize, check: &CheckSection) -> Result<&'static str, Told> {
    let kinds = [
        ("port", check.port.is_some()),
        ("http", check.http.is_some()),
        ("command", check.command.is_some()),
        ("script", check.script.is_some()),
        ("service", check.service.is_some()),
        ("nrpe", check.nrpe.is_some()),
        ("log", check.log.is_some()),
        ("rollout", check.rollout.is_some()),
        ("prometheus", check.prometheus.is_some()),
    ];
    let given: Vec<&str> =
        kinds.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    let at = index.to_string();
    match given[..] {
        [kind] => Ok(kind),
        [] => {
            let problem = "needs one of port, http, command, script, service, nrpe, log, rollout or \
                           prometheus";
            Err(told(["check", &at], problem))
        }
        [_, second, ..] => {
            let problem =
                format!("asks several things ({}): make each a [[check]]", given.join(", "));
            Err(told(["check", &at, second], problem))
        }
    }
}

/// Each key that belongs to one kind, and whether it is given.
fn belonging(check: &CheckSection) -> [(&'static str, &'static str, bool); 13] {
    [
        ("status", "http", check.status.is_some()),
        ("body", "http", check.body.is_some()),
        ("body_matches", "http", check.body_matches.is_some()),
        ("json", "http", !check.json.is_empty()),
        ("method", "http", check.method.is_some()),
        ("redirects", "http", check.redirects.is_some()),
        ("ca_file", "http", check.ca_file.is_some()),
        ("from", "http", check.from.is_some()),
        ("stay_up", "service", check.stay_up.is_some()),
        ("args", "nrpe", !check.args.is_empty()),
        ("warning", "nrpe", check.warning.is_some()),
        ("query", "prometheus", check.query.is_some()),
        ("threshold", "prometheus", check.threshold.is_some()),
    ]
}

fn within_timeout(check: &CheckSection, span: Option<Span>) -> Result<(), String> {
    let timeout = check.timeout.map_or(CheckPolicy::new("").timeout, |span| span.0);
    match span {
        Some(span) if span.0 >= timeout => {
            Err(format!("could never pass: the check's `timeout` is {}", short(timeout)))
        }
        _ => Ok(()),
    }
}

fn check_headers(index: usize, headers: &BTreeMap<String, String>) -> Result<(), Told> {
    for (name, value) in headers {
        let at = index.to_string();
        let key = ["check", &at, "headers", name];
        let parts = header_parts(value).map_err(|error| told(key, error.to_string()))?;
        let by_variable = parts.iter().any(|part| matches!(part, HeaderPart::Variable(_)));
        if SECRET.contains(&name.to_ascii_lowercase().as_str()) && !by_variable {
            let problem = "a secret does not belong into this file: name a variable of the \
                           deployer that has it, as in \"Bearer {env:TOKEN}\"";
            return Err(told(key, problem));
        }
    }
    Ok(())
}

fn check_log(index: usize, check: &CheckSection, log: &LogSection) -> Result<(), Told> {
    let at = index.to_string();
    let refuse = |key: &str, problem: &str| Err(told(["check", &at, "log", key], problem));
    match (&log.file, &log.journal) {
        (None, None) => return Err(told_at("check", index, "log", "needs `file` or `journal`")),
        (Some(_), Some(_)) => return refuse("journal", "give either `file` or `journal`"),
        _ => {}
    }
    match (&log.must_match, &log.must_not_match) {
        (None, None) => {
            let problem = "needs `must_match` or `must_not_match`";
            return Err(told_at("check", index, "log", problem));
        }
        (Some(_), Some(_)) => {
            return refuse("must_not_match", "make it a [[check]] of its own");
        }
        (Some(_), None) if log.watch.is_some() => {
            return refuse("watch", "goes with `must_not_match` only");
        }
        _ => {}
    }
    if check.stage != CheckStage::Check {
        let problem = "a log is looked through since the restart: it goes with \"check\" only";
        return Err(told_at("check", index, "stage", problem));
    }
    within_timeout(check, log.watch)
        .map_err(|problem| told(["check", &at, "log", "watch"], problem))
}

/// Refuses `[nrpe]` paths that no host has.
pub(super) fn check_nrpe(nrpe: &NrpeSection) -> Result<(), Told> {
    let Some(paths) = &nrpe.paths else { return Ok(()) };
    if paths.is_empty() {
        return Err(told(["nrpe", "paths"], "is empty: leave the key out to have its default"));
    }
    for (position, path) in paths.iter().enumerate() {
        if !path.starts_with('/') || path.contains(char::is_control) {
            let at = ["nrpe", "paths", &position.to_string()];
            return Err(told(at, "must be an absolute path on the hosts"));
        }
    }
    Ok(())
}
