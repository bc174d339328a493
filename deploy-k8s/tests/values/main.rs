//! Values in git.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../kube/answers.rs"]
mod answers;
mod lost;
mod repository;
mod review;
mod rig;
mod transport;
