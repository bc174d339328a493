//! Deployments with the real binary, onto real hosts: systemd, sshd, sudo, git.
//!
//! Each test boots a fleet of its own and names a bad day (`docs/reliability.md` lists them with
//! what was seen).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopt;
mod archive;
mod bench;
mod checks;
mod claims;
mod doctor;
mod inert;
mod interrupts;
mod large_files;
mod later;
mod memory;
mod network;
mod package;
mod pull;
mod ran;
mod rollout;
mod running;
mod service;
mod service_operation;
mod signals;
mod stage;
mod storage;
mod templates;
