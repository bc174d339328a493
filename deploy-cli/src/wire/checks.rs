//! From `[[check]]` to what asks hosts for their health.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use deploy_core::{backend::Checker, model::GroupName, plan::CheckPolicy, run::OwnedCheck};
use deploy_k8s::{PrometheusCheck, PrometheusOptions, ThresholdError};
use deploy_ssh::{
    Authorities, CheckUrl, CommandCheck, HttpCheck, HttpExpectation, HttpFrom, HttpHeader,
    HttpRequest, JsonPlace, LogCheck, LogSource, LogWish, NrpeCheck, NrpeCommand, Pattern,
    PortCheck, ScriptCheck, ServiceCheck, ServiceName, session::Sessions,
};

use super::health::Hosts;
use crate::{
    config::{
        CheckFrom, CheckSection, HeaderPart, Loaded, LogSection, NrpeWarning, ROLLOUT_TIMEOUT,
        header_parts,
    },
    error::CommandError,
};

/// What hosts are checked for, in order.
pub(super) fn checks(loaded: &Loaded, hosts: &Hosts) -> Result<Vec<OwnedCheck>, CommandError> {
    let of_hosts = written(loaded, &hosts.sessions).filter(|it| it.section.rollout.is_none());
    of_hosts
        .map(|it| Ok(OwnedCheck { policy: policy(it.section), checker: it.checker(hosts)? }))
        .collect()
}

/// What the check is called that clusters have where the configuration says nothing of it.
const ROLLOUT: &str = "rollout";

/// What clusters are checked for, in order: first of all, unless it stands elsewhere, that they have come
/// to run the version, by `rollout`.
pub(super) fn cluster_checks(
    loaded: &Loaded,
    sessions: &Sessions,
    rollout: &Arc<dyn Checker>,
) -> Result<Vec<OwnedCheck>, CommandError> {
    let mut checks = Vec::new();
    for it in written(loaded, sessions) {
        let checker = match (&it.section.rollout, &it.section.http, &it.section.prometheus) {
            (Some(_), ..) => Arc::clone(rollout),
            (_, Some(url), _) => Arc::new(HttpCheck { from: HttpFrom::Deployer, ..it.http(url)? }),
            (.., Some(url)) => Arc::new(it.prometheus(url)?),
            _ => continue,
        };
        checks.push(OwnedCheck { policy: policy(it.section), checker });
    }
    // Each group of clusters that no check of the configuration asks has its own.
    let groups = loaded.config.group.iter().filter(|group| !group.clusters.is_empty());
    let asked = |name: &GroupName| {
        let mut rollouts = loaded.config.check.iter().filter(|check| check.rollout.is_some());
        rollouts.any(|check| check.group.as_ref().is_none_or(|only| only == name))
    };
    let (asked, open): (Vec<_>, Vec<_>) =
        groups.map(|group| &group.name).partition(|name| asked(name));
    let all_open = asked.is_empty();
    for name in open.into_iter().take(if all_open { 1 } else { usize::MAX }) {
        let title = if all_open { ROLLOUT.to_owned() } else { format!("{ROLLOUT} of {name}") };
        let mut policy = CheckPolicy::new(title);
        policy.timeout = ROLLOUT_TIMEOUT;
        policy.group = (!all_open).then(|| name.clone());
        checks.insert(0, OwnedCheck { policy, checker: Arc::clone(rollout) });
    }
    Ok(checks)
}

/// Each `[[check]]`.
fn written<'a>(loaded: &'a Loaded, sessions: &'a Sessions) -> impl Iterator<Item = Written<'a>> {
    let sections = loaded.config.check.iter().enumerate();
    sections.map(move |(index, section)| Written {
        loaded,
        sessions,
        index: index.to_string(),
        section,
    })
}

/// The HTTP checks, each with the group that it is only about.
pub(super) fn http_checks(
    loaded: &Loaded,
    hosts: &Hosts,
) -> Result<Vec<(Option<GroupName>, HttpCheck)>, CommandError> {
    let mut checks = Vec::new();
    for it in written(loaded, &hosts.sessions) {
        if let Some(url) = &it.section.http {
            checks.push((it.section.group.clone(), it.http(url)?));
        }
    }
    Ok(checks)
}

