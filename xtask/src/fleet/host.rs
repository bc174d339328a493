//! One host: its disk, its processes, its place in the network.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::process::Process;

use super::{
    FleetError, HostKind,
    base::Base,
    cgroup::Cgroups,
    network::{self, Network},
    tool,
};

/// Makes a host of its own out of the namespaces it is started in, and ends as its sshd.
const LIGHT_INIT: &str = r#"
mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" &&
mount -t tmpfs tmpfs "$1/run" && mount -t tmpfs -o mode=1777 tmpfs "$1/tmp" &&
mkdir -p "$1/run/sshd" && hostname "$2" && ip link set lo up &&
exec chroot "$1" /usr/sbin/sshd -D -e"#;

/// Joins the control groups named first, then runs the rest as the same process.
const JOIN_CGROUPS: &str = r#"
n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 >"$1"; shift; n=$((n - 1)); done
exec "$@""#;

/// A host of a fleet, `h1`, `h2` and so on.
#[derive(Debug, Clone)]
pub(super) struct Host {
    name: String,
    address: Ipv4Addr,
    dir: PathBuf,
}

impl Host {
    /// The host with number `number` (from 1) of the fleet whose state is in `fleet`.
    pub(super) fn new(number: u16, fleet: &Path) -> Self {
        let name = format!("h{number}");
        let place = u32::from(number) + 10;
        // Keeps clear of .0 and .255, which some tools take for special.
        let [high, low] = [place / 250, place % 250 + 1];
        let address = Ipv4Addr::from(0x0A4D_0000 | high << 8 | low);
        Self { dir: fleet.join("machines").join(&name), name, address }
    }

    /// All hosts of the fleet, in order.
    pub(super) fn all(fleet: &Path) -> Vec<Self> {
        let mut numbers: Vec<u16> = fs::read_dir(fleet.join("machines"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix('h')?.parse().ok())
            .collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|number| Self::new(number, fleet)).collect()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub(super) fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// Where its disk and what is known of its processes are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    fn kind(&self) -> HostKind {
        fs::read_to_string(self.dir.join("kind"))
            .ok()
            .and_then(|kind| kind.parse().ok())
            .unwrap_or_default()
    }

    /// The process that the host was started as.
    fn supervisor(&self) -> Option<Process> {
        self.recorded("supervisor")
    }

    /// The first process inside the host, unless it is powered off.
    pub(super) fn leader(&self) -> Option<Process> {
        self.recorded("leader").filter(|leader| leader.is_alive())
    }

    fn recorded(&self, role: &str) -> Option<Process> {
        fs::read_to_string(self.dir.join(role)).ok()?.parse().ok()
    }

    fn record(&self, role: &str, process: Process) -> Result<(), FleetError> {
        self.write(role, &process.to_string())
    }

    fn write(&self, file: &str, text: &str) -> Result<(), FleetError> {
        fs::write(self.dir.join(file), text)
            .map_err(FleetError::io(format!("write {file} of {}", self.name)))
    }

    /// Gives the host its disk.
    pub(super) fn create(&self, kind: HostKind, base: &Base) -> Result<(), FleetError> {
        let [upper, work, root] = ["upper", "work", "root"].map(|dir| self.dir.join(dir));
        for dir in [&upper, &work, &root] {
            fs::create_dir_all(dir).map_err(FleetError::io(format!("create {}", dir.display())))?;
        }
        self.write("kind", &kind.to_string())?;
        base.mount_for(&root, &upper, &work)?;
        for file in ["etc/hostname", "etc/hosts"] {
            // It may be a link of this machine's, which must not be followed.
            let _ = fs::remove_file(root.join(file));
        }
        fs::write(root.join("etc/hostname"), format!("{}\n", self.name))
            .map_err(FleetError::io(format!("name {}", self.name)))
    }

    /// Tells the host the names of all.
    pub(super) fn write_hosts_file(&self, text: &str) -> Result<(), FleetError> {
        fs::write(self.root().join("etc/hosts"), text)
            .map_err(FleetError::io(format!("write /etc/hosts of {}", self.name)))
    }

