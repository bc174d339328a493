//! The programs that a fleet is made with.

use std::{
    ffi::OsStr,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::FleetError;

/// Programs without which no host can be booted.
const NEEDED: [&str; 9] = [
    "systemd-nspawn",
    "nsenter",
    "unshare",
    "setsid",
    "chroot",
    "ip",
    "sshd",
    "ssh-keygen",
    "useradd",
];

/// Names the programs that are missing on this machine.
pub(super) fn missing() -> Vec<&'static str> {
    NEEDED.into_iter().filter(|program| !is_installed(program)).collect()
}

/// Whether `program` can be found, also where only root usually looks.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

/// Runs `command` to its end with nothing on its stdin; an error holds what it said.
pub(crate) fn run(command: &mut Command) -> Result<Output, FleetError> {
    feed(command, "")
}

/// As [`run`], with `input` on its stdin.
pub(crate) fn feed(command: &mut Command, input: &str) -> Result<Output, FleetError> {
    let attempted = format!("run `{}`", line(command));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(FleetError::io(attempted.clone()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says more by its exit status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(FleetError::io(attempted.clone()))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(FleetError::Failed {
        command: line(command),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Runs `ip` in the network namespace `namespace` with `lines` as its batch.
pub(super) fn ip_batch(namespace: &str, lines: &str) -> Result<(), FleetError> {
    feed(Command::new("ip").args(["-n", namespace, "-batch", "-"]), lines).map(drop)
}

/// A command that runs `program` in the image at `root`.
pub(super) fn chroot(root: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg(program).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// The command line, for people.
pub(crate) fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_quoted_where_it_must_be() {
        let mut command = Command::new("git");
        command.args(["commit", "-m", "it's v1", ""]);
        assert_eq!(line(&command), r"git commit -m 'it'\''s v1' ''");
    }

    #[test]
    fn a_failure_holds_what_the_program_said() {
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("(exit status: 3): why"), "{error}");
    }
}
