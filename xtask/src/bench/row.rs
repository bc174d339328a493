//! One row of the table: a number of hosts, on which all sides deploy the same, in turn.

use std::{
    fmt,
    fs::{File, OpenOptions},
    path::PathBuf,
};

use super::{
    figure::{Cost, Figure},
    gauge::{Ended, Gauge},
    work::{FIRST, Work},
};
use crate::{Fleet, HostKind, console::TaskError, interrupt::Interrupt};

/// Somebody who deploys.
pub(super) trait Side: fmt::Debug {
    /// Its name in the table.
    fn name(&self) -> &'static str;
    /// The path of the live release on a host.
    fn live(&self) -> &'static str;
    /// Puts the first version onto all hosts, on their own disks, as a real deployment does.
    /// Hosts that have it already are left as they are.
    fn seed(&self, interrupt: &Interrupt) -> Result<(), TaskError>;
    /// Deploys `version`, which no host has: this is measured.
    fn deploy(&self, version: &str, interrupt: &Interrupt) -> Result<Ended, TaskError>;
    /// Goes back from `version` to the first one; this is measured too.
    fn back(&self, version: &str, interrupt: &Interrupt) -> Result<Ended, TaskError>;
}

/// Where a row is measured.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) work: &'a Work,
    pub(super) kind: HostKind,
    pub(super) hosts: Vec<String>,
}

/// What one side's runs have cost.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) side: &'static str,
    pub(super) deploys: Vec<Cost>,
    pub(super) backs: Vec<Cost>,
}

impl<'a> Place<'a> {
    pub(super) fn new(fleet: &'a Fleet, work: &'a Work, kind: HostKind) -> Self {
        Self { fleet, work, kind, hosts: fleet.hosts() }
    }

    /// The SSH settings that all sides use.
    pub(super) fn ssh_config(&self) -> PathBuf {
        self.work.dir().join("ssh_config")
    }

    /// Writes them: those of the fleet, and the key exchange that all sides have in common.
    pub(super) fn write_ssh_config(&self) -> Result<(), TaskError> {
        let path = self.fleet.dir().join("ssh_config");
        let fleets = std::fs::read_to_string(path).map_err(TaskError::io("read ssh_config"))?;
        let pinned = format!("{fleets}    KexAlgorithms curve25519-sha256\n");
        std::fs::write(self.ssh_config(), pinned).map_err(TaskError::io("write ssh_config"))
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

    /// The end of what the sides have said.
    fn said(&self) -> String {
        let text = std::fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// On hosts with systemd: lets the unit `name` run the service of `root`/`link` at `port`.
    pub(super) fn install_unit(
        &self,
        name: &str,
        root: &str,
        link: &str,
        port: u16,
    ) -> Result<(), TaskError> {
        if self.kind != HostKind::Systemd {
            return Ok(());
        }
        let unit = format!(
            "cat > /etc/systemd/system/{name}.service <<'E'\n\
             [Unit]\nDescription={name}\nStartLimitIntervalSec=0\n\
             [Service]\nUser=mockbase\nWorkingDirectory={root}/{link}\n\
             ExecStart=/usr/bin/python3 -B {root}/{link}/server.py {port}\n\
             E\n\
             systemctl daemon-reload\n\
             echo 'deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart {name}.service' \
             > /etc/sudoers.d/{name}-bench\n\
             chmod 440 /etc/sudoers.d/{name}-bench\n"
        );
        self.hosts.iter().try_for_each(|host| Ok(self.fleet.shell(host, &unit).map(drop)?))
    }

    /// How many hosts do not serve `version` at `live`.
    fn strays(&self, live: &str, version: &str) -> Result<usize, TaskError> {
        let mut strays = 0;
        for host in &self.hosts {
            let path = format!("{live}/VERSION");
            let mut cat = self.fleet.on(host, ["cat", &path])?;
            let output = cat.output().map_err(TaskError::io("look at a host"))?;
            strays += usize::from(output.stdout.trim_ascii() != version.as_bytes());
        }
        Ok(strays)
    }

    /// Lets the sides deploy each version, and go back, in turn.
    pub(super) fn alternate(
        &self,
        sides: &[&dyn Side],
        versions: &[String],
        gauge: &Gauge<'_>,
        interrupt: &Interrupt,
    ) -> Result<Vec<Series>, TaskError> {
        let new =
            |side: &&dyn Side| Series { side: side.name(), deploys: Vec::new(), backs: Vec::new() };
        let mut all: Vec<_> = sides.iter().map(new).collect();
        for version in versions {
            for (side, series) in sides.iter().zip(&mut all) {
                let (cost, ended) = gauge.measure(|| side.deploy(version, interrupt))?;
                let deployed = self.judge(cost, &ended, side.live(), version)?;
                let (cost, ended) = gauge.measure(|| side.back(version, interrupt))?;
                let back = self.judge(cost, &ended, side.live(), FIRST)?;
                println!("{:10} {version}: {}", side.name(), tell(&deployed, &back));
                series.deploys.push(deployed);
                series.backs.push(back);
            }
        }
        Ok(all)
    }

    /// Adds to the cost how many hosts have failed.
    fn judge(
        &self,
        mut cost: Cost,
        ended: &Ended,
        live: &str,
        version: &str,
    ) -> Result<Cost, TaskError> {
        let failed = self.strays(live, version)?.max(ended.failed);
        if failed > 0 {
            println!("{failed} failed; the last words:\n{}", self.said());
        }
        cost.set(Figure::Failed, failed as f64);
        Ok(cost)
    }
}

fn tell(deployed: &Cost, back: &Cost) -> String {
    let show = |cost: &Cost, figure: Figure| {
        cost.get(figure).map_or_else(|| "-".to_owned(), |value| figure.show(value))
    };
    format!(
        "{}, hosts' CPU {}, back in {}",
        show(deployed, Figure::Wall),
        show(deployed, Figure::HostsCpu),
        show(back, Figure::Wall)
    )
}
