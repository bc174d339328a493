//! Deployments with the real binary, to real Kubernetes clusters, with a real registry and a real helm.
//!
//! Each test starts clusters of its own and names a bad day (`docs/reliability.md` lists them with
//! what was seen).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod charts;
mod checks;
mod deployers;
mod helm;
mod images;
mod lock;
mod mixed;
#[path = "../fleet/ran.rs"]
mod ran;
mod review;
mod running;
mod stage;
mod torn;
mod unreachable;
mod upgrades;
mod workload;
