//! Our side: `deploy-cli` with its defaults.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    gauge::{self, Ended},
    place::Place,
    side::Side,
    work::FIRST,
};
use crate::{HostKind, console::TaskError, interrupt::Interrupt};

/// Its name in the table.
pub(super) const NAME: &str = "deploy-cli";

/// Where it keeps things on a host.
const ROOT: &str = "/srv/deployment/mockbase";

/// The path of the live release.
const LIVE: &str = "/srv/deployment/mockbase/deploy";

/// How unchanged files come into a new release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Unchanged {
    /// As hard links: the service runs as its own user
    #[default]
    Link,
    /// As copies: nothing is known of the service's user
    Copy,
}

/// Deploys by `deploy-cli`.
#[derive(Debug)]
pub(super) struct Ours<'a> {
    place: &'a Place<'a>,
    program: &'a Path,
    unchanged: Unchanged,
}

impl<'a> Ours<'a> {
    pub(super) fn new(place: &'a Place<'a>, program: &'a Path, unchanged: Unchanged) -> Self {
        Self { place, program, unchanged }
    }

    /// Shows the plan for `version`.
    pub(super) fn plan(&self, version: &str, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        let ended = self.run(&["plan", version], interrupt)?;
        self.place.must_succeed("show a plan", &ended)?;
        Ok(ended)
    }

    /// The command that runs `deploy-cli` with `words`.
    fn command(&self, words: &[&str]) -> Result<Command, TaskError> {
        let mut command = Command::new(self.program);
        command.args(words).arg("--config").arg(self.config());
        command.current_dir(self.place.work.checkout()).env("HOME", self.place.work.home());
        for name in ["SSH_AUTH_SOCK", "SUDO_USER", "CI"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(self.place.log()?).stderr(self.place.log()?);
        Ok(command)
    }

    fn config(&self) -> PathBuf {
        self.place.work.dir().join("deploy.toml")
    }

    fn run(&self, words: &[&str], interrupt: &Interrupt) -> Result<Ended, TaskError> {
        gauge::run_watched(&mut self.command(words)?, interrupt)
    }

    fn configuration(&self) -> String {
        let user = match self.unchanged {
            Unchanged::Link => "service_user = \"mockbase\"\n",
            Unchanged::Copy => "",
        };
        let ending = match self.place.kind {
            HostKind::Light => LIGHT,
            HostKind::Systemd => SYSTEMD,
        };
        format!(
            "app = \"mockbase\"\n\
             [version]\nscheme = \"semver\"\n\
             [ssh]\nuser = \"deploy\"\nconfig = \"{}\"\n\
             [layout]\npath = \"{LIVE}\"\nkeep = 2\n{user}\
             [[group]]\nname = \"default\"\nhosts = [\"h[1-{}]\"]\n\
             {ending}",
            self.place.ssh_config().display(),
            self.place.hosts.len(),
        )
    }
}

impl Side for Ours<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn root(&self) -> &'static str {
        ROOT
    }

    fn live(&self) -> &'static str {
        LIVE
    }

    fn seed(&self, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        self.place.install_unit("mockbase", LIVE, 1134)?;
        fs::write(self.config(), self.configuration())
            .map_err(TaskError::io("write the configuration"))?;
        let ended = self.run(&["deploy", FIRST, "--yes"], interrupt)?;
        if ended.failed > 0 {
            // What was lost is counted; the other runs need all hosts.
            println!("again, for some failed:\n{}", self.place.said());
            let again = self.run(&["deploy", FIRST, "--yes"], interrupt)?;
            self.place.must_succeed("deploy the first version", &again)?;
        }
        Ok(ended)
    }

    fn deploy(&self, version: &str, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        self.run(&["deploy", version, "--yes"], interrupt)
    }

    fn back(&self, interrupt: &Interrupt) -> Result<Ended, TaskError> {
        self.run(&["rollback", FIRST, "--yes"], interrupt)
    }

    fn goes_back_by_itself(&self) -> bool {
        true
    }
}

const LIGHT: &str = "\
[restart]
method = \"command\"
command = \"cat /srv/deployment/mockbase/deploy/VERSION > /srv/deployment/mockbase/served\"
[[check]]
name = \"serves\"
command = \"cmp -s /srv/deployment/mockbase/deploy/VERSION /srv/deployment/mockbase/served\"
";

const SYSTEMD: &str = "\
[restart]
service = \"mockbase\"
sudo = true
[[check]]
name = \"answers\"
http = \"http://localhost:1134/_info\"
interval = \"100ms\"
";
