//! The kinds of host.

use std::{fmt, str::FromStr};

/// How real a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum HostKind {
    /// Boots a real systemd: services, units, journal and sudo behave as on a server.
    #[default]
    Systemd,
    /// Runs sshd alone: for tests with many hosts.
    Light,
}

impl fmt::Display for HostKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systemd => "systemd",
            Self::Light => "light",
        })
    }
}

impl FromStr for HostKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.trim() {
            "systemd" => Ok(Self::Systemd),
            "light" => Ok(Self::Light),
            _ => Err(()),
        }
    }
}
