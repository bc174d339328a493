//! Where the sources are, and the cargo that builds them.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    console::{self, TaskError, expect},
    interrupt::Interrupt,
};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A cargo command in the root of the checkout, with the cargo that runs us.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = Command::new(cargo);
    command.arg(subcommand).current_dir(root());
    command
}

/// Builds `deploy-cli` with further options of cargo; returns where it is.
pub(crate) fn build_deploy_cli(
    options: &[&str],
    interrupt: &Interrupt,
) -> Result<PathBuf, TaskError> {
    let mut command = cargo("build");
    command.args(["--package", "deploy-cli"]).args(options);
    let status = console::run(&mut command, interrupt)?;
    expect(&command, status.code(), 0)?;
    // The same again, which builds nothing, to learn where cargo has put it.
    command.args(["--quiet", "--message-format=json"]).stderr(Stdio::inherit());
    let output = command.output().map_err(TaskError::io("ask cargo for the program"))?;
    executable(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| TaskError::Unexpected {
        command: "cargo build --package deploy-cli".to_owned(),
        status: "no program".to_owned(),
        expected: "the program deploy-cli".to_owned(),
    })
}

/// The path of the program in cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        if message["target"]["name"] == "deploy-cli" {
            message["executable"].as_str().map(PathBuf::from)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"deploy_core"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"deploy-cli"},"executable":"/t/deploy-cli"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/deploy-cli")));
    }
}
