//! A run's hold on a target, and whether its holder is dead.

use deploy_core::{
    backend::{Claim, Standing},
    record::RunId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most that is read of a claim.
pub(crate) const LARGEST: usize = 4096;

/// The process of a run, told apart from any other process, now and later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProcess {
    /// The name of its machine, for people.
    pub host: String,
    /// The boot of its machine.
    pub boot_id: String,
    /// Its pid namespace: a container shares the boot with its host, but not the pids.
    pub pid_namespace: String,
    /// Its pid.
    pub pid: u32,
    /// When it started, in ticks since the boot.
    pub start_time: u64,
}

impl RunProcess {
    /// This very process.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn current() -> std::io::Result<Self> {
        let pid = std::process::id();
        let start_time = start_time(pid).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "/proc does not tell our start")
        })?;
        let host = nix::unistd::gethostname().map_err(std::io::Error::from)?;
        Ok(Self {
            host: host.to_string_lossy().into_owned(),
            boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            pid_namespace: std::fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned(),
            pid,
            start_time,
        })
    }

    /// Whether this process, seen from `here`, is proven to be gone: same boot, same pid
    /// namespace, and its pid is free or somebody else's. Anything less proves nothing.
    pub fn is_dead(&self, here: &Self) -> bool {
        self.boot_id == here.boot_id
            && !self.boot_id.is_empty()
            && self.pid_namespace == here.pid_namespace
            && start_time(self.pid) != Some(self.start_time)
    }
}

/// When a process started; `None` when there is no such process.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; the start is the 20th field after it.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A claim as it stands on a target, in one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClaimRecord {
    pub run: RunId,
    pub who: String,
    pub since: Timestamp,
    pub process: RunProcess,
}

impl ClaimRecord {
    pub(crate) fn line(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Reads what a target says. It is somebody's words: it can stop that target, and no more.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        if line.len() > LARGEST {
            return None;
        }
        serde_json::from_str(line).ok()
    }

    /// What `run`, of the process `here`, knows of it.
    pub(crate) fn standing(&self, run: &RunId, here: &RunProcess) -> Standing {
        if self.run == *run {
            Standing::Ours
        } else if self.process.is_dead(here) {
            Standing::Dead
        } else {
            Standing::Foreign
        }
    }

    pub(crate) fn claim(self, run: &RunId, here: &RunProcess) -> Claim {
        let standing = self.standing(run, here);
        Claim { run: self.run, who: self.who, since: self.since, standing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(run: &str, process: RunProcess) -> ClaimRecord {
        let run = RunId::new(run).unwrap();
        ClaimRecord { run, who: "ann".into(), since: Timestamp::UNIX_EPOCH, process }
    }

    #[test]
    fn only_a_process_of_this_boot_and_namespace_is_proven_dead() {
        let here = RunProcess::current().unwrap();
        assert!(!here.is_dead(&here));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let gone = RunProcess { pid, ..here.clone() };
        assert!(gone.is_dead(&here));
        let reused = RunProcess { start_time: here.start_time + 1, ..here.clone() };
        assert!(reused.is_dead(&here));
        let elsewhere = RunProcess { boot_id: "other".into(), ..gone.clone() };
        assert!(!elsewhere.is_dead(&here));
        let contained = RunProcess { pid_namespace: "pid:[1]".into(), ..gone.clone() };
        assert!(!contained.is_dead(&here));

        let run = RunId::new("r1").unwrap();
        assert_eq!(record("r1", here.clone()).standing(&run, &here), Standing::Ours);
        assert_eq!(record("r0", here.clone()).standing(&run, &here), Standing::Foreign);
        assert_eq!(record("r0", gone).standing(&run, &here), Standing::Dead);
    }

    #[test]
    fn a_claim_reads_back_and_nonsense_does_not() {
        let here = RunProcess::current().unwrap();
        let claim = record("r1", here);
        assert_eq!(ClaimRecord::parse(&claim.line()), Some(claim));
        for bad in ["", "{}", "null", "[]", &"x".repeat(5000), "{\"run\":\"../x\"}"] {
            assert!(ClaimRecord::parse(bad).is_none(), "{bad}");
        }
    }
}
