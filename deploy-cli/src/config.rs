//! What `deploy.toml` says, where each value comes from, and what of it is refused.
//!
//! Later wins: defaults, `/etc/deploy/deploy.toml`, `deploy.toml` in the repository, its
//! `[environment.NAME]`, `DEPLOY_CFG__SECTION__KEY` variables, options of the command line.

mod amount;
mod check;
mod check_section;
mod cluster_section;
mod defaults;
mod duration;
mod error;
mod fetch_section;
mod header_value;
mod json_schema;
mod load;
mod locate;
mod schema;
mod template_section;
mod variables;
mod words;

pub use check_section::{
    CheckFrom, CheckSection, CheckStage, LogSection, NrpeSection, NrpeWarning,
};
pub use cluster_section::{
    ClusterSection, HelmSection, ImageSection, LockSection, ValuesSection, WorkloadSection,
};
pub use defaults::{BUILD_TIMEOUT, LEASE, NOTIFY_TIMEOUT, ROLLOUT_TIMEOUT, STEP_TIMEOUT};
pub use duration::{ParseSpanError, Span, short};
pub use error::ConfigError;
pub use fetch_section::{FetchBy, FetchSection};
pub use header_value::{HeaderPart, HeaderValueError, header_parts};
pub use json_schema::{json_schema, known};
pub(crate) use load::read_bounded;
pub use load::{Loaded, Setting, Wanted, environments, load};
pub use locate::Place;
pub use schema::{
    Config, GroupSection, LayoutSection, NotifySection, Pause, RestartMethod, RestartSection,
    RunSection, SchemeName, SshSection, StepSection, StepStage, TimeoutsSection, VersionSection,
};
pub use template_section::TemplateSection;

/// What the names of variables that set a key begin with; `__` stands between section and key.
pub const VARIABLES: &str = "DEPLOY_CFG__";

/// The tables that are written several times: `[[group]]`.
const ARRAYS: [&str; 4] = ["group", "template", "check", "step"];
