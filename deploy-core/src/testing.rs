//! In-memory targets that fail, hang and lie on demand, and the tests that every backend passes.
//!
//! For the tests of this crate, of backends, and of programs that embed the engine. With tokio's
//! paused clock a rollout of hours takes milliseconds.

pub mod conformance;
mod fault;
mod fleet;
mod host;
mod operate;
mod serve;

pub use fault::{Deed, Fault, Turn};
pub use fleet::{Call, Fleet};
pub use host::Host;
