//! Rendered files: made of variables and secrets, part of a release, gone back to with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
#[path = "../support/links.rs"]
mod links;
#[path = "../support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;
#[path = "../support/sshd.rs"]
mod sshd;

mod files;
mod refusals;
mod scene;
mod secrets;
