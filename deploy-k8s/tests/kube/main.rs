//! Against real clusters: an API server, etcd and the controllers, without nodes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod built;
mod cluster;
mod conformance;
mod helm;
mod helm_back;
mod helm_check;
mod helm_hooks;
mod helmfile;
mod lease;
mod preview;
mod probes;
mod prometheus;
mod registry;
mod rights;
mod scene;
mod soak;
mod stateful;
mod story;
mod tokens;
mod workload;
