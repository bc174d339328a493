//! One value in a YAML file: the tag in a cluster's values, a version in Hiera.

mod edit;
mod entry;
mod key;
mod memory;
mod message;
mod mirror;
mod options;
mod push;
mod remote;
mod repository;
mod transport;

pub use edit::{Edit, EditError};
pub use entry::ValuesPlace;
pub(crate) use key::Step;
pub use key::{ValueKey, ValueKeyError};
pub use memory::ValuesMemory;
pub use options::{Publish, Published, ValuesOptions, Wish};
pub use repository::ValuesRepository;
pub use transport::ValuesTransport;
