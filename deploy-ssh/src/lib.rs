//! .

mod claim;
mod git;
mod layout;
mod pack;
pub mod session;
mod state;
mod transport;

pub use claim::RunProcess;
pub use git::{GitOptions, GitSource};
pub use layout::{BuildStep, Layout, LayoutError};
pub use transport::{Held, SshTransport};
