//! From `[restart]`, `[[check]]` and `[[step]]` to what restarts services and asks for their
//! health.

use std::{sync::Arc, time::Duration};

use deploy_core::{
    backend::{Checker, Restarter},
    plan::{CheckPolicy, StepMoment, StepPolicy},
    run::{OwnedCheck, OwnedStep},
};
use deploy_ssh::{
    CheckUrl, CommandCheck, CommandStep, HttpCheck, HttpFrom, Method, PortCheck, RestartOptions,
    ScriptCheck, ServiceCheck, ServiceName, ServiceRestarter, Surroundings, session::Sessions,
};

use super::over_ssh::STEP;
use crate::{
    config::{
        CheckFrom, CheckSection, ConfigError, Loaded, RestartMethod, RestartSection, StepStage,
    },
    error::CommandError,
};

/// What the hosts' services and commands are reached through, and told.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    pub(super) sessions: Sessions,
    pub(super) surroundings: Surroundings,
}

/// What restarts the services, in order.
pub(super) fn restarters(
    loaded: &Loaded,
    hosts: &Hosts,
) -> Result<Vec<Arc<dyn Restarter>>, CommandError> {
    let Some(section) = &loaded.config.restart else { return Ok(Vec::new()) };
    let methods = methods(loaded, section)?;
    let restarter = |method| -> Arc<dyn Restarter> {
        let options = RestartOptions { method, sudo: section.sudo };
        let (sessions, surroundings) = (hosts.sessions.clone(), hosts.surroundings.clone());
        Arc::new(ServiceRestarter::new(sessions, surroundings, options))
    };
    Ok(methods.into_iter().map(restarter).collect())
}

fn methods(loaded: &Loaded, section: &RestartSection) -> Result<Vec<Method>, CommandError> {
    let name = |key: &str, name: &String| {
        ServiceName::new(name.as_str())
            .map_err(|error| loaded.refuse(&["restart", key], error.to_string()))
    };
    let one = section.service.as_ref().map(|service| name("service", service)).transpose()?;
    if let Some(command) = &section.command {
        return Ok(vec![Method::Command { command: command.clone(), service: one }]);
    }
    if let Some(path) = &section.pid_file {
        let path = path.to_str().map(str::to_owned).ok_or_else(|| {
            CommandError::from(loaded.refuse(&["restart", "pid_file"], "is not UTF-8"))
        })?;
        return Ok(vec![Method::HupPidFile(path)]);
    }
    let several = section.services.iter().map(|service| name("services", service));
    let services: Vec<ServiceName> =
        one.into_iter().map(Ok).chain(several).collect::<Result<_, ConfigError>>()?;
    let method = match section.method {
        RestartMethod::Restart | RestartMethod::Command => Method::Restart,
        RestartMethod::Reload => Method::Reload,
        RestartMethod::Hup => Method::Hup,
    };
    Ok(services.into_iter().map(method).collect())
}

/// What is checked, in order.
pub(super) fn checks(loaded: &Loaded, hosts: &Hosts) -> Result<Vec<OwnedCheck>, CommandError> {
    let sections = loaded.config.check.iter().enumerate();
    sections
        .map(|(index, section)| {
            let checker = checker(loaded, hosts, index, section)?;
            Ok(OwnedCheck { policy: policy(section), checker })
        })
        .collect()
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

fn checker(
    loaded: &Loaded,
    hosts: &Hosts,
    index: usize,
    section: &CheckSection,
) -> Result<Arc<dyn Checker>, CommandError> {
    let index = index.to_string();
    let refuse = |key: &str, error: &dyn std::fmt::Display| {
        CommandError::from(loaded.refuse(&["check", &index, key], error.to_string()))
    };
    let (sessions, surroundings) = (hosts.sessions.clone(), hosts.surroundings.clone());
    if let Some(port) = section.port {
        return Ok(Arc::new(PortCheck::new(sessions, port)));
    }
    if let Some(url) = &section.http {
        let url = CheckUrl::new(url.as_str()).map_err(|error| refuse("http", &error))?;
        let mut check = HttpCheck::new(sessions, url);
        check.status = section.status;
        check.body.clone_from(&section.body);
        check.from = match section.from {
            Some(CheckFrom::Deployer) => HttpFrom::Deployer,
            Some(CheckFrom::Host) | None => HttpFrom::Host,
        };
        return Ok(Arc::new(check));
    }
    if let Some(command) = &section.command {
        return Ok(Arc::new(CommandCheck { sessions, surroundings, command: command.clone() }));
    }
    if let Some(script) = &section.script {
        let check = ScriptCheck::new(sessions, surroundings, script.as_str());
        return Ok(Arc::new(check.map_err(|error| refuse("script", &error))?));
    }
    let name = section.service.as_deref().unwrap_or_default();
    let service = ServiceName::new(name).map_err(|error| refuse("service", &error))?;
    let stay_up = section.stay_up.map_or(Duration::ZERO, |span| span.0);
    let sudo = loaded.config.restart.as_ref().is_some_and(|restart| restart.sudo);
    Ok(Arc::new(ServiceCheck { sessions, service, stay_up, sudo }))
}

/// The app's own steps around the switch, in order. Those of stage fetch are the transport's.
pub(super) fn steps(loaded: &Loaded, hosts: &Hosts) -> Vec<OwnedStep> {
    let mut steps = Vec::new();
    for section in &loaded.config.step {
        let moment = match section.stage {
            StepStage::Fetch => continue,
            StepStage::BeforePromote => StepMoment::BeforePromote,
            StepStage::AfterCheck => StepMoment::AfterCheck,
        };
        let policy = StepPolicy {
            name: section.name.clone(),
            moment,
            place: section.place,
            group: section.group.clone(),
            timeout: section.timeout.map_or(STEP, |span| span.0),
        };
        let (sessions, surroundings) = (hosts.sessions.clone(), hosts.surroundings.clone());
        let command = section.command.clone();
        let step = Arc::new(CommandStep { sessions, surroundings, command });
        steps.push(OwnedStep { policy, step });
    }
    steps
}
