//! Kubernetes clusters as targets of deploy.
//!
//! - [`Cluster`]: one cluster, reached by a named context, and told from any other by its
//!   [`Identity`].
//! - [`Lease`]: what one run holds and others respect; [`LeaseLock`]: the lock of an app.
//! - [`RegistrySource`]: the tags of an image, as versions.
//! - [`BuiltImages`]: the images of a repository's versions, for runs over hosts and clusters.
//! - [`WorkloadTransport`]: workloads without a chart, whose image is set by server-side apply.
//! - [`HelmTransport`]: releases of helm, whose chart is given the tag. [`ReleaseCheck`]: whether all of
//!   a release runs it; [`ReleaseOperator`]: restarts.
//! - [`RolloutCheck`]: whether a workload has come to run it, or never will. [`WorkloadOperator`]:
//!   restarts without another version.
//! - [`PrometheusCheck`]: whether what a query of Prometheus gives keeps to a threshold.
//! - [`Edit`]: one value in a YAML file, every other byte of which stays.
//!   [`ValuesRepository`]: the git repository that such files live in. [`ValuesTransport`]: another
//!   transport, with git naming what it brings.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod built;
mod claim;
mod cluster;
mod examine;
mod failure;
mod git;
mod helm;
mod image;
mod lease;
mod manifest;
mod operate;
mod place;
mod prometheus;
mod record;
mod registry;
mod release;
mod rollout;
mod tls;
mod values;
mod workload;

pub use built::BuiltImages;
pub use cluster::{Cluster, ClusterOptions, Identity, IdentityError};
pub use helm::{Chart, ChartError, HelmPlace, HelmTransport, ReleaseCheck, ReleaseOperator};
pub use lease::{Held, IsDead, Lease, LeaseLock, LeaseTerms, Taken, Tenant};
pub use operate::WorkloadOperator;
pub use place::{WorkloadKind, WorkloadName, WorkloadNameError, WorkloadPlace};
pub use prometheus::{PrometheusCheck, PrometheusOptions, Threshold, ThresholdError};
pub use registry::{ImageName, ImageNameError, RegistrySource};
pub use rollout::RolloutCheck;
pub use values::{
    Edit, EditError, Publish, Published, ValueKey, ValueKeyError, ValuesMemory, ValuesOptions,
    ValuesPlace, ValuesRepository, ValuesTransport, Wish,
};
pub use workload::WorkloadTransport;
