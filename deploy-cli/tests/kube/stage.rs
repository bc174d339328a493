//! Clusters, a registry, a repository, and the binary that deploys.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::{Kube, Kubelet, Registry};

use crate::ran::Ran;

pub const APP: &str = "mathoid";

/// Clusters, a registry, a repository and a deployer.
pub struct Stage {
    /// The clusters, by the names that groups know them by.
    pub clusters: Vec<(&'static str, Kube)>,
    pub registry: Registry,
    pub kubelet: Kubelet,
    pub directory: TempDir,
}

impl Stage {
    /// Starts clusters that are called `names` in the configuration; `test` tells them from those of other
    /// tests.
    pub fn new(test: &str, names: &[&'static str]) -> Self {
        let up = |name: &&'static str| {
            let kube = Kube::up(&format!("{test}-{name}-{}", std::process::id())).unwrap();
            let namespace = json!({ "metadata": { "name": APP } });
            kube.create("/api/v1/namespaces", &namespace).unwrap();
            (*name, kube)
        };
        let clusters: Vec<_> = names.iter().map(up).collect();
        let of: Vec<&str> = clusters.iter().map(|(_, kube)| kube.name()).collect();
        let kubelet = Kubelet::start(&of);
        let registry = Registry::up(false).unwrap();
        let stage = Self { kubelet, clusters, registry, directory: tempfile::tempdir().unwrap() };
        fs::create_dir(stage.home()).unwrap();
        fs::write(
            stage.home().join(".gitconfig"),
            "[user]\nname = Ann\nemail = ann@example.org\n[init]\ndefaultBranch = main\n",
        )
        .unwrap();
        stage.run("git", &["init", "-q", "--bare", "origin.git"], &stage.root());
        stage.run("git", &["clone", "-q", "origin.git", APP], &stage.root());
        stage
    }

    /// The image's name.
    pub fn image(&self) -> String {
        format!("{}/{APP}", self.registry.host())
    }

    /// Pushes the image under `tag`; returns its digest.
    pub fn push(&self, tag: &str) -> String {
        self.registry.push(APP, tag, &[]).unwrap()
    }

    /// Writes deploy.toml: the app, the image, all clusters, and `rest`.
    pub fn configure(&self, rest: &str) {
        let mut text = format!(
            "app = \"{APP}\"\n[version]\nscheme = \"semver\"\n[image]\nname = \"{}\"\n",
            self.image()
        );
        for (name, kube) in &self.clusters {
            text += &format!(
                "[cluster.{name}]\ncontext = \"{}\"\nkubeconfig = \"{}\"\nidentity = \"{}\"\n",
                kube.name(),
                kube.kubeconfig().display(),
                identity(kube)
            );
        }
        fs::write(self.repository().join("deploy.toml"), text + rest).unwrap();
    }

    /// Changes deploy.toml.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let path = self.repository().join("deploy.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> &Kube {
        &self.clusters.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Makes a Deployment in each cluster, of an image that is not the app's.
    pub fn deployments(&self, replicas: u32) {
        for (_, kube) in &self.clusters {
            let labels = json!({ "app": APP });
            let object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": APP },
                "spec": {
                    "replicas": replicas,
                    "selector": { "matchLabels": labels },
                    "template": {
                        "metadata": { "labels": labels },
                        "spec": { "containers": [{ "name": APP, "image": "placeholder:1" }] },
                    },
                },
            });
            let path = format!("/apis/apps/v1/namespaces/{APP}/deployments");
            kube.create(&path, &object).unwrap();
        }
    }

    /// The Deployment in the cluster of this name.
    pub fn deployment(&self, cluster: &str) -> Value {
        let path = format!("/apis/apps/v1/namespaces/{APP}/deployments/{APP}");
        self.cluster(cluster).get(&path).unwrap()
    }

    /// The image that the Deployment in the cluster of this name runs.
    pub fn runs(&self, cluster: &str) -> String {
        let deployment = self.deployment(cluster);
        let image = deployment.pointer("/spec/template/spec/containers/0/image").unwrap();
        image.as_str().unwrap().to_owned()
    }

    /// The images of all pods in the cluster of this name, and what they look like, as JSON.
    pub fn pods(&self, cluster: &str) -> String {
        let path = format!("/api/v1/namespaces/{APP}/pods");
        self.cluster(cluster).get(&path).map(|pods| pods.to_string()).unwrap_or_default()
    }

    /// All clusters run this tag.
    #[track_caller]
    pub fn all_run(&self, tag: &str) {
        for (name, _) in &self.clusters {
            let image = self.runs(name);
            let written = image.split('@').next().unwrap_or_default();
            assert_eq!(written, format!("{}:{tag}", self.image()), "{name}");
        }
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub fn repository(&self) -> PathBuf {
        self.root().join(APP)
    }

    fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// Runs deploy-cli to its end.
    pub fn deploy_cli(&self, words: &[&str]) -> Ran {
        Ran::of(&self.command(words).stdin(Stdio::null()).output().unwrap())
    }

    /// Deploys without questions.
    pub fn deploy(&self, version: &str) -> Ran {
        self.deploy_cli(&["deploy", version, "--yes"])
    }

    /// Runs deploy-cli to its end in another checkout, which is made where it is not there.
    pub fn deploy_cli_in(&self, checkout: &str, words: &[&str]) -> Ran {
        let place = self.root().join(checkout);
        if !place.exists() {
            self.run("git", &["clone", "-q", "origin.git", checkout], &self.root());
            fs::copy(self.repository().join("deploy.toml"), place.join("deploy.toml")).unwrap();
        }
        let mut command = self.command(words);
        Ran::of(&command.current_dir(place).stdin(Stdio::null()).output().unwrap())
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy-cli"));
        command.args(words).current_dir(self.repository());
        command.env("HOME", self.home()).env("NO_COLOR", "1");
        let helm = self.clusters[0].1.helm();
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", helm.parent().unwrap().display()));
        for name in ["CI", "KUBECONFIG", "DOCKER_CONFIG", "SUDO_USER", "GITHUB_ACTOR"] {
            command.env_remove(name);
        }
        command
    }

    #[track_caller]
    pub fn run(&self, program: &str, words: &[&str], directory: &Path) -> String {
        let mut command = Command::new(program);
        command.args(words).current_dir(directory).env("HOME", self.home());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// By what the cluster is told from any other.
pub fn identity(kube: &Kube) -> String {
    let system = kube.get("/api/v1/namespaces/kube-system").unwrap();
    format!("uid:{}", system["metadata"]["uid"].as_str().unwrap())
}
