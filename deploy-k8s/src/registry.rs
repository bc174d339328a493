//! Image registries as the source of versions (OCI distribution specification 1.1).

mod client;
mod credential;
mod manifest;
mod name;
mod source;

pub use name::{ImageName, ImageNameError};
pub use source::RegistrySource;
