//! The name of a fleet, and what is derived from it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::FleetError;

/// Where the state of all fleets lives.
const STATE: &str = "/run/deploy-fleet";

/// A fleet's name; fleets of different names do not touch each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    pub(super) fn new(name: &str) -> Result<Self, FleetError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        if starts_well && name.len() <= 30 && name.chars().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(FleetError::Name { name: name.to_owned() })
        }
    }

    /// The names of all fleets that have state on this machine.
    pub(super) fn all() -> Vec<Self> {
        fs::read_dir(STATE)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| Self::new(entry.file_name().to_str()?).ok())
            .collect()
    }

    /// The directory with the fleet's state.
    pub(super) fn dir(&self) -> PathBuf {
        Path::new(STATE).join(&self.0)
    }

    /// The file that is locked while hosts are added or the fleet is removed.
    pub(super) fn lock_file(&self) -> PathBuf {
        Path::new(STATE).join(format!("{}.lock", self.0))
    }

    /// The name of its network namespace and of its control group.
    pub(super) fn on_this_machine(&self) -> String {
        format!("deploy-{}", self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_taken() {
        for name in ["fleet", "a", "demo-42"] {
            assert!(Name::new(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "4", "a/b", "..", "a b", "Fleet", &"a".repeat(31)] {
            assert!(Name::new(name).is_err(), "{name}");
        }
    }
}
