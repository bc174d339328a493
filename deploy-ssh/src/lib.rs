//! .

mod git;
pub mod session;

pub use git::{GitOptions, GitSource};
