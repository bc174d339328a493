//! The hosts that all sides deploy to, and what they have in common.

use std::{
    fs::{self, File, OpenOptions},
    path::PathBuf,
};

use super::{gauge::Ended, work::Work};
use crate::{Fleet, HostKind, console::TaskError};

/// Where a row is measured.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) work: &'a Work,
    pub(super) kind: HostKind,
    pub(super) hosts: Vec<String>,
}

impl<'a> Place<'a> {
    /// The hosts of `fleet`; writes the SSH settings that all sides use.
    pub(super) fn prepare(
        fleet: &'a Fleet,
        work: &'a Work,
        kind: HostKind,
    ) -> Result<Self, TaskError> {
        let place = Self { fleet, work, kind, hosts: fleet.hosts() };
        let fleets = fs::read_to_string(fleet.dir().join("ssh_config"))
            .map_err(TaskError::io("read ssh_config"))?;
        // Its last section is for all hosts.
        let pinned = format!("{fleets}    KexAlgorithms curve25519-sha256\n");
        fs::write(place.ssh_config(), pinned).map_err(TaskError::io("write ssh_config"))?;
        Ok(place)
    }

    /// The SSH settings that all sides use: the fleet's, and the same key exchange for all.
    pub(super) fn ssh_config(&self) -> PathBuf {
        self.work.dir().join("ssh_config")
    }

    /// The file that gets what the sides say.
    pub(super) fn log(&self) -> Result<File, TaskError> {
        let open = OpenOptions::new().create(true).append(true).open(self.log_path());
        open.map_err(TaskError::io("open the log"))
    }

    fn log_path(&self) -> PathBuf {
        self.work.dir().join("log")
    }

    /// Takes a failure for the end of the bench, and tells what was said last.
    pub(super) fn must_succeed(&self, what: &str, ended: &Ended) -> Result<(), TaskError> {
        if ended.failed == 0 {
            return Ok(());
        }
        Err(TaskError::Bench { attempted: what.to_owned(), said: self.said() })
    }

    /// What the sides have said of failures, as far as it can be told from other lines.
    pub(super) fn said(&self) -> String {
        let text = fs::read(self.log_path()).unwrap_or_default();
        of_failures(&String::from_utf8_lossy(&text)).join("\n")
    }

    /// On hosts with systemd: lets the unit `name` run the service of `live` at `port`.
    pub(super) fn install_unit(&self, name: &str, live: &str, port: u16) -> Result<(), TaskError> {
        if self.kind != HostKind::Systemd {
            return Ok(());
        }
        let unit = format!(
            "cat > /etc/systemd/system/{name}.service <<'E'\n\
             [Unit]\nDescription={name}\nStartLimitIntervalSec=0\n\
             [Service]\nUser=mockbase\nWorkingDirectory={live}\n\
             ExecStart=/usr/bin/python3 -B {live}/server.py {port}\n\
             E\n\
             systemctl daemon-reload\n\
             echo 'deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart {name}.service' \
             > /etc/sudoers.d/{name}-bench\n\
             chmod 440 /etc/sudoers.d/{name}-bench\n"
        );
        self.hosts.iter().try_for_each(|host| Ok(self.fleet.shell(host, &unit).map(drop)?))
    }

    /// Makes all hosts forget what is in the directory `root`.
    pub(super) fn wipe(&self, root: &str) -> Result<(), TaskError> {
        let script = format!("rm -rf {root}");
        self.hosts.iter().try_for_each(|host| Ok(self.fleet.shell(host, &script).map(drop)?))
    }

    /// How many hosts do not serve `version` at `live`.
    pub(super) fn strays(&self, live: &str, version: &str) -> Result<usize, TaskError> {
        let mut strays = 0;
        for host in &self.hosts {
            let path = format!("{live}/VERSION");
            let mut cat = self.fleet.on(host, ["cat", &path])?;
            let output = cat.output().map_err(TaskError::io("look at a host"))?;
            strays += usize::from(output.stdout.trim_ascii() != version.as_bytes());
        }
        Ok(strays)
    }
}

/// The last lines of `log` that tell of a failure; the last of all where none does.
fn of_failures(log: &str) -> Vec<&str> {
    const MOST: usize = 30;
    let tells = |line: &&str| {
        ["FAILED", "unreachable", "fatal", "rror"].iter().any(|word| line.contains(word))
    };
    let mut lines: Vec<_> = log.lines().filter(tells).collect();
    if lines.is_empty() {
        lines = log.lines().collect();
    }
    lines.split_off(lines.len().saturating_sub(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_picked_out() {
        let quiet: String = (0..40).map(|number| format!("line {number}\n")).collect();
        assert_eq!(of_failures(&quiet).len(), 30);
        assert_eq!(of_failures(&quiet)[29], "line 39");
        let log = format!("12:00 h7: FAILED: no route\n{quiet}");
        assert_eq!(of_failures(&log), ["12:00 h7: FAILED: no route"]);
    }
}
