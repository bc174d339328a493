//! The services of a fleet, operated.

use async_trait::async_trait;

use super::{fault::Deed, fleet::Fleet};
use crate::{
    backend::{BackendError, ErrorKind, Instance, Operator, Scope, ServiceState, Situation},
    model::Target,
    plan::Action,
};

#[async_trait]
impl Operator for Fleet {
    fn describe_action(&self, action: Action) -> Result<String, BackendError> {
        Ok(format!("{action} the service"))
    }

    async fn state(&self, target: &Target, scope: &Scope) -> Result<ServiceState, BackendError> {
        let asked = self.perform(target, Deed::State, scope, |state| {
            let host = state.host(target);
            let active = host.running.is_some();
            Ok(ServiceState {
                service: "the service".to_owned(),
                instance: Instance { active, mark: host.starts.to_string() },
                state: if active { "active" } else { "inactive" }.to_owned(),
                sub: String::new(),
                since: None,
            })
        });
        let lie = ServiceState {
            service: String::new(),
            instance: Instance::default(),
            state: String::new(),
            sub: String::new(),
            since: None,
        };
        asked.await.or_else(|struck| struck.or_lie(lie))
    }

    async fn operate(
        &self,
        target: &Target,
        action: Action,
        before: &Instance,
        _: &Situation,
        scope: &Scope,
    ) -> Result<(), BackendError> {
        let operated = self.perform(target, Deed::Operate, scope, |state| {
            let host = state.host(target);
            let served = host.release().cloned();
            match action {
                Action::Stop => host.running = None,
                Action::Reload if host.running.is_none() => {
                    return Err(BackendError::new(ErrorKind::Rejected, "reload")
                        .with_source("the service does not run"));
                }
                Action::Reload => host.running = served,
                Action::Start if host.running.is_some() => {}
                Action::Restart if before.mark != host.starts.to_string() => {}
                Action::Start | Action::Restart => {
                    host.starts += 1;
                    host.running = served;
                }
            }
            Ok(())
        });
        operated.await.or_else(|struck| struck.or_lie(()))
    }
}
