//! Single files of a tree.

use deploy_core::backend::{BackendError, ErrorKind};

use super::{command::Git, oid::Oid};

/// What stands at a path in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A symbolic link, or a submodule.
    Other,
}

/// The files of one tree, read one by one.
#[derive(Debug, Clone)]
pub(crate) struct TreeFiles {
    git: Git,
    tree: Oid,
}

impl TreeFiles {
    /// The files of `tree`, whose objects `git` can read.
    pub(crate) fn new(git: Git, tree: Oid) -> Self {
        Self { git, tree }
    }

    /// What stands at `path`, if anything.
    pub(crate) async fn kind(&self, path: &str) -> Result<Option<Kind>, BackendError> {
        let attempted = format!("look for {path:?} in the version");
        let mut command = self.git.command();
        command.env("GIT_LITERAL_PATHSPECS", "1").args([
            "ls-tree",
            "-z",
            "--full-tree",
            self.tree.as_str(),
            "--",
            path,
        ]);
        let listed = super::command::run(command, None, &attempted).await?.require(&attempted)?;
        let mode = listed.split(|byte| *byte == b' ').next().unwrap_or_default();
        Ok(match mode {
            b"" => None,
            b"100644" | b"100755" => Some(Kind::File),
            b"040000" => Some(Kind::Directory),
            _ => Some(Kind::Other),
        })
    }

    /// The text of the file at `path`; `None` where there is no plain file.
    ///
    /// # Errors
    /// `Rejected` when it is longer than `longest` bytes, or not UTF-8.
    pub(crate) async fn text(
        &self,
        path: &str,
        longest: usize,
    ) -> Result<Option<String>, BackendError> {
        if self.kind(path).await? != Some(Kind::File) {
            return Ok(None);
        }
        let attempted = format!("read {path:?} of the version");
        let object = format!("{}:{path}", self.tree);
        let refuse = |why: &str| {
            Err(BackendError::new(ErrorKind::Rejected, attempted.clone()).with_source(why))
        };
        let size = self.git.line(&attempted, &["cat-file", "-s", &object]).await?;
        if size.parse::<usize>().is_ok_and(|size| size > longest) {
            return refuse("it is too large for a template");
        }
        let bytes = self.git.output(&attempted, &["cat-file", "blob", &object]).await?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => refuse("it is not UTF-8"),
        }
    }
}
