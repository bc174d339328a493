//! The project's own commands, and the fleet of test hosts that integration tests use.
//!
//! `cargo xtask demo` shows a deployment, `cargo xtask test` runs every test, `cargo xtask check`
//! runs the static checks, `cargo xtask package` makes the Debian package and `cargo xtask fleet`
//! boots real hosts to try things on, `cargo xtask kube` real clusters.
//! The modules [`fleet`] and [`kube`] are libraries of their own: a test boots a [`Fleet`] or starts a
//! [`Kube`], and drops it.
//!
//! This crate depends on none of the crates it builds: it must run on a machine on which what they
//! need (libssl-dev, for one) has yet to be installed.

mod bench;
mod check;
mod cli;
mod console;
mod demo;
pub mod fleet;
mod install;
mod interrupt;
pub mod kube;
pub mod package;
mod process;
pub mod prometheus;
pub mod registry;
mod suite;
mod workspace;

pub use cli::{main, run};
pub use fleet::{Fleet, FleetError, HostKind};
pub use kube::{Kube, KubeError, Kubelet, PodLook};
pub use prometheus::Prometheus;
pub use registry::Registry;
