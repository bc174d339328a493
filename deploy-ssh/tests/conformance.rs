//! The promises of every transport, kept by this one on this machine.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deploy_core::{
    backend::Transport,
    model::{App, Release, Target, Version, VersionId},
    record::RunId,
    testing::conformance::{self, Harness},
};
use deploy_ssh::{
    ArchiveOptions, FetchMethod, PullUrl, RunProcess, SshTransport, Template, Templates,
    session::{Sessions, SshConfig},
};
use ground::{Ground, git};

/// Each fresh target is another directory of this machine, with a transport of its own.
struct Local {
    ground: Ground,
    versions: [Version; 4],
    method: FetchMethod,
    /// Whether a file is rendered into each release.
    renders: bool,
    now: Mutex<Now>,
}

/// The target at hand, our transport to it, and that of a dead process.
struct Now(usize, Arc<dyn Transport>, Arc<dyn Transport>);

impl Local {
    fn new(method: impl Fn(&Ground) -> FetchMethod) -> Self {
        let ground = Ground::new();
        let versions = ["v1", "v2", "v3", "v4"].map(|name| {
            ground.write("version.txt", name);
            ground.commit(name)
        });
        let any: Arc<dyn Transport> = Arc::new(ground.transport());
        let now = Mutex::new(Now(0, any.clone(), any));
        Self { method: method(&ground), ground, versions, renders: false, now }
    }

    /// The same, with a template in every version, and a secret on the target.
    fn rendering(method: impl Fn(&Ground) -> FetchMethod) -> Self {
        let mut local = Self { renders: true, ..Self::new(method) };
        local.ground.write("app.j2", "{{ deploy.version }} {{ secret.token }}\n");
        std::fs::write(local.ground.srv().join("secrets.toml"), "token = \"x\"\n").unwrap();
        local.versions = ["v1", "v2", "v3", "v4"].map(|name| {
            local.ground.write("version.txt", name);
            local.ground.commit(name)
        });
        local
    }

    fn templates(&self) -> Templates {
        let file = Template::new("app.j2", "app.conf").unwrap();
        let templates = Templates::new(App::new("mockbase").unwrap(), None, vec![file]).unwrap();
        templates.secrets_file(format!("{}/secrets.toml", self.ground.srv().display())).unwrap()
    }

    async fn transport_of(&self, process: RunProcess) -> Arc<dyn Transport> {
        let sessions = Sessions::new(SshConfig::default());
        let transport = SshTransport::new(sessions, self.ground.repo(), self.layout(), process)
            .fetch_by(self.method.clone())
            .cache_in(&self.ground.srv());
        let transport = match self.renders {
            true => transport.templates(self.templates()).unwrap(),
            false => transport,
        };
        for version in &self.versions {
            transport.admit(version).await.unwrap();
            transport.render(version, [&self.ground.target]).await.unwrap();
        }
        Arc::new(transport)
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
        self.now.lock().unwrap().0 += 1;
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let us = RunProcess::current().unwrap();
        let ours = self.transport_of(us.clone()).await;
        let dead = self.transport_of(RunProcess { pid, ..us }).await;
        let mut now = self.now.lock().unwrap();
        *now = Now(now.0, ours, dead);
        self.ground.target.clone()
    }

    fn versions(&self) -> [Version; 4] {
        self.versions.clone()
    }

    fn keep(&self) -> usize {
        2
    }

    fn dead(&self, _: &RunId) -> Arc<dyn Transport> {
        self.now.lock().unwrap().2.clone()
    }

    async fn served(&self, _: &Target) -> Option<VersionId> {
        let text = std::fs::read_to_string(self.path().join("version.txt")).ok()?;
        let version = self.versions.iter().find(|v| v.name.as_deref() == Some(&text))?;
        // What is served is what the commit holds, by git's own account.
        let object = format!("{}:version.txt", version.id);
        assert_eq!(git(&self.ground.repo(), &["cat-file", "blob", &object]), text);
        let rendered = std::fs::read_to_string(self.path().join("app.conf")).ok();
        assert_eq!(rendered, self.renders.then(|| format!("{text} x\n")));
        Some(version.id.clone())
    }

    async fn present(&self, _: &Target, release: &Release) -> bool {
        let cache = self.path().with_file_name("live-cache");
        cache.join("releases").join(release.id.as_str()).join("version.txt").exists()
    }
}

#[tokio::test]
async fn the_transport_keeps_its_promises() {
    conformance::all(&Local::new(|_| FetchMethod::Push)).await;
}

#[tokio::test]
async fn the_transport_keeps_its_promises_where_targets_pull() {
    let url = |ground: &Ground| PullUrl::new(format!("file://{}", ground.repo().display()));
    conformance::all(&Local::new(|ground| FetchMethod::Pull(url(ground).unwrap()))).await;
}

#[tokio::test]
async fn the_transport_keeps_its_promises_with_archives() {
    let command = "tar -cf \"$DEPLOY_ARCHIVE\" version.txt".to_owned();
    let options = ArchiveOptions { command, timeout: std::time::Duration::from_secs(60) };
    conformance::all(&Local::new(|_| FetchMethod::Archive(options.clone()))).await;
}

#[tokio::test]
async fn the_transport_keeps_its_promises_with_rendered_files() {
    conformance::all(&Local::rendering(|_| FetchMethod::Push)).await;
}

#[tokio::test]
async fn the_transport_keeps_its_promises_with_rendered_files_in_archives() {
    let command = "tar -cf \"$DEPLOY_ARCHIVE\" version.txt".to_owned();
    let options = ArchiveOptions { command, timeout: std::time::Duration::from_secs(60) };
    conformance::all(&Local::rendering(|_| FetchMethod::Archive(options.clone()))).await;
}
