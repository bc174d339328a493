//! Where values live, and what is wanted of one.

use std::{fmt, path::PathBuf};

use deploy_core::model::Target;

use super::{ValueKey, remote::Remote};

/// How a change gets into the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// It is pushed to the branch.
    Push,
    /// It is pushed for review, to this ref (`refs/for/master`), and waited for until the branch has
    /// it.
    Review(String),
}

/// Where the values are.
#[derive(Clone)]
pub struct ValuesOptions {
    /// The repository, as `git fetch` takes it. A password or a token in it is never shown.
    pub remote: String,
    /// The branch.
    pub branch: String,
    /// How a change gets there.
    pub publish: Publish,
    /// Where what was fetched is kept. It is a cache: it may be removed while nobody is at work. Several
    /// processes may share it.
    pub cache: PathBuf,
    /// Who commits, as `Name <mail>`.
    pub author: String,
}

impl fmt::Debug for ValuesOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValuesOptions")
            .field("remote", &Remote::of(&self.remote).shown())
            .field("branch", &self.branch)
            .field("publish", &self.publish)
            .field("cache", &self.cache)
            .field("author", &self.author)
            .finish()
    }
}

/// One value that is to be in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// For whom: what is told meanwhile is told as that target's.
    pub target: Target,
    /// The file, from the top of the repository.
    pub file: String,
    /// Where in it.
    pub key: ValueKey,
    /// What is to be there.
    pub value: String,
    /// What has to be there before: anything else is somebody's change, and is left to them. `None`
    /// takes whatever there is.
    pub from: Option<String>,
    /// Whether a review is waited for.
    pub waits: bool,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The branch has had it already.
    Nothing,
    /// It is in the branch.
    Commit {
        /// The commit in which it was seen there. A review may have made another of ours.
        id: String,
        /// What was there before.
        before: String,
    },
    /// It was pushed for review, and not waited for.
    Pending {
        /// What is there until then.
        before: String,
    },
}
