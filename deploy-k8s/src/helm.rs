//! Versions as helm releases.

mod chart;
mod command;
mod history;
mod preview;
mod transport;

pub use chart::{Chart, ChartError};
pub use transport::{HelmPlace, HelmTransport};
