//! `cargo xtask demo`: a deployment from the first host to the last, on hosts of its own; with `--k8s`
//! from the first cluster to the last.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    Fleet, HostKind,
    console::{self, TaskError, expect},
    install,
    interrupt::Interrupt,
    workspace,
};

mod clusters;
mod repository;

pub(crate) use clusters::run as run_on_clusters;
use repository::Repository;

/// A canary, and three hosts for the rest, as in the example's configuration.
const HOSTS: u16 = 4;

/// What `deploy-cli` exits with when a canary failed and every host it touched is back and well.
const ROLLED_BACK: i32 = 3;

/// Prints what an URL answers; fails unless that is JSON with the given version.
const ASK: &str = "\
import json, sys, urllib.request
url, version = sys.argv[1:]
try:
    answer = urllib.request.urlopen(url, timeout=5).read().decode()
except OSError as error:
    sys.exit(str(error))
print(answer)
sys.exit(json.loads(answer)['version'] != version)
";

/// Shows the deployment; hosts and files are gone when it returns, also after Ctrl-C.
pub(crate) fn run(interrupt: &Interrupt) -> Result<ExitCode, TaskError> {
    install::ensure(&[install::BUILD, install::FLEET], interrupt)?;
    Fleet::check_machine()?;
    console::headline("building deploy-cli");
    let deploy_cli = workspace::build_deploy_cli(&[], interrupt)?;

    console::headline(&format!("booting {HOSTS} hosts, each with systemd and sshd"));
    Fleet::sweep()?;
    let name = format!("demo-{}", std::process::id());
    println!("$ cargo xtask fleet --name {name} up {HOSTS}");
    let fleet = Fleet::up(&name, HOSTS, HostKind::Systemd)?;
    let directory = tempfile::tempdir().map_err(TaskError::io("create a directory"))?;

    let stage = Stage { fleet, deploy_cli, interrupt };
    let shown = stage.show(directory.path());
    console::headline("removing the hosts and the repository");
    println!("$ cargo xtask fleet --name {name} down");
    stage.fleet.down()?;
    shown.map(|()| {
        println!("done: v1 and v2 went out, v3 was taken back");
        ExitCode::SUCCESS
    })
}

/// Where the demonstration takes place.
struct Stage<'a> {
    fleet: Fleet,
    deploy_cli: PathBuf,
    interrupt: &'a Interrupt,
}

impl Stage<'_> {
    fn show(&self, directory: &Path) -> Result<(), TaskError> {
        if self.interrupt.is_asked() {
            return Err(TaskError::Interrupted);
        }
        console::headline("a repository with the example service");
        let repository = Repository::create(directory, "ssh-service", self.interrupt)?;
        let [v1, v2, v3] = ["release/2015-06-10/1", "release/2015-06-10/2", "release/2015-06-10/3"];
        repository.commit_version("1.0.0", v1)?;
        repository.commit_version("1.1.0", v2)?;
        repository.commit_broken(v3)?;

        console::headline("v1: the first deployment, one host first");
        self.deploy(&repository, v1, 0)?;
        console::headline("v2: the canary, then the rest");
        self.deploy(&repository, v2, 0)?;
        self.ask_all_hosts("1.1.0")?;
        console::headline("v3 is broken: it does not get past the canary, which is rolled back");
        self.deploy(&repository, v3, ROLLED_BACK)?;
        console::headline("what every host serves now");
        self.deploy_cli(&repository, &["status"], 0)?;
        self.ask_all_hosts("1.1.0")?;
        console::headline("what was done");
        self.deploy_cli(&repository, &["history"], 0)
    }

    fn deploy(&self, repository: &Repository, version: &str, code: i32) -> Result<(), TaskError> {
        self.deploy_cli(repository, &["deploy", version, "--yes"], code)
    }

    /// Runs `deploy-cli` in the fleet's network, from the repository.
    fn deploy_cli(
        &self,
        repository: &Repository,
        words: &[&str],
        code: i32,
    ) -> Result<(), TaskError> {
        let mut command = Command::new(&self.deploy_cli);
        command.args(words).current_dir(repository.path());
        let status = self.in_fleet(&command, Some("deploy-cli"))?;
        expect(&command, status, code)
    }

    /// Asks the service itself, on each host, whether it is `version`.
    fn ask_all_hosts(&self, version: &str) -> Result<(), TaskError> {
        for host in self.fleet.hosts() {
            let url = format!("http://{host}:1134/_info");
            println!("$ GET {url}");
            let mut ask = Command::new("/usr/bin/python3");
            let status = self.in_fleet(ask.args(["-c", ASK, &url, version]), None)?;
            if status != Some(0) {
                return Err(TaskError::Unexpected {
                    command: format!("GET {url}"),
                    status: "another answer".to_owned(),
                    expected: format!("version {version}"),
                });
            }
        }
        Ok(())
    }

    /// Runs `command` in the fleet's network, printed as `shown` with its arguments.
    fn in_fleet(&self, command: &Command, shown: Option<&str>) -> Result<Option<i32>, TaskError> {
        if let Some(shown) = shown {
            let mut short = Command::new(shown);
            console::announce(short.args(command.get_args()));
        }
        let status = console::run_unannounced(&mut self.fleet.enter(command), self.interrupt)?;
        Ok(status.code())
    }
}

/// Copies what is in a directory, directories too.
fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&place)?;
            copy_files(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}
