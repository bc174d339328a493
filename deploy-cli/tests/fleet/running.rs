//! A deploy-cli that is at work, watched through its journal and its output.

use std::{
    fs,
    path::PathBuf,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use crate::{ran::Ran, stage::Stage};

/// A deploy-cli that is at work.
pub struct Running {
    pub child: Child,
    pub log: PathBuf,
    pub runs_before: usize,
}

impl Running {
    /// Waits until the newest journal has an event that `found` accepts. Gives up after a minute,
    /// so that a hang is a failure with a text.
    #[track_caller]
    pub fn until(&mut self, stage: &Stage, what: &str, found: impl Fn(&serde_json::Value) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        let seen =
            || stage.journals().len() > self.runs_before && stage.journal().iter().any(&found);
        while !seen() {
            assert!(Instant::now() < end, "never seen: {what}\n{}", self.said());
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() || seen(), "ended before {what}\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `host` has begun `stage_name`.
    #[track_caller]
    pub fn until_stage(&mut self, stage: &Stage, host: &str, stage_name: &str) {
        self.until(stage, &format!("{stage_name} on {host}"), |event| {
            event["event"] == "stage-started"
                && event["target"] == host
                && event["stage"] == stage_name
        });
    }

    /// Sends a signal, as `kill -SIGNAL` does.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits until it has said `words`.
    #[track_caller]
    pub fn until_said(&self, words: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.said().contains(words) {
            assert!(Instant::now() < end, "never said {words:?}\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end, and tells the most memory that it held, in MiB.
    pub fn weigh(mut self) -> (Ran, u64) {
        let pid = self.child.id();
        let mut most = 0;
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "deploy-cli" {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
                most = most.max(kib.unwrap_or(0) / 1024);
            }
            if ended {
                return (self.wait(), most);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        Ran { code: status.code().unwrap_or(-1), stdout: self.said(), stderr: String::new() }
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
