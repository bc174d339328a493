//! From the configuration to the engine: groups, strategy, source of versions, pipeline.

mod adoption;
mod checks;
mod completion;
mod examine;
mod fetch;
mod groups;
mod health;
mod over_ssh;
mod request;
mod source;
mod templates;
mod variables;

pub use checks::require_variables;
pub use examine::Examined;
pub use groups::{groups, shared_hosts, strategy};
pub use over_ssh::{FoundClaim, Wired, pipeline};
pub use request::request;
pub use source::{lenient_source, scheme, source};

use deploy_core::run::Backend;

use crate::{context::Project, error::CommandError};

/// What a site does to the backend that its configuration makes: another transport, more checks.
pub type Customize = dyn Fn(&Project, Backend) -> Result<Backend, CommandError> + Send + Sync;
