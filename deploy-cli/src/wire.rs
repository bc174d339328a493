//! From the configuration to the engine: groups, strategy, source of versions, pipeline.

mod adoption;
mod checks;
mod claims;
mod completion;
mod examine;
mod fetch;
mod groups;
mod health;
mod lock;
mod over_k8s;
mod over_ssh;
mod phrase;
mod request;
mod source;
mod templates;
mod values;
mod variables;
mod wired;

pub use adoption::{find, identify};
pub use checks::require_variables;
pub use claims::FoundClaim;
pub use examine::Examined;
pub use groups::{groups, shared_hosts, strategy};
pub use lock::{ProjectLock, lock};
pub use over_k8s::program as helm_program;
pub use request::request;
pub use source::{
    git_source, is_of_repository, lenient_git_source, lenient_source, scheme, source,
};
pub use wired::{Wired, pipeline};

use deploy_core::run::Backend;

use crate::{context::Project, error::CommandError};

/// What a site does to the backend that its configuration makes: another transport, more checks.
pub type Customize = dyn Fn(&Project, Backend) -> Result<Backend, CommandError> + Send + Sync;
