//! The disk image that all hosts share: an overlay on this machine's root.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{FleetError, tool};

/// What the example says a host needs, used as it stands.
const UNIT: &str = include_str!("../../../examples/ssh-service/mockbase.service");
const SUDOERS: &str = include_str!("../../../examples/ssh-service/mockbase.sudoers");

const SSHD_CONFIG: &str = "\
# Many tests connect at once; the default would drop some of them.
MaxStartups 500:30:1000
MaxSessions 100
HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
Subsystem sftp internal-sftp
";

/// Parts of systemd that a test host has no use for.
const MASKED: [&str; 9] = [
    "ssh.socket",
    "console-getty.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-firstboot.service",
    "systemd-ask-password-wall.path",
];

/// The image below all hosts of one fleet.
#[derive(Debug)]
pub(super) struct Base {
    layer: PathBuf,
    dir: PathBuf,
}

impl Base {
    pub(super) fn at(dir: &Path) -> Self {
        Self { layer: dir.join("base"), dir: dir.to_owned() }
    }

    /// The public host key that all hosts of the fleet show.
    pub(super) fn host_key(&self) -> Result<String, FleetError> {
        let path = self.layer.join("etc/ssh/ssh_host_ed25519_key.pub");
        let text = fs::read_to_string(&path).map_err(FleetError::io("read the host key"))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// Mounts a disk for one host at `root`: the image, and above it `upper` for what it writes.
    pub(super) fn mount_for(
        &self,
        root: &Path,
        upper: &Path,
        work: &Path,
    ) -> Result<(), FleetError> {
        overlay(&format!("{}:/", self.layer.display()), upper, work, root)
    }

    /// Makes the image and the deployer's key, unless they exist.
    pub(super) fn create(&self) -> Result<(), FleetError> {
        let key = self.dir.join("id_ed25519");
        if !key.exists() {
            generate_key(&key)?;
        }
        if self.layer.join("etc/ssh/ssh_host_ed25519_key.pub").exists() {
            return Ok(());
        }
        let (work, image) = (self.dir.join("base-work"), self.dir.join("image"));
        for dir in [&self.layer, &work, &image] {
            fs::create_dir_all(dir).map_err(FleetError::io(format!("create {}", dir.display())))?;
        }
        overlay("/", &self.layer, &work, &image)?;
        let made = Image { root: &image }.furnish(&key.with_extension("pub"));
        umount2(&image, MntFlags::MNT_DETACH)
            .map_err(FleetError::io(format!("unmount {}", image.display())))?;
        made
    }
}

fn generate_key(path: &Path) -> Result<(), FleetError> {
    let mut keygen = Command::new("ssh-keygen");
    tool::run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path)).map(drop)
}

fn overlay(lower: &str, upper: &Path, work: &Path, at: &Path) -> Result<(), FleetError> {
    let options =
        format!("lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("overlay"), at, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .map_err(FleetError::io(format!("mount an overlay at {}", at.display())))
}

/// The image while it is furnished.
struct Image<'a> {
    root: &'a Path,
}

