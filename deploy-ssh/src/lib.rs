//! .

mod check;
mod claim;
mod git;
mod layout;
mod pack;
mod restart;
pub mod session;
mod state;
mod step;
mod surroundings;
mod transport;

pub use check::{
    CheckUrl, CheckUrlError, CommandCheck, HttpCheck, HttpFrom, PortCheck, ScriptCheck,
    ScriptPathError, ServiceCheck,
};
pub use claim::RunProcess;
pub use git::{GitOptions, GitSource};
pub use layout::{BuildStep, Layout, LayoutError};
pub use restart::{Method, RestartOptions, ServiceName, ServiceNameError, ServiceRestarter};
pub use step::CommandStep;
pub use surroundings::Surroundings;
pub use transport::{Held, SshTransport};
