//! .

mod git;

pub use git::{GitOptions, GitSource};
