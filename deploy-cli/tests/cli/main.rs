//! Transcripts of the real program, with real git and this machine as the host.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adopt;
mod bad_days;
mod catch_up;
mod checks;
mod commands;
mod configuration;
mod deploys;
mod doctor;
mod fetching;
mod hiera;
mod hostile;
mod inert;
mod left;
mod operation;
mod place;
mod reference;
mod saved;
mod schema;
mod shells;
#[path = "../../../deploy-ssh/tests/support/sshd.rs"]
mod sshd;
mod stages;
mod stops;
mod templates;
mod terminal;
