//! The repository that the demonstration deploys from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::copy_files;
use crate::{
    console::{self, TaskError, expect},
    fleet::tool,
    interrupt::Interrupt,
    workspace,
};

/// A repository with an example service, and its origin beside it.
pub(super) struct Repository<'a> {
    path: PathBuf,
    interrupt: &'a Interrupt,
}

impl<'a> Repository<'a> {
    /// Makes both below `directory`, with what is in `examples/EXAMPLE`.
    pub(super) fn create(
        directory: &Path,
        example: &str,
        interrupt: &'a Interrupt,
    ) -> Result<Self, TaskError> {
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
        println!("$ cp -r examples/{example}/. {}", repository.path.display());
        copy_files(&workspace::root().join("examples").join(example), &repository.path)
            .map_err(TaskError::io("copy the example"))?;
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

    /// Puts `new` in the place of `old`, which the file `name` must have.
    pub(super) fn replace(&self, name: &str, old: &str, new: &str) -> Result<(), TaskError> {
        let file = self.path.join(name);
        let text = fs::read_to_string(&file).map_err(TaskError::io(format!("read {name}")))?;
        if !text.contains(old) {
            let missing = std::io::Error::other(format!("it does not have `{old}`"));
            return Err(TaskError::io(format!("edit {name}"))(missing));
        }
        fs::write(&file, text.replace(old, new)).map_err(TaskError::io(format!("write {name}")))
    }

    /// Commits all that was changed, without a tag.
    pub(super) fn commit_change(&self, message: &str) -> Result<(), TaskError> {
        self.git(&["commit", "--quiet", "--all", "-m", message])
    }

    /// The commit that is checked out.
    pub(super) fn head(&self) -> Result<String, TaskError> {
        let mut ask = Command::new("git");
        ask.args(["rev-parse", "HEAD"]).current_dir(&self.path);
        let output = tool::run(&mut ask)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
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
