//! What is deployed, and where to: [`App`], [`Version`], [`Release`], [`Target`], [`Group`].
//!
//! Everything here is plain data without a clock, a network or a file.

mod app;
mod group;
pub(crate) mod name;
mod scheme;
mod target;
mod version;

pub use app::{App, Environment};
pub use group::{Gate, Group, GroupName};
pub use name::NameError;
pub(crate) use name::name_type;
pub use scheme::{DateTag, DateTags, Scheme, SemverPart, SemverTags, TimestampTags};
pub use target::Target;
pub use version::{Release, ReleaseId, Version, VersionId, VersionRef};
