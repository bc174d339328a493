//! The keys of `[[check]]` and `[nrpe]`, as they are written.

use std::{collections::BTreeMap, path::PathBuf};

use deploy_core::{model::GroupName, plan::Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Span;

/// `[[check]]`: a name, and exactly one of the kinds of check.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSection {
    /// Its name.
    pub name: String,
    /// A TCP port of the host that must be open.
    pub port: Option<u16>,
    /// An URL that must answer.
    pub http: Option<String>,
    /// A command that must succeed on the host.
    pub command: Option<String>,
    /// A script of the release that must succeed.
    pub script: Option<String>,
    /// A service that must be up.
    pub service: Option<String>,
    /// A command that NRPE knows on the host, which must find it well.
    pub nrpe: Option<String>,
    /// A log that must say something, or must not.
    pub log: Option<LogSection>,
    /// That a cluster has come to run the version, all of it.
    pub rollout: Option<bool>,
    /// The Prometheus server that `query` is asked of.
    pub prometheus: Option<String>,
    /// After which stage it is asked.
    #[serde(default)]
    pub stage: CheckStage,
    /// Only in this group.
    #[schemars(with = "Option<String>")]
    pub group: Option<GroupName>,
    /// How long the whole check may take.
    pub timeout: Option<Span>,
    /// How often it is asked again after "unhealthy".
    #[serde(default)]
    pub retries: u32,
    /// How long between two attempts.
    pub interval: Option<Span>,
    /// The status that `http` must answer; any 2xx by default.
    pub status: Option<u16>,
    /// What the body of `http` must contain.
    pub body: Option<String>,
    /// Where `http` is asked from.
    pub from: Option<CheckFrom>,
    /// What a line of the body of `http` must match.
    pub body_matches: Option<String>,
    /// What the body of `http`, as JSON, must have at each place.
    #[serde(default)]
    pub json: BTreeMap<String, serde_json::Value>,
    /// The method of `http`.
    pub method: Option<String>,
    /// Headers that `http` sends.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How many redirects `http` follows.
    pub redirects: Option<u8>,
    /// The authorities that vouch for `http`'s server, in PEM; beside the configuration.
    pub ca_file: Option<PathBuf>,
    /// How long `service` must stay up.
    pub stay_up: Option<Span>,
    /// What stands for `$ARG1$`, `$ARG2$`, … in the definition of `nrpe`.
    #[serde(default)]
    pub args: Vec<String>,
    /// What a warning of `nrpe` counts as.
    pub warning: Option<NrpeWarning>,
    /// What `prometheus` is asked.
    pub query: Option<String>,
    /// What each value of the answer must be: `< 0.05`.
    pub threshold: Option<String>,
}

/// What a warning of a command that NRPE knows counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NrpeWarning {
    /// It is told, and the check passes.
    Ok,
    /// The check fails.
    Fail,
}

/// `log` of a `[[check]]`: one of `file` and `journal`, and one of `must_match` and
/// `must_not_match`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// A file on the host.
    pub file: Option<String>,
    /// A unit, whose journal is meant.
    pub journal: Option<String>,
    /// What a line must match.
    pub must_match: Option<String>,
    /// What no line may match.
    pub must_not_match: Option<String>,
    /// For how long no such line may come.
    pub watch: Option<Span>,
}

/// `[nrpe]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NrpeSection {
    /// The files and directories on the hosts that define commands.
    pub paths: Option<Vec<String>>,
}

/// After which stage a check is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStage {
    /// After the version was put beside the live one.
    Fetch,
    /// After the switch, before the restart.
    Promote,
    /// After the restart.
    #[default]
    Check,
}

impl From<CheckStage> for Stage {
    fn from(stage: CheckStage) -> Self {
        match stage {
            CheckStage::Fetch => Self::Fetch,
            CheckStage::Promote => Self::Promote,
            CheckStage::Check => Self::Check,
        }
    }
}

/// Where an HTTP check is asked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckFrom {
    /// The host itself.
    Host,
    /// The deployer's machine.
    Deployer,
}
