//! The keys of `[cluster.NAME]`, and of what is served in clusters, as they are written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::duration::Span;

/// `[cluster.NAME]`: a cluster, and what of the app's place differs in it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSection {
    /// The context of the kubeconfig that leads to it. The current context is never used.
    pub context: String,
    /// The kubeconfig, beside the configuration; else those of `KUBECONFIG`, or `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// Which cluster it must be: `uid:…` of its namespace kube-system, or `ca:sha256:…`.
    pub identity: String,
    /// The namespace; else that of `[helm]` or `[workload]`, or the app's name.
    pub namespace: Option<String>,
    /// The release of helm; else that of `[helm]`.
    pub release: Option<String>,
    /// More files of values, after those of `[helm]`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// `[image]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageSection {
    /// The image, with its registry and without a tag.
    pub name: String,
    /// The tag of a version of the repository; with it, versions are the repository's.
    pub tag: Option<String>,
    /// The directory with Docker's `config.json`, beside the configuration; else `DOCKER_CONFIG`, or
    /// `~/.docker`.
    pub docker_config: Option<PathBuf>,
}

/// `[workload]`: without a chart, the container whose image is the app's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSection {
    /// `deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`.
    pub name: String,
    /// The container; else the one that is called like the app.
    pub container: Option<String>,
    /// The namespace; else the app's name.
    pub namespace: Option<String>,
    /// How many good versions each cluster remembers.
    #[serde(default = "kept")]
    pub keep: usize,
}

/// `[helm]`: the chart that is given the tag.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HelmSection {
    /// A directory or an archive beside the configuration, or a chart that helm knows.
    pub chart: Option<String>,
    /// In place of a chart, the helmfile beside the configuration that makes the release.
    pub helmfile: Option<PathBuf>,
    /// The helmfile's environment; `{{ cluster }}` is the cluster's name.
    pub environment: Option<String>,
    /// The chart's version, where it is not beside the configuration.
    pub version: Option<String>,
    /// The key of the values that is the image's tag: `main_app.version`.
    pub tag: String,
    /// Files of values beside the configuration, later ones over earlier ones; `{{ cluster }}` is the
    /// cluster's name.
    #[serde(default)]
    pub values: Vec<String>,
    /// The release; else the app's name.
    pub release: Option<String>,
    /// The namespace; else the app's name.
    pub namespace: Option<String>,
    /// How many good versions each cluster remembers.
    #[serde(default = "kept")]
    pub keep: usize,
    /// The program; else `helm` in the `PATH`.
    pub program: Option<PathBuf>,
}

/// How many good versions a cluster remembers.
pub(super) fn kept() -> usize {
    10
}

/// `[values]`: the repository that names what each cluster runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValuesSection {
    /// The repository, as `git fetch` takes it; else where the remote of `[version]` is.
    pub remote: Option<String>,
    /// The branch.
    pub branch: String,
    /// The file, from the top of that repository; `{{ target }}` is the cluster's or host's name.
    pub file: String,
    /// The key of the version; else that of `[helm]`.
    pub key: Option<String>,
    /// The ref that changes are pushed to for review; else they are pushed to the branch.
    pub review: Option<String>,
    /// Who commits, as `Name <mail>`; else as git is configured.
    pub author: Option<String>,
}

/// `[lock]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LockSection {
    /// The cluster that keeps the lock for all who deploy, whichever machine they sit at.
    pub cluster: Option<String>,
    /// How long a lock or claim in a cluster outlives a deployer that died unseen.
    pub lease: Option<Span>,
}
