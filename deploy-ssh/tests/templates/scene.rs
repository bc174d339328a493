//! A repository with a template, a target, and what lies there.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use deploy_core::{
    backend::{BackendError, Preview},
    model::{App, GroupName, Release, Target, Version},
};
use deploy_ssh::{
    Layout, Place, RunProcess, SshTransport, Template, Templates, Variables, session::Sessions,
};

use crate::ground::{Ground, scope};

pub const APP: &str = "templates/app.yaml.j2";

/// A repository with a template, and where it is rendered to.
pub struct Scene {
    pub ground: Ground,
    sessions: Sessions,
    secrets: bool,
}

impl Scene {
    pub fn new(sessions: &Sessions, target: &Target, template: &str) -> Self {
        let mut ground = Ground::new();
        ground.target = target.clone();
        ground.write(APP, template);
        ground.write("a.txt", "one\n");
        Self { ground, sessions: sessions.clone(), secrets: false }
    }

    /// The same, with these secrets on the target.
    pub fn with_secrets(mut self, toml: &str) -> Self {
        self.secrets = true;
        self.put_secrets(toml);
        self
    }

    pub fn put_secrets(&self, toml: &str) {
        fs::write(self.secrets_file(), toml).unwrap();
        fs::set_permissions(self.secrets_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn secrets_file(&self) -> String {
        format!("{}/secrets.toml", self.ground.srv().display())
    }

    pub fn layout(&self) -> Layout {
        self.ground.layout().service_user("root")
    }

    pub fn templates(&self, files: Vec<Template>, variables: serde_json::Value) -> Templates {
        let variables: Variables = variables.as_object().unwrap().clone();
        let group = GroupName::new("canary").unwrap();
        let place = Place { group, variables: Arc::new(variables) };
        let templates =
            Templates::new(App::new("mockbase").unwrap(), Some("beta".parse().unwrap()), files)
                .unwrap()
                .place(self.ground.target.clone(), place);
        match self.secrets {
            true => templates.secrets_file(self.secrets_file()).unwrap(),
            false => templates,
        }
    }

    /// A transport that renders the one template with these variables.
    pub fn transport(&self, variables: serde_json::Value) -> SshTransport {
        let file = Template::new(APP, "config/app.yaml").unwrap();
        self.transport_of(self.templates(vec![file], variables))
    }

    pub fn transport_of(&self, templates: Templates) -> SshTransport {
        self.plain_transport().templates(templates).unwrap()
    }

    pub fn plain_transport(&self) -> SshTransport {
        let process = RunProcess::current().unwrap();
        SshTransport::new(self.sessions.clone(), self.ground.repo(), self.layout(), process)
    }

    pub async fn render(
        &self,
        transport: &SshTransport,
        version: &Version,
    ) -> Result<(), BackendError> {
        transport.render(version, [&self.ground.target]).await
    }

    pub async fn deploy(&self, transport: &SshTransport, version: &Version, run: &str) -> Release {
        self.render(transport, version).await.unwrap();
        self.ground.deploy(transport, version, run).await.unwrap()
    }

    /// What is live.
    pub fn live(&self) -> String {
        fs::read_to_string(self.ground.path().join("config/app.yaml")).unwrap()
    }

    pub fn file(&self, release: &Release) -> PathBuf {
        self.ground.release(release).join("config/app.yaml")
    }

    /// What would change from what is live to `version`, by what the target says now.
    pub async fn diff(&self, transport: &SshTransport, version: &Version) -> String {
        self.render(transport, version).await.unwrap();
        let live = self.ground.live(transport).await;
        let change = self.ground.change(transport, live.release(), Some(version));
        let diffs = transport.diffs(&change, &scope("diff")).await.unwrap();
        diffs.into_iter().map(|diff| format!("{}: {}", diff.file, diff.diff)).collect()
    }
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
