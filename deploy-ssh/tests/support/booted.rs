//! A host of the fleet, and a session with it.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

use std::{sync::Arc, time::Duration};

use deploy_core::{
    backend::{Cancel, Discard, Scope},
    model::Target,
    plan::Stage,
    record::RunId,
};
use deploy_ssh::session::{Sessions, SshConfig};
use xtask::{Fleet, HostKind};

/// Boots a fleet of one host, which `config` leads to under the name that is told.
pub fn boot(name: &str, kind: HostKind, mut config: SshConfig) -> (Fleet, Sessions, Target) {
    let fleet = Fleet::up(name, 1, kind).unwrap();
    fleet.enter_thread().unwrap();
    config.config_file = Some(fleet.dir().join("ssh_config"));
    (fleet, Sessions::new(config), Target::new("h1").unwrap())
}

/// A scope with a minute of time.
pub fn scope(stage: Stage, attempt: u32) -> Scope {
    Scope {
        run: RunId::at(jiff::Timestamp::UNIX_EPOCH, 7),
        who: "ann@desk".to_owned(),
        stage,
        attempt,
        rolling_back: false,
        deadline: tokio::time::Instant::now() + Duration::from_secs(60),
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}
