//! From `[[check]]` to what asks hosts for their health.

use std::{sync::Arc, time::Duration};

use deploy_core::{backend::Checker, model::GroupName, plan::CheckPolicy, run::OwnedCheck};
use deploy_ssh::{
    Authorities, CheckUrl, CommandCheck, HttpCheck, HttpExpectation, HttpFrom, HttpHeader,
    HttpRequest, JsonPlace, LogCheck, LogSource, LogWish, NrpeCheck, NrpeCommand, Pattern,
    PortCheck, ScriptCheck, ServiceCheck, ServiceName,
};

use super::health::Hosts;
use crate::{
    config::{CheckFrom, CheckSection, HeaderPart, Loaded, LogSection, NrpeWarning, header_parts},
    error::CommandError,
};

/// What is checked, in order.
pub(super) fn checks(loaded: &Loaded, hosts: &Hosts) -> Result<Vec<OwnedCheck>, CommandError> {
    let sections = loaded.config.check.iter().enumerate();
    sections
        .map(|(index, section)| {
            let written = Written { loaded, hosts, index: index.to_string(), section };
            Ok(OwnedCheck { policy: policy(section), checker: written.checker()? })
        })
        .collect()
}

/// The HTTP checks, each with the group that it is only about.
pub(super) fn http_checks(
    loaded: &Loaded,
    hosts: &Hosts,
) -> Result<Vec<(Option<GroupName>, HttpCheck)>, CommandError> {
    let mut checks = Vec::new();
    for (index, section) in loaded.config.check.iter().enumerate() {
        if let Some(url) = &section.http {
            let written = Written { loaded, hosts, index: index.to_string(), section };
            checks.push((section.group.clone(), written.http(url)?));
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
    if let Some(span) = section.timeout {
        policy.timeout = span.0;
    }
    if let Some(span) = section.interval {
        policy.interval = span.0;
    }
    policy
}

/// One `[[check]]`, and what its checker needs beside it.
struct Written<'a> {
    loaded: &'a Loaded,
    hosts: &'a Hosts,
    index: String,
    section: &'a CheckSection,
}

impl Written<'_> {
    fn refuse(&self, key: &[&str], problem: &dyn std::fmt::Display) -> CommandError {
        let key: Vec<&str> =
            ["check", &self.index].into_iter().chain(key.iter().copied()).collect();
        self.loaded.refuse(&key, problem.to_string()).into()
    }

    fn checker(&self) -> Result<Arc<dyn Checker>, CommandError> {
        let section = self.section;
        let (sessions, surroundings) =
            (self.hosts.sessions.clone(), self.hosts.surroundings.clone());
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
            return Ok(Arc::new(self.nrpe(name)?));
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
        let mut check = HttpCheck::new(self.hosts.sessions.clone(), url);
        check.request = self.request()?;
        check.expected = self.expectation()?;
        check.from = match self.section.from {
            Some(CheckFrom::Deployer) => HttpFrom::Deployer,
            Some(CheckFrom::Host) | None => HttpFrom::Host,
        };
        Ok(check)
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
        let header = HttpHeader::new(name, whole).map_err(|error| refused(&error))?;
        Ok(secrets.into_iter().fold(header, HttpHeader::hiding))
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

    fn nrpe(&self, name: &str) -> Result<NrpeCheck, CommandError> {
        let section = self.section;
        let command = NrpeCommand::new(name, section.args.clone());
        let key = if section.args.is_empty() { "nrpe" } else { "args" };
        let command = command.map_err(|error| self.refuse(&[key], &error))?;
        let (sessions, surroundings) =
            (self.hosts.sessions.clone(), self.hosts.surroundings.clone());
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
        Ok(LogCheck { sessions: self.hosts.sessions.clone(), source, wish, watch })
    }
}
