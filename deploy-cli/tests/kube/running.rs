//! A deploy-cli that is at work, watched through what it says.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tempfile::NamedTempFile;

use super::stage::Stage;
use crate::ran::Ran;

/// How long something is waited for, so that a hang is a failure with a text.
const PATIENCE: Duration = Duration::from_secs(60);

/// A deploy-cli that is at work.
pub struct Running {
    child: Child,
    log: NamedTempFile,
}

impl Running {
    /// Starts `deploy-cli` with `words`.
    pub fn start(stage: &Stage, words: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut command = stage.command(words);
        let append = || fs::OpenOptions::new().append(true).open(log.path()).unwrap();
        command.stdin(Stdio::null()).stdout(append()).stderr(append());
        command.process_group(0);
        Self { child: command.spawn().unwrap(), log }
    }

    /// Sends a signal to it, and to nothing that it has started.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// What a terminal sends at Ctrl-C: to it, and to whatever shares its group.
    pub fn ctrl_c(&self) {
        killpg(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    }

    /// Waits until `seen`, while it is at work.
    #[track_caller]
    pub fn until(&mut self, what: &str, seen: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !seen() {
            assert!(Instant::now() < end, "never seen: {what}\n{}", self.said());
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended before {what}\n{}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        Ran { code: status.code().unwrap_or(-1), stdout: self.said(), stderr: String::new() }
    }

    /// The file of what it says.
    pub fn said_by(&self) -> PathBuf {
        self.log.path().to_owned()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

/// Waits until `seen`.
#[track_caller]
pub fn until(what: &str, seen: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !seen() {
        assert!(Instant::now() < end, "never seen: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