/// Refuses when a variable is not set that a header of a check needs.
///
/// # Errors
/// Names the first one, and the key that wants it.
pub fn require_variables(loaded: &Loaded) -> Result<(), CommandError> {
    for (index, section) in loaded.config.check.iter().enumerate() {
        for (name, value) in &section.headers {
            for part in header_parts(value).unwrap_or_default() {
                if let HeaderPart::Variable(variable) = part
                    && std::env::var_os(&variable).is_none_or(|value| value.is_empty())
                {
                    let key = ["check", &index.to_string(), "headers", name];
                    let problem = format!("the variable {variable} is not set here");
                    return Err(loaded.refuse(&key, problem).into());
                }
            }
        }
    }
    Ok(())
}

fn policy(section: &CheckSection) -> CheckPolicy {
    let mut policy = CheckPolicy::new(section.name.as_str());
    policy.stage = section.stage.into();
    policy.group.clone_from(&section.group);
    policy.retries = section.retries;
    match section.timeout {
        Some(span) => policy.timeout = span.0,
        None if section.rollout.is_some() => policy.timeout = ROLLOUT_TIMEOUT,
        None => {}
    }
    if let Some(span) = section.interval {
        policy.interval = span.0;
    }
    policy
}

/// One `[[check]]`, and what its checker needs beside it.
struct Written<'a> {
    loaded: &'a Loaded,
    sessions: &'a Sessions,
    index: String,
    section: &'a CheckSection,
}

