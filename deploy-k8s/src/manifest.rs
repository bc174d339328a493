//! What a deploy changes in a cluster, three ways: as deployed, as rendered, as it lives there.
//!
//! Pure but for `look`, which asks the cluster.

mod difference;
mod drift;
mod kind;
mod look;
mod mask;
mod noise;
mod object;
mod path;
mod report;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use difference::{Difference, Live, Seen};
pub(crate) use look::{Look, reason};
pub(crate) use object::{Key, ManifestError, Object, objects};
pub(crate) use report::Report;
