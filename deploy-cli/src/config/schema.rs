//! The keys of `deploy.toml`, as they are written.

use std::{collections::BTreeMap, path::PathBuf};

use deploy_core::{
    model::{App, Environment, GroupName},
    plan::{BatchSize, Budget, OnAbort, OnBreach, OnFailure, StepPlace},
};
use figment::value::{Dict, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    amount,
    check_section::{CheckSection, NrpeSection},
    cluster_section::{
        ClusterSection, HelmSection, ImageSection, LockSection, ValuesSection, WorkloadSection,
    },
    duration::Span,
    fetch_section::{self, FetchSection},
    template_section::TemplateSection,
    words,
};

/// A table of anything, in what is said about the keys.
type AnyTable = BTreeMap<String, serde_json::Value>;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is deployed.
    #[schemars(with = "String")]
    pub app: App,
    /// Where runs and the lock live; by default within the repository.
    pub state_dir: Option<PathBuf>,
    /// The file on each host that holds its secrets.
    pub secrets_file: Option<String>,
    /// The environment when `--env` is not given.
    #[schemars(with = "Option<String>")]
    pub default_environment: Option<Environment>,
    /// Named overlays, as they are written; the chosen one is merged already.
    #[serde(default)]
    #[schemars(with = "AnyTable")]
    pub environment: BTreeMap<String, Value>,
    /// Which versions there are.
    #[serde(default)]
    pub version: VersionSection,
    /// How hosts are reached.
    #[serde(default)]
    pub ssh: SshSection,
    /// How a version comes onto hosts.
    #[serde(default, deserialize_with = "fetch_section::read")]
    #[schemars(schema_with = "fetch_section::schema")]
    pub fetch: FetchSection,
    /// Where a release lies on a host.
    pub layout: Option<LayoutSection>,
    /// The image that clusters run.
    pub image: Option<ImageSection>,
    /// The clusters, by name.
    #[serde(default)]
    pub cluster: BTreeMap<String, ClusterSection>,
    /// The chart that brings it there.
    pub helm: Option<HelmSection>,
    /// What runs it, where there is no chart.
    pub workload: Option<WorkloadSection>,
    /// The repository that names what runs where.
    pub values: Option<ValuesSection>,
    /// Who keeps the lock.
    #[serde(default)]
    pub lock: LockSection,
    /// How the service is made to use it.
    pub restart: Option<RestartSection>,
    /// The groups, in order.
    #[serde(default)]
    pub group: Vec<GroupSection>,
    /// What templates may name.
    #[serde(default)]
    #[schemars(with = "AnyTable")]
    pub vars: Dict,
    /// Files of variables, beside the configuration; later ones win.
    #[serde(default)]
    pub vars_files: Vec<String>,
    /// Variables of single hosts; `web[01-20]` stands for twenty.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, AnyTable>")]
    pub host_vars: BTreeMap<String, Dict>,
    /// Files that are rendered into each release.
    #[serde(default)]
    pub template: Vec<TemplateSection>,
    /// What is checked.
    #[serde(default)]
    pub check: Vec<CheckSection>,
    /// Where hosts define what NRPE may run.
    #[serde(default)]
    pub nrpe: NrpeSection,
    /// Steps of the app's own.
    #[serde(default)]
    pub step: Vec<StepSection>,
    /// How a run behaves as a whole.
    #[serde(default)]
    pub run: RunSection,
    /// Who is told of start and end.
    pub notify: Option<NotifySection>,
}

/// `[version]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VersionSection {
    /// How tags are written and ordered.
    pub scheme: SchemeName,
    /// What stands before the day or the number of a tag.
    pub prefix: Option<String>,
    /// What stands behind the timestamp of a tag.
    pub suffix: Option<String>,
    /// The branch a version must be on.
    pub branch: Option<String>,
    /// The remote that tags are pushed to, and whose branch is meant.
    pub remote: Option<String>,
}

/// How version tags are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SchemeName {
    /// `release/2015-06-10/1`
    Date,
    /// `v1.4.2`
    Semver,
    /// `2024-06-10-123456-production`
    Timestamp,
    /// Any tag, by when it was made.
    #[default]
    Any,
}

impl SchemeName {
    /// What stands before the day of a tag, unless the configuration says so.
    pub const DATE_PREFIX: &str = "release";
    /// What stands before the number of a tag, unless the configuration says so.
    pub const SEMVER_PREFIX: &str = "v";
}

/// `[ssh]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SshSection {
    /// The user to log in as; else what `~/.ssh/config` says.
    pub user: Option<String>,
    /// Another file than `~/.ssh/config`, beside the configuration.
    pub config: Option<PathBuf>,
    /// Whether what `ssh -G` says is kept from run to run.
    pub cache: Option<bool>,
    /// How long a connection may take to come about.
    pub connect_timeout: Option<Span>,
    /// How often a host at work must be heard of; three silent intervals are a lost link.
    pub heartbeat: Option<Span>,
    /// How many connections may be coming about at once.
    pub max_starts: Option<usize>,
}

