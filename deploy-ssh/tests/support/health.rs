//! A release on a "host" that is this machine, and what a check, a restart or a step needs.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use deploy_core::{
    backend::Situation,
    model::{GroupName, Release, ReleaseId, Version, VersionId},
};
use deploy_ssh::{Layout, Surroundings};
use tempfile::TempDir;

/// A directory with one release in it, gone when dropped.
pub struct Premises {
    dir: TempDir,
}

impl Premises {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("deploy test ").tempdir().unwrap();
        let premises = Self { dir };
        fs::create_dir_all(premises.release()).unwrap();
        premises
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn release(&self) -> PathBuf {
        self.path("live-cache/releases/0123-4567")
    }

    /// Adds an executable file to the release.
    pub fn script(&self, name: &str, text: &str) {
        let path = self.release().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    }

    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            layout: Layout::new(self.path("live").to_str().unwrap()).unwrap(),
            environment: Some("beta".parse().unwrap()),
        }
    }
}

/// Version "v2 $(x)" comes to the canary group, after an unnamed one.
pub fn situation() -> Situation {
    let version = |id: &str, name: Option<&str>| Version {
        id: VersionId::new(id).unwrap(),
        name: name.map(str::to_owned),
    };
    let release = |id: &str, version| Release { id: ReleaseId::new(id).unwrap(), version };
    Situation {
        group: GroupName::new("canary").unwrap(),
        release: Some(release("0123-4567", version("0123456789", Some("v2 $(x)")))),
        previous: Some(release("89ab-cdef", version("89abcdef01", None))),
        rolling_back: false,
        noted: None,
    }
}
