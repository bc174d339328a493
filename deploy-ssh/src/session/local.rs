//! Shells on this machine, without SSH.

use std::process::Stdio;

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::Command;

use super::link::ShellIo;

/// Starts `command` with `sh`, in a process group of its own, on pipes.
pub(crate) fn open_shell(command: &str) -> Result<ShellIo, String> {
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start /bin/sh: {error}"))?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(ShellIo {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
        }),
        _ => Err("/bin/sh was started without pipes".to_owned()),
    }
}

/// Kills the process group; one that is gone is no error.
pub(crate) fn kill_group(pgid: i32) -> Result<(), String> {
    match killpg(Pid::from_raw(pgid), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(format!("cannot kill process group {pgid}: {error}")),
    }
}
