//! From `[restart]` and `[[step]]` to what restarts services and runs the app's own steps.

use std::sync::Arc;

use deploy_core::{
    backend::{Operator, Restarter},
    plan::{StepMoment, StepPolicy},
    run::OwnedStep,
};
use deploy_ssh::{
    CommandStep, Method, RestartOptions, ServiceName, ServiceRestarter, Surroundings,
    session::Sessions,
};

use crate::{
    config::{ConfigError, Loaded, RestartMethod, RestartSection, STEP_TIMEOUT, StepStage},
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
    Ok(services(loaded, hosts)?.into_iter().map(|service| Arc::new(service) as Arc<_>).collect())
}

/// What operates the services, in the same order.
pub(super) fn operators(
    loaded: &Loaded,
    hosts: &Hosts,
) -> Result<Vec<Arc<dyn Operator>>, CommandError> {
    Ok(services(loaded, hosts)?.into_iter().map(|service| Arc::new(service) as Arc<_>).collect())
}

/// The services, as they are restarted and operated.
pub(super) fn services(
    loaded: &Loaded,
    hosts: &Hosts,
) -> Result<Vec<ServiceRestarter>, CommandError> {
    let Some(section) = &loaded.config.restart else { return Ok(Vec::new()) };
    let methods = methods(loaded, section)?;
    let service = |method| {
        let options = RestartOptions { method, sudo: section.sudo };
        let (sessions, surroundings) = (hosts.sessions.clone(), hosts.surroundings.clone());
        ServiceRestarter::new(sessions, surroundings, options)
    };
    Ok(methods.into_iter().map(service).collect())
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
            timeout: section.timeout.map_or(STEP_TIMEOUT, |span| span.0),
        };
        let (sessions, surroundings) = (hosts.sessions.clone(), hosts.surroundings.clone());
        let command = section.command.clone();
        let step = Arc::new(CommandStep { sessions, surroundings, command });
        steps.push(OwnedStep { policy, step });
    }
    steps
}
