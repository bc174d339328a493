//! Sessions: long-lived shells on hosts over SSH, or on this machine.
//!
//! One task owns one libssh2 session ([`Sessions`] keeps one a target), and one long-lived `sh`
//! runs [`Script`]s as framed steps. The design is told in `docs/sessions.md`.

mod auth;
mod captured;
mod config;
mod connect;
mod destination;
mod dial;
mod distrust;
mod driver;
mod error;
mod file_memo;
mod frame;
mod host;
mod host_cert;
mod input;
mod key_file;
mod known_hosts;
mod link;
mod local;
mod logins;
mod mask;
mod quote;
mod road;
mod script;
mod sessions;
mod shell;
mod slot;
mod ssh_config;
mod starts;
mod wrapper;

pub use captured::{Captured, Keep, Output};
pub use config::SshConfig;
pub use dial::{DialError, Dialed};
pub use host::Session;
pub use quote::quote;
pub use script::{OnStdinEnd, Script, Stdin};
pub use sessions::Sessions;
