//! Programs of a host that are others than usual.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::place::{Place, Ran};

/// A program that fails whenever `fails` says so, a condition of the shell.
pub fn failing(place: &Place, program: &str, fails: &str) {
    fs::create_dir_all(place.path("failing")).unwrap();
    let file = place.path("failing").join(program);
    let real = which(program);
    let text = format!(
        "#!/bin/sh\nif {fails}; then echo {program} fails >&2; exit 1; fi\nexec {real} \"$@\"\n"
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Runs the command with the programs in `directory` before all others.
pub fn with_programs(place: &Place, directory: &str, words: &[&str]) -> Ran {
    let path = std::env::var("PATH").unwrap();
    let mut command = place.command(words);
    command.env("PATH", format!("{}:{path}", place.path(directory).display()));
    place.ran(&command.output().unwrap())
}

pub fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.exists());
    found.unwrap().display().to_string()
}
