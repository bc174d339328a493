//! The promises of every transport, kept by this one on this machine.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deploy_core::{
    backend::Transport,
    model::{Release, Target, Version, VersionId},
    record::RunId,
    testing::conformance::{self, Harness},
};
use deploy_ssh::{
    RunProcess, SshTransport,
    session::{Sessions, SshConfig},
};
use ground::{Ground, git};

/// Each fresh target is another directory of this machine, with a transport of its own.
struct Local {
    ground: Ground,
    versions: [Version; 4],
    now: Mutex<(usize, Arc<dyn Transport>)>,
}

impl Local {
    fn new() -> Self {
        let ground = Ground::new();
        let versions = ["v1", "v2", "v3", "v4"].map(|name| {
            ground.write("version.txt", name);
            ground.commit(name)
        });
        let now = Mutex::new((0, Arc::new(ground.transport()) as Arc<dyn Transport>));
        Self { ground, versions, now }
    }

    fn layout(&self) -> deploy_ssh::Layout {
        deploy_ssh::Layout::new(self.path().to_str().unwrap()).unwrap().keep(self.keep())
    }

    fn path(&self) -> std::path::PathBuf {
        self.ground.srv().join(format!("{}/live", self.now.lock().unwrap().0))
    }
}

#[async_trait]
impl Harness for Local {
    fn transport(&self) -> Arc<dyn Transport> {
        self.now.lock().unwrap().1.clone()
    }

    async fn fresh(&self) -> Target {
        let mut now = self.now.lock().unwrap();
        now.0 += 1;
        drop(now);
        let transport = Arc::new(self.ground.transport_of(self.layout()));
        self.now.lock().unwrap().1 = transport;
        self.ground.target.clone()
    }

    fn versions(&self) -> [Version; 4] {
        self.versions.clone()
    }

    fn keep(&self) -> usize {
        2
    }

    fn dead(&self, _: &RunId) -> Arc<dyn Transport> {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let process = RunProcess { pid, ..RunProcess::current().unwrap() };
        let sessions = Sessions::new(SshConfig::default());
        Arc::new(SshTransport::new(sessions, self.ground.repo(), self.layout(), process))
    }

    async fn served(&self, _: &Target) -> Option<VersionId> {
        let text = std::fs::read_to_string(self.path().join("version.txt")).ok()?;
        let version = self.versions.iter().find(|v| v.name.as_deref() == Some(&text))?;
        // What is served is what the commit holds, by git's own account.
        let object = format!("{}:version.txt", version.id);
        assert_eq!(git(&self.ground.repo(), &["cat-file", "blob", &object]), text);
        Some(version.id.clone())
    }

    async fn present(&self, _: &Target, release: &Release) -> bool {
        let cache = self.path().with_file_name("live-cache");
        cache.join("releases").join(release.id.as_str()).join("version.txt").exists()
    }
}

#[tokio::test]
async fn the_transport_keeps_its_promises() {
    conformance::all(&Local::new()).await;
}