    /// Switches the power on. The host is not up yet when this returns.
    pub(super) fn start(&self, network: &Network, cgroups: &Cgroups) -> Result<Child, FleetError> {
        let attempted = || format!("start {}", self.name);
        let log = fs::File::create(self.dir.join("log")).map_err(FleetError::io(attempted()))?;
        let errors = log.try_clone().map_err(FleetError::io(attempted()))?;
        let groups = cgroups.create(&self.name);
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", JOIN_CGROUPS, "sh", &groups.len().to_string()]).args(groups);
        match self.kind() {
            HostKind::Systemd => self.boot_systemd(network, &mut command),
            HostKind::Light => self.boot_light(&mut command),
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(FleetError::io(attempted()))?;
        // setsid, sh and nsenter each become the next: the pid stays.
        if let Some(process) = Process::running(child.id()) {
            self.record("supervisor", process)?;
        }
        Ok(child)
    }

    fn boot_systemd(&self, network: &Network, command: &mut Command) {
        // `ip netns exec` would hide the control groups from systemd-nspawn; nsenter does not.
        command.arg("nsenter").arg(format!("--net={}", network.path().display()));
        command.args(["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"]);
        command.args(["--console=pipe", "--link-journal=no", "--resolv-conf=off"]);
        command.arg("--timezone=off");
        command.arg(format!("--network-veth-extra={}:host0", network::cable(&self.name)));
        // systemd-nspawn keeps state by this name, which the hosts of other fleets must not share.
        command.arg(format!("--machine={}-{}", network.namespace(), self.name));
        command.arg(format!("--hostname={}", self.name)).arg("-D").arg(self.root());
    }

    fn boot_light(&self, command: &mut Command) {
        command.args(["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child"]);
        command.args(["--propagation", "slave", "sh", "-c", LIGHT_INIT, "sh"]);
        command.arg(self.root()).arg(&self.name);
    }

    /// Notes the first process inside once it runs; returns whether it does.
    pub(super) fn has_started(&self, network: &Network) -> Result<bool, FleetError> {
        let Some(supervisor) = self.supervisor() else { return Ok(false) };
        let leader = match self.kind() {
            HostKind::Systemd => supervisor.child_named(&["systemd", "init"]),
            HostKind::Light => supervisor.child_named(&["sshd"]),
        };
        let Some(leader) = leader else { return Ok(false) };
        if self.kind() == HostKind::Systemd && !network.has_cable(&self.name) {
            return Ok(false);
        }
        self.record("leader", leader)?;
        Ok(true)
    }

    /// Whether it has ended right after its start.
    pub(super) fn has_failed(&self) -> bool {
        self.supervisor().is_none_or(|process| !process.is_alive())
    }

    /// Gives the host its address; its end of the cable exists from here on.
    pub(super) fn set_up_network(&self, network: &Network) -> Result<(), FleetError> {
        let leader = self.leader().ok_or_else(|| FleetError::Off { host: self.name.clone() })?;
        let interface = match self.kind() {
            HostKind::Systemd => "host0",
            HostKind::Light => {
                network.lay_cable(&self.name, leader.pid())?;
                "eth0"
            }
        };
        let mut ip = Command::new("nsenter");
        ip.args(["-t", &leader.pid().to_string(), "-n", "ip", "-batch", "-"]);
        let lines =
            format!("link set {interface} up\naddr add {}/16 dev {interface}\n", self.address);
        tool::feed(&mut ip, &lines).map(drop)
    }

    /// Whether the deployer may log in; until then PAM refuses all but root.
    pub(super) fn lets_users_in(&self) -> bool {
        self.leader().is_some_and(|leader| {
            !Path::new(&format!("/proc/{}/root/run/nologin", leader.pid())).exists()
        })
    }

    /// A command that runs `program` inside, as root and not over SSH.
    pub(super) fn inside(&self) -> Result<Command, FleetError> {
        let leader = self.leader().ok_or_else(|| FleetError::Off { host: self.name.clone() })?;
        let mut command = Command::new("nsenter");
        command.args(["-t", &leader.pid().to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/", "--"]);
        // The host's own surroundings, not those of whoever asks: another PATH finds other programs.
        command.args(["/usr/bin/env", "-i", "-C", "/", "HOME=/root", "LANG=C.UTF-8"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        Ok(command)
    }

    /// Cuts the power: every process inside is gone at once.
    pub(super) fn kill(&self) {
        // The kernel ends all processes of a pid namespace together with its first.
        if let Some(leader) = self.leader() {
            leader.kill();
        } else {
            self.kill_supervisor();
        }
    }

    /// Ends what is around a host. After the end of the host it ends by itself, and leaves less
    /// behind: this is for when it does not.
    pub(super) fn kill_supervisor(&self) {
        if let Some(supervisor) = self.supervisor() {
            supervisor.kill();
        }
    }

    /// Whether a process of the host is still there.
    pub(super) fn is_running(&self) -> bool {
        [self.recorded("leader"), self.supervisor()].into_iter().flatten().any(Process::is_alive)
    }

    /// The last lines that it wrote on its console.
    pub(super) fn console(&self) -> String {
        let text = fs::read(self.dir.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Removes what is recorded of a host whose processes are gone and whose disk is unmounted.
    pub(super) fn forget(&self) -> Result<(), FleetError> {
        fs::remove_dir_all(&self.dir).map_err(FleetError::io(format!("remove {}", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_distinct_and_ordinary() {
        let addresses: Vec<_> =
            (1..=2000).map(|n| Host::new(n, Path::new("/x")).address()).collect();
        let mut distinct = addresses.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), addresses.len());
        assert_eq!(addresses[0], Ipv4Addr::new(10, 77, 0, 12));
        for address in addresses {
            let [a, b, _, last] = address.octets();
            assert!((a, b) == (10, 77) && !matches!(last, 0 | 255), "{address}");
        }
    }
}
