//! The origin: a `git daemon` that the hosts fetch from.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::work::Work;
use crate::{Fleet, console::TaskError, fleet::tool};

/// The port of git's own protocol.
const PORT: u16 = 9418;

/// Serves the repository in the network of the calling thread until it is dropped.
#[derive(Debug)]
pub(super) struct Origin {
    daemon: Child,
    log: PathBuf,
}

/// What the daemon has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Service {
    /// How often somebody read the repository.
    pub(super) reads: usize,
    /// How many connections came from the deployer, for whatever purpose.
    pub(super) from_deployer: usize,
}

impl Origin {
    /// The URL of the repository.
    pub(super) fn url() -> String {
        format!("git://{}/app.git", Fleet::deployer())
    }

    /// Starts the daemon and waits until it answers.
    pub(super) fn serve(work: &Work) -> Result<Self, TaskError> {
        let log = work.dir().join("origin.log");
        let file = File::create(&log).map_err(TaskError::io("create the origin's log"))?;
        let programs = tool::run(Command::new("git").arg("--exec-path"))?;
        let programs = PathBuf::from(String::from_utf8_lossy(&programs.stdout).trim());
        // A daemon of its own lets five connections wait, and resets others: hundreds come at once.
        // Nor through `git`, which would stand between: the CPU of its children is read by pid.
        let mut daemon = Command::new("systemd-socket-activate");
        daemon.arg(format!("--listen={}:{PORT}", Fleet::deployer())).args(["--accept", "--inetd"]);
        daemon.arg(programs.join("git-daemon")).args(["--inetd", "--verbose", "--export-all"]);
        // For the tag of a deploy that succeeded.
        daemon.args(["--log-destination=stderr", "--enable=receive-pack"]);
        daemon.arg(format!("--base-path={}", work.served().display()));
        daemon.env("HOME", work.home()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let daemon = daemon.spawn().map_err(TaskError::io("start git daemon"))?;
        let origin = Self { daemon, log };
        origin.wait_until_ready()?;
        Ok(origin)
    }

    fn wait_until_ready(&self) -> Result<(), TaskError> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let mut ask = Command::new("git");
            match tool::run(ask.args(["ls-remote", &Self::url(), "HEAD"])) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= until => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What it has done so far.
    pub(super) fn service(&self) -> Service {
        Service::read(&fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// The CPU time that it and its children, as far as they have ended, have used, in seconds.
    pub(super) fn cpu(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.daemon.id())).ok()?;
        let ticks = ticks(&stat)?;
        let a_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
        Some(ticks as f64 / a_second as f64)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // The only error is that it has ended already.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Service {
    fn read(log: &str) -> Self {
        let deployer = format!("Connection from {}:", Fleet::deployer());
        let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        Self { reads: count("Request upload-pack for"), from_deployer: count(&deployer) }
    }
}

/// User and system time of a process and its children in `/proc/PID/stat`.
fn ticks(stat: &str) -> Option<u64> {
    // The name may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).filter_map(|time| time.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_told_from_pushes_and_hosts_from_the_deployer() {
        let log = "Listening on 10.77.0.1:9418 as 3.\n\
            Communication attempt on fd 3.\n\
            Connection from 10.77.0.12:47586 to 10.77.0.1:9418\n\
            [8] Extended attribute \"host\": 10.77.0.1\n\
            [8] Request upload-pack for '/app.git'\n\
            Connection from 10.77.0.1:47590 to 10.77.0.1:9418\n\
            [9] Request receive-pack for '/app.git'\n";
        assert_eq!(Service::read(log), Service { reads: 1, from_deployer: 1 });
    }

    #[test]
    fn all_four_times_are_added() {
        let stat = "7 (git (x) y) S 3 7 7 0 -1 0 0 0 0 0 10 20 300 4000 20 0 1 0 4242 0";
        assert_eq!(ticks(stat), Some(4330));
        assert_eq!(ticks("7 (git) S 3"), None);
    }
}
