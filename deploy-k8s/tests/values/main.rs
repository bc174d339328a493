//! Values in git.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod repository;
mod rig;
mod transport;
