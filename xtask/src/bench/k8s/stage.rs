//! A cluster, a registry, a repository, and the programs that are measured there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    Kube, Registry,
    console::{TaskError, expect},
    fleet::tool,
};

/// What is deployed.
pub(super) const APP: &str = "mockbase";

/// The files of the chart.
const CHART: [(&str, &str); 8] = [
    ("Chart.yaml", include_str!("chart/Chart.yaml")),
    ("values.yaml", include_str!("chart/values.yaml")),
    ("templates/_names.tpl", include_str!("chart/templates/_names.tpl")),
    ("templates/configmap.yaml", include_str!("chart/templates/configmap.yaml")),
    ("templates/deployment.yaml", include_str!("chart/templates/deployment.yaml")),
    ("templates/networkpolicy.yaml", include_str!("chart/templates/networkpolicy.yaml")),
    ("templates/secret.yaml", include_str!("chart/templates/secret.yaml")),
    ("templates/service.yaml", include_str!("chart/templates/service.yaml")),
];

/// Where it all happens. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) kube: Kube,
    registry: Registry,
    directory: TempDir,
    program: &'a Path,
}

impl<'a> Stage<'a> {
    /// Starts a cluster and a registry that has `tags`; `program` is the deploy-cli that is measured.
    pub(super) fn new(program: &'a Path, tags: &[&str]) -> Result<Self, TaskError> {
        let kube = Kube::up(&format!("bench-{}", std::process::id()))?;
        let registry = Registry::up(false)?;
        for tag in tags {
            registry.push(APP, tag, &[])?;
        }
        let directory = tempfile::tempdir().map_err(TaskError::io("create a directory"))?;
        let stage = Self { kube, registry, directory, program };
        fs::create_dir(stage.home()).map_err(TaskError::io("create a home"))?;
        for (name, text) in CHART {
            stage.write(&format!("repository/chart/{name}"), text)?;
        }
        let mut init = Command::new("git");
        tool::run(init.args(["init", "--quiet", "--initial-branch=main"]).arg(stage.repository()))?;
        Ok(stage)
    }

    /// The image's name.
    pub(super) fn image(&self) -> String {
        format!("{}/{APP}", self.registry.host())
    }

    /// Makes a namespace.
    pub(super) fn namespace(&self, name: &str) -> Result<(), TaskError> {
        self.kube.create("/api/v1/namespaces", &json!({ "metadata": { "name": name } }))?;
        Ok(())
    }

    /// Writes deploy.toml: the app, the image, then `rest`.
    pub(super) fn configure(&self, rest: &str) -> Result<(), TaskError> {
        let image = self.image();
        let head = format!(
            "app = \"{APP}\"\nstate_dir = \"{}\"\n[version]\nscheme = \"semver\"\n\
             [image]\nname = \"{image}\"\n",
            self.state().display()
        );
        self.write("repository/deploy.toml", &format!("{head}{rest}"))
    }

    /// The section of the configuration for the cluster, called `name`, with `more` keys.
    pub(super) fn section(&self, name: &str, more: &str) -> Result<String, TaskError> {
        let system = self.kube.get("/api/v1/namespaces/kube-system")?;
        let uid = system["metadata"]["uid"].as_str().unwrap_or_default();
        Ok(format!(
            "[cluster.{name}]\ncontext = \"{}\"\nkubeconfig = \"{}\"\nidentity = \"uid:{uid}\"\n{more}\n",
            self.kube.name(),
            self.kube.kubeconfig().display(),
        ))
    }

    /// deploy-cli with `words`; what it says goes into a file.
    pub(super) fn deploy_cli(&self, words: &[&str]) -> Result<Command, TaskError> {
        let mut command = self.prepared(self.program, words)?;
        let helm = self.kube.helm();
        let path = std::env::var("PATH").unwrap_or_default();
        let beside = helm.parent().unwrap_or(Path::new("/")).display();
        command.env("PATH", format!("{beside}:{path}"));
        for name in ["CI", "KUBECONFIG", "DOCKER_CONFIG", "SUDO_USER", "GITHUB_ACTOR"] {
            command.env_remove(name);
        }
        Ok(command)
    }

    /// helm with `words`, as the cluster's administrator; what it says goes into a file.
    pub(super) fn helm(&self, words: &[&str]) -> Result<Command, TaskError> {
        let mut command = self.prepared(&self.kube.helm(), words)?;
        command.arg("--kube-context").arg(self.kube.name());
        command.arg("--kubeconfig").arg(self.kube.kubeconfig());
        Ok(command)
    }

    fn prepared(&self, program: &Path, words: &[&str]) -> Result<Command, TaskError> {
        let log = File::create(self.log()).map_err(TaskError::io("open a log"))?;
        let again = log.try_clone().map_err(TaskError::io("open a log"))?;
        let mut command = Command::new(program);
        command.args(words).current_dir(self.repository());
        command.env("HOME", self.home()).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(log).stderr(again);
        Ok(command)
    }

    /// What the last program has said.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Runs `command` to its end, which must be with `code`.
    pub(super) fn run(&self, mut command: Command, code: i32) -> Result<(), TaskError> {
        let attempted = format!("run `{}`", tool::line(&command));
        let status = command.status().map_err(TaskError::io(attempted))?;
        self.must_be(&command, status.code(), code)
    }

    /// Ends with what was said, unless the program ended with the code that was expected.
    pub(super) fn must_be(
        &self,
        command: &Command,
        code: Option<i32>,
        expected: i32,
    ) -> Result<(), TaskError> {
        expect(command, code, expected).map_err(|error| TaskError::Bench {
            attempted: format!("measure: {error}"),
            said: self.said(),
        })
    }

    /// Where deploy-cli keeps its journals.
    pub(super) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A place for a file.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn repository(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    fn write(&self, name: &str, text: &str) -> Result<(), TaskError> {
        let file = self.directory.path().join(name);
        let parent = file.parent().unwrap_or(&file);
        let made = fs::create_dir_all(parent).and_then(|()| fs::write(&file, text));
        made.map_err(TaskError::io(format!("write {name}")))
    }
}
