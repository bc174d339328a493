//! What the tasks need on this machine, and how it is installed.

use std::{path::Path, process::Command};

use crate::{
    console::{self, TaskError},
    fleet::tool,
    interrupt::Interrupt,
};

/// How to see whether a package is there.
#[derive(Debug, Clone, Copy)]
enum Sign {
    Program(&'static str),
    File(&'static str),
    /// A command that succeeds.
    Works(&'static [&'static str]),
}

/// A Debian package and the sign that it is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    package: &'static str,
    sign: Sign,
}

pub(crate) const fn program(package: &'static str, program: &'static str) -> Need {
    Need { package, sign: Sign::Program(program) }
}

/// What the build and all tests but the fleet's need.
pub(crate) const BUILD: &[Need] = &[
    program("git", "git"),
    program("pkg-config", "pkg-config"),
    Need { package: "libssl-dev", sign: Sign::File("/usr/include/openssl/ssl.h") },
    program("openssh-server", "sshd"),
    program("openssh-client", "ssh"),
    program("rsync", "rsync"),
    Need { package: "python3", sign: Sign::File("/usr/bin/python3") },
    program("git-lfs", "git-lfs"),
    // Through it come files of git-fat.
    program("rsync", "rsync"),
    // What small hosts have instead of coreutils, and the shell that goes with it.
    program("busybox", "busybox"),
    program("dash", "dash"),
    // Archives are packed by it.
    program("zstd", "zstd"),
];

/// The shells that are completed for, and what shows manual pages.
pub(crate) const SHELLS: &[Need] = &[
    program("bash", "bash"),
    program("zsh", "zsh"),
    program("fish", "fish"),
    program("man-db", "man"),
];

/// What a Debian package is made and looked at with.
pub(crate) const PACKAGE: &[Need] =
    &[program("dpkg-dev", "dpkg-shlibdeps"), program("binutils", "strip")];

/// What some tests make disks with; they need root, as the fleet does.
pub(crate) const DISKS: &[Need] = &[program("xfsprogs", "mkfs.xfs")];

/// What test hosts need.
pub(crate) const FLEET: &[Need] = &[
    program("systemd-container", "systemd-nspawn"),
    program("iproute2", "ip"),
    program("sudo", "sudo"),
    // Through it the deployer asks systemd about units without being root.
    program("dbus", "dbus-daemon"),
];

/// What the tools need that are measured beside ours.
pub(crate) const PEERS: &[Need] = &[
    Need {
        package: "python3-venv",
        sign: Sign::Works(&["/usr/bin/python3", "-c", "import ensurepip"]),
    },
    program("capistrano", "cap"),
    // Without these it cannot use keys of today.
    Need { package: "ruby-ed25519", sign: Sign::Works(&["ruby", "-e", "require 'ed25519'"]) },
    Need {
        package: "ruby-bcrypt-pbkdf",
        sign: Sign::Works(&["ruby", "-e", "require 'bcrypt_pbkdf'"]),
    },
];

/// Another that installs, another of these tasks for instance, is waited for.
const WAIT: &str = "-oDPkg::Lock::Timeout=300";

impl Need {
    fn is_met(self) -> bool {
        match self.sign {
            Sign::Program(name) => tool::is_installed(name),
            Sign::File(path) => Path::new(path).exists(),
            Sign::Works(words) => works(words),
        }
    }
}

/// Installs what is missing of `needs` where that is allowed: as root, with apt-get.
///
/// # Errors
/// [`TaskError::Packages`] holds the one command to run when it is not allowed.
pub(crate) fn ensure(needs: &[&[Need]], interrupt: &Interrupt) -> Result<(), TaskError> {
    let packages = missing(needs);
    if packages.is_empty() {
        return Ok(());
    }
    let by_hand = || TaskError::Packages {
        command: format!("sudo apt-get install -y {}", packages.join(" ")),
    };
    if !nix::unistd::geteuid().is_root() || !tool::is_installed("apt-get") {
        return Err(by_hand());
    }
    console::headline(&format!("installing {}", packages.join(", ")));
    let mut update = Command::new("apt-get");
    // An index that is a little old will often do: only the installation decides.
    console::run(update.args(["update", "-q", WAIT]), interrupt)?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install.args(["install", "-y", "-q", "--no-install-recommends", WAIT]).args(&packages);
    let status = console::run(&mut install, interrupt)?;
    if status.success() { Ok(()) } else { Err(by_hand()) }
}

fn works(words: &[&str]) -> bool {
    let Some((program, words)) = words.split_first() else { return true };
    Command::new(program).args(words).output().is_ok_and(|output| output.status.success())
}

fn missing(needs: &[&[Need]]) -> Vec<&'static str> {
    needs.iter().copied().flatten().filter(|need| !need.is_met()).map(|need| need.package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_named() {
        let works = |package, words| Need { package, sign: Sign::Works(words) };
        let needs = [
            program("coreutils", "ls"),
            program("no-such", "no-such-program"),
            works("shell", &["sh", "-c", "exit 0"]),
            works("broken", &["sh", "-c", "exit 1"]),
            works("absent", &["no-such-program"]),
        ];
        assert_eq!(missing(&[&needs]), ["no-such", "broken", "absent"]);
    }
}
