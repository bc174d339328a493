//! Other tools, on the same work in the same runs.
//!
//! Each does what the floor's script does, in the same place on the hosts, written as somebody
//! would write it who knows the tool well: fetched everywhere, then switched, restarted, checked.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{
    floor::Floor,
    gauge::{self, Ended},
    origin::Origin,
    place::Place,
    side::Side,
};
use crate::{console::TaskError, interrupt::Interrupt};

mod tool;

use tool::Tool;
pub(super) use tool::Tools;

/// Another tool, which deploys to the floor's place.
#[derive(Debug)]
pub(super) struct Peer<'a> {
    tool: Tool,
    tools: &'a Tools,
    place: &'a Place<'a>,
    floor: &'a Floor<'a>,
}

impl<'a> Peer<'a> {
    /// All of them.
    pub(super) fn all(
        tools: &'a Tools,
        place: &'a Place<'a>,
        floor: &'a Floor<'a>,
    ) -> Result<Vec<Self>, TaskError> {
        let peers: Vec<_> = Tool::ALL.map(|tool| Self { tool, tools, place, floor }).into();
        for peer in &peers {
            let written = peer.tool.write_files(&peer.directory());
            written.map_err(TaskError::io(format!("write the files of {}", peer.name())))?;
        }
        Ok(peers)
    }

    fn directory(&self) -> PathBuf {
        self.place.work.dir().join(self.tool.name())
    }

    /// Where Ansible keeps the sockets of its connections.
    fn sockets(&self) -> PathBuf {
        self.directory().join("s")
    }

    fn command(&self, version: &str) -> Result<Command, TaskError> {
        let (work, fleet) = (self.place.work, self.place.fleet.dir());
        let config = self.place.ssh_config();
        let ssh = format!("-F {} -o ControlMaster=auto -o ControlPersist=60s", config.display());
        let mut command = self.tool.command(self.tools, &fleet.join("targets"));
        command
            .current_dir(self.directory())
            .env("HOME", work.home())
            .env_remove("SSH_AUTH_SOCK")
            .env("LANG", "C.UTF-8")
            .env("BENCH_VERSION", version)
            .env("BENCH_ORIGIN", Origin::url())
            .env("BENCH_TARGETS", fleet.join("targets"))
            .env("BENCH_KNOWN_HOSTS", fleet.join("known_hosts"))
            .env("BENCH_SSH_CONFIG", config)
            .env("ANSIBLE_SSH_ARGS", ssh)
            .env("ANSIBLE_SSH_CONTROL_PATH_DIR", self.sockets())
            .stdin(Stdio::null())
            .stdout(self.place.log()?)
            .stderr(self.place.log()?);
        Ok(command)
    }

    /// Ends the connections that Ansible keeps open: each run has to make its own.
    fn hang_up(&self) {
        for socket in fs::read_dir(self.sockets()).into_iter().flatten().flatten() {
            let path = format!("ControlPath={}", socket.path().display());
            let mut exit = Command::new("ssh");
            exit.args(["-o", &path, "-O", "exit", "any"]);
            // One that has ended by itself is fine.
            let _ = exit.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

impl Side for Peer<'_> {
    fn name(&self) -> &'static str {
        self.tool.name()
    }

    fn root(&self) -> &'static str {
        self.floor.root()
    }

    fn live(&self) -> &'static str {
        self.floor.live()
    }

    fn seed(&self, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        self.floor.seed(interrupt)
    }

    fn deploy(&self, version: &str, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        gauge::run_watched(&mut self.command(version)?, interrupt)
    }

    fn back(&self, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        self.hang_up();
        self.floor.back(interrupt)
    }

    fn goes_back_by_itself(&self) -> bool {
        false
    }
}
