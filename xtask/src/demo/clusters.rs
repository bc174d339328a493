//! `cargo xtask demo --k8s`: a deployment from the first cluster to the last, in clusters of its own.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};

use serde_json::json;

use super::{ROLLED_BACK, repository::Repository};
use crate::{
    Kube, KubeError, Kubelet, PodLook, Registry,
    console::{self, TaskError, expect},
    install,
    interrupt::Interrupt,
    kube, workspace,
};

/// As in the example's configuration, in the order in which they are deployed to.
const CLUSTERS: [&str; 3] = ["staging", "east", "west"];
const APP: &str = "mockbase";
/// By which an image tells of which commit it was built.
const REVISION: &str = "org.opencontainers.image.revision";

/// Shows the deployment; clusters and files are gone when it returns, also after Ctrl-C.
pub(crate) fn run(interrupt: &Interrupt) -> Result<ExitCode, TaskError> {
    install::ensure(&[install::BUILD], interrupt)?;
    kube::build(interrupt)?;
    console::headline("building deploy-cli");
    let deploy_cli = workspace::build_deploy_cli(&[], interrupt)?;

    console::headline("starting three clusters, and a registry of images");
    Kube::sweep()?;
    let clusters = start()?;
    let registry = Registry::up(false)?;
    println!("registry: {}", registry.host());
    let names: Vec<&str> = clusters.iter().map(Kube::name).collect();
    let kubelet = Kubelet::start(&names);
    println!(
        "there are no nodes: that pods run, or cannot, is said to the clusters in their place"
    );
    let directory = tempfile::tempdir().map_err(TaskError::io("create a directory"))?;

    let stage = Stage { clusters, registry, kubelet, deploy_cli, interrupt };
    let shown = stage.show(directory.path());
    console::headline("removing the clusters, the registry and the repository");
    drop(stage);
    shown.map(|()| {
        println!("done: v1 and v2 went out, v3 was taken back from every cluster");
        ExitCode::SUCCESS
    })
}

/// Starts all clusters at once.
fn start() -> Result<Vec<Kube>, KubeError> {
    thread::scope(|scope| {
        let start = |name| {
            let name = format!("demo-{}-{name}", std::process::id());
            println!("$ cargo xtask kube --name {name} up");
            scope.spawn(move || Kube::up(&name))
        };
        let starting = CLUSTERS.map(start);
        let lost = || KubeError::Start { part: "the cluster", log: String::new() };
        starting.into_iter().map(|it| it.join().map_err(|_| lost())?).collect()
    })
}

/// Where the demonstration takes place.
struct Stage<'a> {
    /// In the order of [`CLUSTERS`].
    clusters: Vec<Kube>,
    registry: Registry,
    kubelet: Kubelet,
    deploy_cli: PathBuf,
    interrupt: &'a Interrupt,
}

