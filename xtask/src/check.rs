//! `cargo xtask check`: formatting, lints and documentation.

use std::process::Command;

use crate::{
    console::{self, TaskError},
    interrupt::Interrupt,
    workspace::cargo,
};

/// Runs all checks, also when one fails; returns the names of those that failed.
pub(crate) fn run(interrupt: &Interrupt) -> Result<Vec<&'static str>, TaskError> {
    console::headline("static checks");
    let mut failed = Vec::new();
    for (name, mut command) in checks() {
        if !console::run(&mut command, interrupt)?.success() {
            failed.push(name);
        }
    }
    Ok(failed)
}

fn checks() -> [(&'static str, Command); 3] {
    let mut format = cargo("fmt");
    format.args(["--all", "--check"]);
    let mut lints = cargo("clippy");
    lints.args(["--workspace", "--all-targets", "--all-features", "--quiet"]);
    lints.args(["--", "-D", "warnings"]);
    let mut docs = cargo("doc");
    docs.args(["--workspace", "--no-deps", "--all-features", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    [("fmt", format), ("clippy", lints), ("doc", docs)]
}
