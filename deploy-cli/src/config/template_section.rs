//! The keys of `[[template]]`, as they are written.

use deploy_core::model::GroupName;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[[template]]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateSection {
    /// The template, a file of the repository.
    pub source: String,
    /// Where the file is written, in the release.
    pub destination: String,
    /// Who may read it: `"0444"`, or `"0440"` where it writes secrets.
    pub mode: Option<String>,
    /// The group of users that it belongs to.
    pub file_group: Option<String>,
    /// The groups of hosts that get it; all by default.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub groups: Vec<GroupName>,
}
