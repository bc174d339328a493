//! Where a target lies: a workload in a namespace of a cluster.

use std::{fmt, str::FromStr};

use kube::core::{ApiResource, GroupVersionKind};

use crate::cluster::Cluster;

/// A workload that runs pods, without a chart.
#[derive(Debug, Clone)]
pub struct WorkloadPlace {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace.
    pub namespace: String,
    /// The workload.
    pub workload: WorkloadName,
    /// The container whose image is the app's.
    pub container: String,
}

/// The kind and name of a workload, as kubectl writes them: `deployment/mathoid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadName {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// The kinds of workloads that are rolled out by their controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
}

impl WorkloadKind {
    /// The kind as manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    pub(crate) fn resource(self) -> ApiResource {
        ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", self.as_str()))
    }
}

impl FromStr for WorkloadName {
    type Err = WorkloadNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once('/').ok_or(WorkloadNameError)?;
        let kind = match kind {
            "deployment" | "deploy" => WorkloadKind::Deployment,
            "statefulset" | "sts" => WorkloadKind::StatefulSet,
            "daemonset" | "ds" => WorkloadKind::DaemonSet,
            _ => return Err(WorkloadNameError),
        };
        if !is_object_name(name) {
            return Err(WorkloadNameError);
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str().to_ascii_lowercase(), self.name)
    }
}

/// Whether an object may be called so: a DNS subdomain name (RFC 1123).
pub(crate) fn is_object_name(name: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= 253
        && is_edge(name.chars().next())
        && is_edge(name.chars().last())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
}

/// Text that names no workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not `deployment/NAME`, `statefulset/NAME` or `daemonset/NAME`")]
pub struct WorkloadNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_named_as_for_kubectl() {
        let name: WorkloadName = "deploy/mathoid".parse().unwrap();
        assert_eq!(name.to_string(), "deployment/mathoid");
        assert_eq!("sts/db-0".parse::<WorkloadName>().unwrap().kind, WorkloadKind::StatefulSet);
        for text in ["mathoid", "pod/x", "deploy/", "deploy/-x", "deploy/X", "deploy/a/b", "ds/é"]
        {
            assert_eq!(text.parse::<WorkloadName>(), Err(WorkloadNameError), "{text}");
        }
    }
}