impl Stage<'_> {
    fn show(&self, directory: &Path) -> Result<(), TaskError> {
        if self.interrupt.is_asked() {
            return Err(TaskError::Interrupted);
        }
        console::headline("a repository with the example: a chart, values, and a deploy.toml");
        let repository = Repository::create(directory, "k8s-service", self.interrupt)?;
        self.fill_in(&repository)?;
        let place = Place { repository: &repository, directory };
        self.release(&repository, "1.0.0")?;

        console::headline("v1: the first deployment, staging first");
        self.deploy(&place, "v1.0.0", 0)?;
        console::headline("v2 is two commits: one gives the service more memory");
        repository.replace(
            "chart/values.yaml",
            "limits: {memory: 128Mi}",
            "limits: {memory: 192Mi}",
        )?;
        repository.commit_change("Allow for more memory")?;
        self.release(&repository, "1.1.0")?;
        console::headline("v2: what will change; then staging, then one cluster, then the next");
        self.deploy(&place, "v1.1.0", 0)?;
        self.all_run("v1.1.0")?;
        console::headline(
            "v3 cannot be pulled in the last cluster: it is taken back from all three",
        );
        self.release(&repository, "1.2.0")?;
        let last = self.clusters.last().map_or("", Kube::name);
        self.kubelet.show_in(last, ":v1.2.0", PodLook::NoImage);
        self.deploy(&place, "v1.2.0", ROLLED_BACK)?;
        console::headline("what every cluster runs now");
        self.deploy_cli(&place, &["status"], 0)?;
        self.all_run("v1.1.0")?;
        console::headline("what was done");
        self.deploy_cli(&place, &["history"], 0)
    }

    /// Says which clusters and which registry are meant, and makes the namespaces.
    fn fill_in(&self, repository: &Repository<'_>) -> Result<(), TaskError> {
        for ((name, kube), number) in CLUSTERS.iter().zip(&self.clusters).zip(1..) {
            let identity = kube.identity()?;
            let example = format!("uid:00000000-0000-0000-0000-{number:012}");
            repository.replace("deploy.toml", &example, &identity)?;
            println!("deploy.toml: [cluster.{name}] is {identity}");
            kube.create("/api/v1/namespaces", &json!({ "metadata": { "name": APP } }))?;
        }
        for file in ["deploy.toml", "chart/values.yaml"] {
            repository.replace(file, "registry.example.org", &self.registry.host())?;
            println!("{file}: the registry is {}", self.registry.host());
        }
        Ok(())
    }

    /// Commits a version, and pushes the image that was built of the commit.
    fn release(&self, repository: &Repository<'_>, version: &str) -> Result<(), TaskError> {
        let tag = format!("v{version}");
        repository.commit_version(version, &tag)?;
        let commit = repository.head()?;
        self.registry.push(APP, &tag, &[(REVISION, &commit)])?;
        let short = commit.get(..12).unwrap_or_default();
        println!("pushed the image {}/{APP}:{tag}, built of {short}", self.registry.host());
        Ok(())
    }

    fn deploy(&self, place: &Place<'_>, version: &str, code: i32) -> Result<(), TaskError> {
        self.deploy_cli(place, &["deploy", version, "--yes"], code)
    }

    /// Runs `deploy-cli` from the repository, with a home of its own.
    fn deploy_cli(&self, place: &Place<'_>, words: &[&str], code: i32) -> Result<(), TaskError> {
        console::announce(Command::new("deploy-cli").args(words));
        let mut command = Command::new(&self.deploy_cli);
        command.args(words).current_dir(place.repository.path()).env("HOME", place.directory);
        for name in ["DOCKER_CONFIG", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command.env("KUBECONFIG", self.kubeconfig(place.directory)?);
        let helm = self.clusters.first().map(Kube::helm).unwrap_or_default();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = helm.parent().map(PathBuf::from).into_iter().chain(env::split_paths(&path));
        command.env("PATH", env::join_paths(path).unwrap_or_default());
        let status = console::run_unannounced(&mut command, self.interrupt)?;
        expect(&command, status.code(), code)
    }

    /// The kubeconfigs in which each cluster has a context of its name in the example.
    fn kubeconfig(&self, directory: &Path) -> Result<std::ffi::OsString, TaskError> {
        let mut files = Vec::new();
        for (name, kube) in CLUSTERS.iter().zip(&self.clusters) {
            let file = directory.join(format!("{name}.kubeconfig"));
            if !file.exists() {
                kube.write_admin_context(&file, name)?;
            }
            files.push(file);
        }
        env::join_paths(files)
            .map_err(|error| TaskError::io("name the kubeconfigs")(std::io::Error::other(error)))
    }

    /// Asks each cluster whether it runs `tag`.
    fn all_run(&self, tag: &str) -> Result<(), TaskError> {
        let path = format!("/apis/apps/v1/namespaces/{APP}/deployments/{APP}");
        for (name, kube) in CLUSTERS.iter().zip(&self.clusters) {
            let deployment = kube.get(&path)?;
            let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
            let image = image.as_str().unwrap_or_default();
            let ready = &deployment["status"]["readyReplicas"];
            println!("{name}: deployment/{APP} runs {image}, {ready} ready");
            if !image.contains(&format!(":{tag}")) {
                return Err(TaskError::Unexpected {
                    command: format!("GET {path} of {name}"),
                    status: image.to_owned(),
                    expected: tag.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// From where things are deployed.
struct Place<'a> {
    repository: &'a Repository<'a>,
    /// A home, and what goes with it.
    directory: &'a Path,
}