impl Image<'_> {
    fn furnish(&self, deployers_key: &Path) -> Result<(), FleetError> {
        self.add_users(deployers_key)?;
        self.set_up_sshd()?;
        self.quieten().map_err(FleetError::io("switch off the machine's own services"))?;
        let place = |path: &str, text: &str, mode| {
            self.replace(path, text, mode).map_err(FleetError::io(format!("write {path}")))
        };
        place("etc/systemd/system/mockbase.service", UNIT, 0o644)?;
        place("etc/sudoers.d/mockbase", SUDOERS, 0o440)
    }

    fn add_users(&self, deployers_key: &Path) -> Result<(), FleetError> {
        let users = fs::read_to_string(self.root.join("etc/passwd"))
            .map_err(FleetError::io("read the image's users"))?;
        let known = |name: &str| users.lines().any(|line| line.split(':').next() == Some(name));
        if !known("deploy") {
            tool::run(self.chroot("useradd").args(["-m", "-s", "/bin/bash", "deploy"]))?;
        }
        if !known("mockbase") {
            tool::run(self.chroot("useradd").args(["-r", "-s", "/usr/sbin/nologin", "mockbase"]))?;
        }
        // So that the deployer may show the service's last log lines when a check fails.
        tool::run(self.chroot("usermod").args(["-aG", "systemd-journal", "deploy"]))?;
        tool::run(
            self.chroot("install")
                .args(["-d", "-o", "deploy", "-g", "deploy"])
                .args(["/srv/deployment"]),
        )?;
        tool::run(
            self.chroot("install")
                .args(["-d", "-m", "700", "-o", "deploy", "-g", "deploy"])
                .arg("/home/deploy/.ssh"),
        )?;
        let key = fs::read_to_string(deployers_key).map_err(FleetError::io("read the key"))?;
        self.replace("home/deploy/.ssh/authorized_keys", &key, 0o644)
            .map_err(FleetError::io("write authorized_keys"))
    }

    fn set_up_sshd(&self) -> Result<(), FleetError> {
        for entry in fs::read_dir(self.root.join("etc/ssh")).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
                fs::remove_file(entry.path()).map_err(FleetError::io("remove a host key"))?;
            }
        }
        generate_key(&self.root.join("etc/ssh/ssh_host_ed25519_key"))?;
        self.replace("etc/ssh/sshd_config", SSHD_CONFIG, 0o644)
            .map_err(FleetError::io("write sshd_config"))
    }

    /// Leaves nothing enabled but sshd: what this machine runs must not run again on each host.
    fn quieten(&self) -> io::Result<()> {
        let units = self.root.join("etc/systemd/system");
        fs::create_dir_all(&units)?;
        for entry in fs::read_dir(&units)? {
            let dir = entry?.path();
            let wants = dir.extension().is_some_and(|kind| kind == "wants" || kind == "requires");
            if wants && dir.symlink_metadata()?.is_dir() {
                empty(&dir)?;
            }
        }
        // Services with an init script only are enabled by links in these.
        for level in 0..=6 {
            let dir = self.root.join(format!("etc/rc{level}.d"));
            if dir.is_dir() {
                empty(&dir)?;
            }
        }
        for unit in MASKED {
            self.link("/dev/null", &format!("etc/systemd/system/{unit}"))?;
        }
        let sshd = ["lib/systemd/system/ssh.service", "usr/lib/systemd/system/ssh.service"];
        let name =
            if sshd.iter().any(|path| self.root.join(path).exists()) { "ssh" } else { "sshd" };
        fs::create_dir_all(units.join("multi-user.target.wants"))?;
        self.link(
            &format!("/lib/systemd/system/{name}.service"),
            &format!("etc/systemd/system/multi-user.target.wants/{name}.service"),
        )?;
        self.link("/lib/systemd/system/multi-user.target", "etc/systemd/system/default.target")?;
        self.replace("etc/fstab", "", 0o644)?;
        // Empty, so that each host gets one of its own, and does not inherit it from D-Bus.
        self.replace("etc/machine-id", "", 0o444)?;
        self.clear("var/lib/dbus/machine-id")?;
        let journal = "[Journal]\nStorage=volatile\nRuntimeMaxUse=4M\nRateLimitBurst=0\n";
        self.replace("etc/systemd/journald.conf", journal, 0o644)
    }

    fn chroot(&self, program: &str) -> Command {
        tool::chroot(self.root, program)
    }

    /// Writes a new file in the place of whatever is there, so that no link of this machine is
    /// followed out of the image.
    fn replace(&self, path: &str, text: &str, mode: u32) -> io::Result<()> {
        let path = self.clear(path)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        chown(&path, Some(0), Some(0))
    }

    fn link(&self, to: &str, path: &str) -> io::Result<()> {
        symlink(to, self.clear(path)?)
    }

    fn clear(&self, path: &str) -> io::Result<PathBuf> {
        let path = self.root.join(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(path),
        }
    }
}

fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.symlink_metadata()?.is_dir() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