impl Written<'_> {
    fn refuse(&self, key: &[&str], problem: &dyn std::fmt::Display) -> CommandError {
        let key: Vec<&str> =
            ["check", &self.index].into_iter().chain(key.iter().copied()).collect();
        self.loaded.refuse(&key, problem.to_string()).into()
    }

    fn checker(&self, hosts: &Hosts) -> Result<Arc<dyn Checker>, CommandError> {
        let section = self.section;
        let (sessions, surroundings) = (hosts.sessions.clone(), hosts.surroundings.clone());
        if let Some(port) = section.port {
            return Ok(Arc::new(PortCheck::new(sessions, port)));
        }
        if let Some(url) = &section.http {
            return Ok(Arc::new(self.http(url)?));
        }
        if let Some(command) = &section.command {
            return Ok(Arc::new(CommandCheck { sessions, surroundings, command: command.clone() }));
        }
        if let Some(script) = &section.script {
            let check = ScriptCheck::new(sessions, surroundings, script.as_str());
            return Ok(Arc::new(check.map_err(|error| self.refuse(&["script"], &error))?));
        }
        if let Some(name) = &section.nrpe {
            return Ok(Arc::new(self.nrpe(name, hosts)?));
        }
        if let Some(url) = &section.prometheus {
            return Ok(Arc::new(self.prometheus(url)?));
        }
        if let Some(log) = &section.log {
            return Ok(Arc::new(self.log(log)?));
        }
        let service = self.service(&["service"], section.service.as_deref().unwrap_or_default())?;
        let stay_up = section.stay_up.map_or(Duration::ZERO, |span| span.0);
        let sudo = self.loaded.config.restart.as_ref().is_some_and(|restart| restart.sudo);
        Ok(Arc::new(ServiceCheck { sessions, service, stay_up, sudo }))
    }

    fn service(&self, key: &[&str], name: &str) -> Result<ServiceName, CommandError> {
        ServiceName::new(name).map_err(|error| self.refuse(key, &error))
    }

    fn pattern(&self, key: &[&str], text: &str) -> Result<Pattern, CommandError> {
        Pattern::new(text).map_err(|error| self.refuse(key, &error))
    }

    fn http(&self, url: &str) -> Result<HttpCheck, CommandError> {
        let url = CheckUrl::new(url).map_err(|error| self.refuse(&["http"], &error))?;
        let mut check = HttpCheck::new(self.sessions.clone(), url);
        check.request = self.request()?;
        check.expected = self.expectation()?;
        check.from = match self.section.from {
            Some(CheckFrom::Deployer) => HttpFrom::Deployer,
            Some(CheckFrom::Host) | None => HttpFrom::Host,
        };
        Ok(check)
    }

    fn prometheus(&self, url: &str) -> Result<PrometheusCheck, CommandError> {
        let section = self.section;
        let threshold = section.threshold.as_deref().unwrap_or_default();
        let threshold = threshold
            .parse()
            .map_err(|error: ThresholdError| self.refuse(&["threshold"], &error))?;
        let mut headers = BTreeMap::new();
        for (name, value) in &section.headers {
            headers.insert(name.clone(), self.header_text(name, value)?.0);
        }
        let (url, query) = (url.to_owned(), section.query.clone().unwrap_or_default());
        let options = PrometheusOptions { url, query, threshold, headers };
        Ok(PrometheusCheck::new(options)?)
    }

    fn request(&self) -> Result<HttpRequest, CommandError> {
        let section = self.section;
        let mut request = HttpRequest::default();
        if let Some(method) = &section.method {
            request.method = method.parse().map_err(|error| self.refuse(&["method"], &error))?;
        }
        for (name, value) in &section.headers {
            request.headers.push(self.header(name, value)?);
        }
        request.redirects = section.redirects.unwrap_or_default();
        if let Some(file) = &section.ca_file {
            // As all files that the configuration names: from where it lies.
            let path = self.loaded.directory().join(file);
            let pem = std::fs::read(&path).map_err(|error| {
                self.refuse(&["ca_file"], &format!("cannot read {}: {error}", path.display()))
            })?;
            let authorities = Authorities::from_pem(&pem);
            let refused = |error| self.refuse(&["ca_file"], &format!("{} {error}", path.display()));
            request.authorities = Some(authorities.map_err(refused)?);
        }
        Ok(request)
    }

    /// A header; what a variable holds is kept secret. One that is not set is refused where it is
    /// needed, by [`require_variables`].
    fn header(&self, name: &str, value: &str) -> Result<HttpHeader, CommandError> {
        let (whole, secrets) = self.header_text(name, value)?;
        let header = HttpHeader::new(name, whole)
            .map_err(|error| self.refuse(&["headers", name], &error))?;
        Ok(secrets.into_iter().fold(header, HttpHeader::hiding))
    }

    /// What a header says, and what of that is secret.
    fn header_text(&self, name: &str, value: &str) -> Result<(String, Vec<String>), CommandError> {
        let refused = |error: &dyn std::fmt::Display| self.refuse(&["headers", name], error);
        let (mut whole, mut secrets) = (String::new(), Vec::new());
        for part in header_parts(value).map_err(|error| refused(&error))? {
            match part {
                HeaderPart::Text(text) => whole.push_str(&text),
                HeaderPart::Variable(variable) => {
                    let secret = std::env::var(variable).unwrap_or_default();
                    whole.push_str(&secret);
                    secrets.push(secret);
                }
            }
        }
        Ok((whole, secrets))
    }

    fn expectation(&self) -> Result<HttpExpectation, CommandError> {
        let section = self.section;
        let pattern = section.body_matches.as_ref();
        let body_matches = pattern.map(|text| self.pattern(&["body_matches"], text)).transpose()?;
        let mut json = Vec::new();
        for (place, value) in &section.json {
            let refused = |error| self.refuse(&["json", place], &error);
            json.push((JsonPlace::new(place.as_str()).map_err(refused)?, value.clone()));
        }
        let (status, body) = (section.status, section.body.clone());
        Ok(HttpExpectation { status, body, body_matches, json })
    }

    fn nrpe(&self, name: &str, hosts: &Hosts) -> Result<NrpeCheck, CommandError> {
        let section = self.section;
        let command = NrpeCommand::new(name, section.args.clone());
        let key = if section.args.is_empty() { "nrpe" } else { "args" };
        let command = command.map_err(|error| self.refuse(&[key], &error))?;
        let (sessions, surroundings) = (hosts.sessions.clone(), hosts.surroundings.clone());
        let mut check = NrpeCheck::new(sessions, surroundings, command);
        if let Some(paths) = &self.loaded.config.nrpe.paths {
            check = check.paths(paths.clone());
        }
        if section.warning == Some(NrpeWarning::Ok) {
            check = check.warning_passes();
        }
        Ok(check)
    }

    fn log(&self, log: &LogSection) -> Result<LogCheck, CommandError> {
        let source = match (&log.file, &log.journal) {
            (Some(file), _) => LogSource::file(file.as_str())
                .map_err(|error| self.refuse(&["log", "file"], &error))?,
            (None, unit) => {
                let unit = unit.as_deref().unwrap_or_default();
                LogSource::Journal(self.service(&["log", "journal"], unit)?)
            }
        };
        let wish = match (&log.must_match, &log.must_not_match) {
            (Some(text), _) => LogWish::Match(self.pattern(&["log", "must_match"], text)?),
            (None, text) => {
                let text = text.as_deref().unwrap_or_default();
                LogWish::NoMatch(self.pattern(&["log", "must_not_match"], text)?)
            }
        };
        let watch = log.watch.map_or(Duration::ZERO, |span| span.0);
        Ok(LogCheck { sessions: self.sessions.clone(), source, wish, watch })
    }
}
