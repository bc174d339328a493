//! One value in a YAML file: the tag in a cluster's values, a version in Hiera.

mod edit;
mod key;
mod repository;

pub use edit::{Edit, EditError};
pub(crate) use key::Step;
pub use key::{ValueKey, ValueKeyError};
pub use repository::{Publish, Published, ValuesOptions, ValuesRepository, Wish};
