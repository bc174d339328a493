//! Versions as helm releases.

mod chart;
mod check;
mod command;
mod history;
mod hook;
mod job;
mod objects;
mod operate;
mod place;
mod preview;
mod running;
mod transport;

pub use chart::{Chart, ChartError};
pub use check::ReleaseCheck;
pub use operate::ReleaseOperator;
pub use place::HelmPlace;
pub use transport::HelmTransport;
