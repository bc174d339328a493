//! Where a release lies.

use std::sync::Arc;

use super::chart::Chart;
use crate::cluster::Cluster;

/// A release of helm, and the chart that it is made of.
#[derive(Debug, Clone)]
pub struct HelmPlace {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace.
    pub namespace: String,
    /// The release's name.
    pub release: String,
    /// The chart, with the values that it is given here.
    pub chart: Arc<Chart>,
}