/// `[layout]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayoutSection {
    /// The path that the service knows: a symlink to the live release.
    pub path: PathBuf,
    /// How many good releases are kept.
    #[serde(default = "LayoutSection::default_keep")]
    pub keep: usize,
    /// Directories that outlive a release, linked into each.
    #[serde(default)]
    pub shared: Vec<String>,
    /// The user that the service runs as.
    pub service_user: Option<String>,
}

impl LayoutSection {
    pub(super) fn default_keep() -> usize {
        5
    }
}

/// `[restart]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestartSection {
    /// The service.
    pub service: Option<String>,
    /// Several services, in order.
    pub services: Vec<String>,
    /// How it is told.
    pub method: RestartMethod,
    /// Whether by `sudo -n`.
    pub sudo: bool,
    /// A command of one's own, for `method = "command"`.
    pub command: Option<String>,
    /// The file with the process id, for `method = "hup"` without a systemd unit.
    pub pid_file: Option<PathBuf>,
}

/// How a service is made to use a new release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartMethod {
    /// It is restarted.
    #[default]
    Restart,
    /// It is told to reload.
    Reload,
    /// It is sent SIGHUP.
    Hup,
    /// A command of one's own.
    Command,
}

/// `[[group]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSection {
    /// Its name.
    #[schemars(with = "String")]
    pub name: GroupName,
    /// Its hosts; `web[01-20]` stands for twenty.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// A file with one host a line, beside the configuration.
    pub hosts_file: Option<PathBuf>,
    /// Its clusters, each by the name of its `[cluster.NAME]`, in place of hosts.
    #[serde(default)]
    pub clusters: Vec<String>,
    /// Whether it proves a version for the others.
    #[serde(default)]
    pub canary: bool,
    /// How many hosts at once.
    #[serde(default, deserialize_with = "amount::batch")]
    #[schemars(schema_with = "amount::batch_schema")]
    pub batch: Option<BatchSize>,
    /// How many hosts may fail.
    #[serde(default, deserialize_with = "amount::budget")]
    #[schemars(schema_with = "amount::budget_schema")]
    pub max_failures: Option<Budget>,
    /// Whether the deployer is asked after it.
    #[serde(default)]
    pub pause: Pause,
    /// How long the hosts deployed so far are watched after it.
    pub soak: Option<Span>,
    /// How long between two rounds of checks while soaking.
    pub interval: Option<Span>,
    /// Variables of its hosts.
    #[serde(default)]
    #[schemars(with = "AnyTable")]
    pub vars: Dict,
}

/// Whether the deployer is asked after a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pause {
    /// The next group starts by itself.
    #[default]
    Go,
    /// The deployer is asked.
    Ask,
}

/// `[[step]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSection {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub stage: StepStage,
    /// Where it runs.
    #[serde(rename = "where", default = "StepSection::default_place")]
    #[schemars(schema_with = "words::schema::<StepPlace>")]
    pub place: StepPlace,
    /// What it runs, by `sh`.
    pub command: String,
    /// How long it may take.
    pub timeout: Option<Span>,
    /// Only in this group.
    #[schemars(with = "Option<String>")]
    pub group: Option<GroupName>,
}

impl StepSection {
    fn default_place() -> StepPlace {
        StepPlace::Each
    }
}

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStage {
    /// In the new release, before it counts as complete.
    Fetch,
    /// Before the switch.
    BeforePromote,
    /// After the checks passed.
    AfterCheck,
}

/// `[run]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunSection {
    /// How many hosts of the whole run may fail.
    #[serde(deserialize_with = "amount::budget")]
    #[schemars(schema_with = "amount::budget_schema")]
    pub max_failures: Option<Budget>,
    /// What is done with a host that failed within the budget.
    #[schemars(schema_with = "words::schema::<OnFailure>")]
    pub on_failure: OnFailure,
    /// What is done when a budget is exceeded.
    #[schemars(schema_with = "words::schema::<OnBreach>")]
    pub on_breach: OnBreach,
    /// What is done when the run is interrupted and nobody can be asked.
    #[schemars(schema_with = "words::schema::<OnAbort>")]
    pub on_abort: OnAbort,
    /// How many hosts go back at once.
    #[serde(deserialize_with = "amount::batch")]
    #[schemars(schema_with = "amount::batch_schema")]
    pub rollback_batch: Option<BatchSize>,
    /// How often a call that failed in passing is made.
    pub attempts: Option<u32>,
    /// How long each stage may take.
    pub timeouts: TimeoutsSection,
}

/// `[run.timeouts]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsSection {
    /// Reaching a host and asking what it serves.
    pub connect: Option<Span>,
    /// Bringing a version there, its own steps included.
    pub fetch: Option<Span>,
    /// Switching.
    pub promote: Option<Span>,
    /// Restarting the service.
    pub restart: Option<Span>,
    /// Marking good, and pruning.
    pub finalize: Option<Span>,
}

/// `[notify]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifySection {
    /// Gets each start and end event as JSON on its standard input.
    pub command: String,
    /// How long it may take; 10 seconds by default.
    pub timeout: Option<Span>,
}
