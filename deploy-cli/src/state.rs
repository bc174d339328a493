//! Where runs live: the lock, and for each run its plan, its journal and its hosts' output.

mod file_lock;
mod held;
mod open;
mod output;
mod runs;

pub use file_lock::{FileLock, Freed};
pub use output::OutputDir;
pub use runs::{Past, RunDir};

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use deploy_core::{
    backend::Holder,
    model::{App, Environment},
};

use crate::{display, error::CommandError, repo::Repo};

/// The directory of one app in one environment.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
    shared: bool,
}

impl StateDir {
    /// The directory for `app` and `environment`: below `configured`, else in the repository's
    /// common git directory. Makes nothing.
    pub fn new(
        configured: Option<&Path>,
        repo: &Repo,
        app: &App,
        environment: Option<&Environment>,
    ) -> Self {
        let root = match configured {
            Some(path) => repo.top.join(path),
            None => repo.common_dir.join("deploy"),
        };
        let environment = environment.map_or("default", Environment::as_str);
        Self { path: root.join(app.as_str()).join(environment), shared: repo.shared }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What all environments of the app have in common.
    pub fn of_app(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Makes [`of_app`](Self::of_app), as well as that can be done: it holds what may be missing.
    pub fn make_for_app(&self) {
        let _ = self.make_dir(self.of_app());
    }

    /// The lock.
    pub fn lock(&self) -> FileLock {
        FileLock::new(self.clone())
    }

    /// Makes it, with what is below it.
    ///
    /// # Errors
    /// Refused when it cannot be made.
    pub fn make(&self) -> Result<(), CommandError> {
        self.make_dir(&self.path.join("runs")).map_err(|error| {
            let phrase = format!("make the state directory {}", self.path.display());
            CommandError::because(phrase, error)
                .hint("it holds the lock and the journals: make it writable, or set `state_dir`")
        })
    }

    fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// Makes a directory and what is above it. A directory that is there keeps its mode.
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            self.make_dir(parent)?;
        }
        let mode = if self.shared { 0o2770 } else { 0o750 };
        match fs::DirBuilder::new().mode(mode).create(path) {
            // The place may be chosen by a link. What is within was made by some run: a link there
            // would lead this one to where somebody else wants it.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && !path.starts_with(self.runs())
                    && path.is_dir() =>
            {
                return Ok(());
            }
            done => done?,
        }
        // The umask of one user must not keep the others of a shared repository out.
        if self.shared {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    fn file_mode(&self) -> open::Mode {
        if self.shared { open::Mode::Group } else { open::Mode::Own }
    }
}

/// Says who holds a lock, since when and why.
pub fn describe_holder(holder: &Holder) -> String {
    let mut text = format!("{}@{}", display::line(&holder.who), display::line(&holder.host));
    match &holder.run {
        Some(run) => text.push_str(&format!(" (run {run}, process {})", holder.pid)),
        None => text.push_str(" (by hand)"),
    }
    text.push_str(&format!(" since {}", crate::time::moment(holder.since)));
    if let Some(until) = holder.until {
        text.push_str(&format!(" until {}", crate::time::moment(until)));
    }
    if let Some(why) = &holder.why {
        text.push_str(&format!(": {}", display::line(why)));
    }
    text
}
