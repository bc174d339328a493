//! The repository that the demonstration deploys from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::copy_files;
use crate::{
    console::{self, TaskError, expect},
    interrupt::Interrupt,
    workspace,
};

/// A repository with the example service, and its origin beside it.
pub(super) struct Repository<'a> {
    path: PathBuf,
    interrupt: &'a Interrupt,
}

impl<'a> Repository<'a> {
    /// Makes both below `directory`.
    pub(super) fn create(directory: &Path, interrupt: &'a Interrupt) -> Result<Self, TaskError> {
        let repository = Self { path: directory.join("mockbase"), interrupt };
        let origin = directory.join("origin.git");
        let mut init = Command::new("git");
        init.args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(&origin);
        repository.run(&mut init)?;
        let mut init = Command::new("git");
        init.args(["init", "--quiet", "--initial-branch=main"]).arg(&repository.path);
        repository.run(&mut init)?;
        repository.git(&["remote", "add", "origin", "../origin.git"])?;
        // A deployer who has never used git here has no name.
        repository.git(&["config", "user.name", "Demo"])?;
        repository.git(&["config", "user.email", "demo@localhost"])?;
        let example = workspace::root().join("examples/ssh-service");
        println!("$ cp examples/ssh-service/* {}", repository.path.display());
        copy_files(&example, &repository.path).map_err(TaskError::io("copy the example"))?;
        Ok(repository)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Commits, tags and pushes a version that works.
    pub(super) fn commit_version(&self, version: &str, tag: &str) -> Result<(), TaskError> {
        fs::write(self.path.join("VERSION"), format!("{version}\n"))
            .map_err(TaskError::io("write VERSION"))?;
        self.commit(&format!("Release {version}"), tag)
    }

    /// Commits, tags and pushes a version that cannot start: its VERSION file was forgotten.
    pub(super) fn commit_broken(&self, tag: &str) -> Result<(), TaskError> {
        self.git(&["rm", "--quiet", "VERSION"])?;
        self.commit("Release 1.2.0, without its VERSION file", tag)
    }

    fn commit(&self, message: &str, tag: &str) -> Result<(), TaskError> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "-m", message])?;
        self.git(&["tag", "-a", "-m", message, tag])?;
        self.git(&["push", "--quiet", "origin", "main", tag])
    }

    fn git(&self, words: &[&str]) -> Result<(), TaskError> {
        self.run(Command::new("git").args(words).current_dir(&self.path))
    }

    fn run(&self, command: &mut Command) -> Result<(), TaskError> {
        let status = console::run(command, self.interrupt)?;
        expect(command, status.code(), 0)
    }
}
