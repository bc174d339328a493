//! The other tools: which, in which version, and how each is run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    bench::machine::first_line,
    console::{self, TaskError, expect},
    install,
    interrupt::Interrupt,
    workspace,
};

/// What is installed by pip, into an environment of its own.
const FROM_PIP: [&str; 3] = ["pyinfra==3.10.0", "fabric==3.2.3", "ansible-core==2.19.14"];

/// Another tool that deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Pyinfra,
    Fabric,
    Ansible,
    Capistrano,
}

/// Where the tools are.
#[derive(Debug)]
pub(in crate::bench) struct Tools {
    environment: PathBuf,
}

impl Tools {
    /// Installs them all.
    pub(in crate::bench) fn install(interrupt: &Interrupt) -> Result<Self, TaskError> {
        install::ensure(&[install::PEERS], interrupt)?;
        let tools = Self { environment: workspace::root().join("target/bench-peers") };
        if fs::read_to_string(tools.note()).is_ok_and(|note| note == FROM_PIP.join("\n")) {
            return Ok(tools);
        }
        // The system's python, which is the one with the packages of the system.
        let mut create = Command::new("/usr/bin/python3");
        create.args(["-m", "venv", "--clear"]).arg(&tools.environment);
        run(&mut create, interrupt)?;
        let mut pip = Command::new(tools.program("pip"));
        run(pip.args(["install", "--quiet"]).args(FROM_PIP), interrupt)?;
        fs::write(tools.note(), FROM_PIP.join("\n")).map_err(TaskError::io("note the versions"))?;
        Ok(tools)
    }

    /// Their versions, for people.
    pub(in crate::bench) fn versions(&self) -> String {
        let capistrano = first_line("cap", &["--version"]);
        let capistrano = capistrano.split(" (").next().unwrap_or_default();
        let from_pip = FROM_PIP.map(|package| package.replace("==", " ")).join(", ");
        format!("{from_pip}, {}", capistrano.replace(" Version:", "").to_lowercase())
    }

    /// Says for which tools the environment was made.
    fn note(&self) -> PathBuf {
        self.environment.join("bench-versions")
    }

    fn program(&self, name: &str) -> PathBuf {
        self.environment.join("bin").join(name)
    }
}

fn run(command: &mut Command, interrupt: &Interrupt) -> Result<(), TaskError> {
    let status = console::run(command, interrupt)?;
    expect(command, status.code(), 0)
}

impl Tool {
    pub(super) const ALL: [Self; 4] =
        [Self::Pyinfra, Self::Fabric, Self::Ansible, Self::Capistrano];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pyinfra => "pyinfra",
            Self::Fabric => "Fabric",
            Self::Ansible => "Ansible",
            Self::Capistrano => "Capistrano",
        }
    }

    /// Its deployment, as files below its own directory.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Pyinfra => &[
                ("inventory.py", include_str!("pyinfra_inventory.py")),
                ("deploy.py", include_str!("pyinfra_deploy.py")),
            ],
            Self::Fabric => &[("deploy.py", include_str!("fabric_deploy.py"))],
            Self::Ansible => &[
                ("ansible.cfg", include_str!("ansible.cfg")),
                ("playbook.yml", include_str!("ansible.yml")),
            ],
            Self::Capistrano => &[
                ("Capfile", include_str!("Capfile")),
                ("config/deploy.rb", include_str!("deploy.rb")),
                ("config/deploy/production.rb", include_str!("production.rb")),
            ],
        }
    }

    /// Writes its files into `directory`.
    pub(super) fn write_files(self, directory: &Path) -> std::io::Result<()> {
        for (name, text) in self.files() {
            let path = directory.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// The command that deploys, in the directory with its files; `targets` names the hosts.
    pub(super) fn command(self, tools: &Tools, targets: &Path) -> Command {
        let mut command = match self {
            Self::Pyinfra => Command::new(tools.program("pyinfra")),
            Self::Fabric => Command::new(tools.program("python")),
            Self::Ansible => Command::new(tools.program("ansible-playbook")),
            Self::Capistrano => Command::new("cap"),
        };
        match self {
            Self::Pyinfra => command.args(["-y", "inventory.py", "deploy.py"]),
            Self::Fabric => command.arg("deploy.py"),
            Self::Ansible => command.arg("--inventory").arg(targets).arg("playbook.yml"),
            Self::Capistrano => command.args(["production", "deploy"]),
        };
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_does_the_same_in_the_same_place() {
        let script = crate::bench::floor::DEPLOY;
        for tool in Tool::ALL {
            let files: String = tool.files().iter().map(|(_, text)| *text).collect();
            assert!(files.contains("/srv/deployment/floor"), "{tool:?}");
            assert!(files.contains("served"), "{tool:?} does not restart");
            assert!(files.contains("BENCH_VERSION"), "{tool:?}");
            // Capistrano has its own words for these.
            for words in ["git -C repo archive", "mv -T next current", "--no-tags"] {
                assert!(script.contains(words));
                assert!(tool == Tool::Capistrano || files.contains(words), "{tool:?}: {words}");
            }
        }
    }
}
