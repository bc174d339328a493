//! A fleet of real test hosts on one machine, in a network of its own.
//!
//! ```no_run
//! use xtask::{Fleet, HostKind};
//!
//! let fleet = Fleet::up("my-test", 3, HostKind::Systemd)?;
//! let seen = fleet.enter(std::process::Command::new("ssh").args(["h1", "hostname"])).output();
//! fleet.cut("h2")?; // pulls its network cable
//! fleet.shell("h3", "mount -t tmpfs -o size=1m,mode=777 tmpfs /srv/deployment")?; // soon full
//! # Ok::<(), xtask::FleetError>(())
//! ```
//! Dropping the fleet removes it. Each host is an overlay on this machine's root directory, with
//! the user `deploy` (the deployer's key, sudo for the exact lines of `examples/ssh-service`), the
//! user `mockbase` and its unit.
//!
//! Fleets live in Linux namespaces and need root. Fleets of different names can exist at once.

use std::{
    ffi::OsStr,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

mod access;
mod base;
mod cgroup;
mod error;
mod host;
mod kind;
mod lock;
mod name;
mod network;
mod power;
pub(crate) mod tool;

pub use error::FleetError;
pub use kind::HostKind;

use crate::process::Process;
use base::Base;
use cgroup::Cgroups;
use host::Host;
use lock::ChangeLock;
use name::Name;
use network::Network;
use power::Power;

/// Shows a program the fleet's names and SSH settings in the place of this machine's.
const IN_FLEET: &str = r#"
mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/ssh_config" /etc/ssh/ssh_config &&
shift && exec "$@""#;

/// Test hosts `h1`, `h2`, …, each with its own address, disk and processes.
///
/// A fleet made by [`Fleet::up`] is removed on drop. One that outlived its maker (which was killed,
/// say) is removed by [`Fleet::sweep`] or by the next [`Fleet::up`] of the same name.
#[derive(Debug)]
pub struct Fleet {
    name: Name,
    dir: PathBuf,
    network: Network,
    power: Power,
    /// Whether it goes when this value goes.
    owned: bool,
}

impl Fleet {
    /// Boots a fleet of `count` hosts and returns when all accept logins over SSH.
    ///
    /// # Errors
    /// [`FleetError::NeedsRoot`] and [`FleetError::Missing`] when this machine cannot host a fleet;
    /// [`FleetError::InUse`] when one of this name is up. Whatever the error, nothing is left of a
    /// half-booted fleet.
    pub fn up(name: &str, count: u16, kind: HostKind) -> Result<Self, FleetError> {
        Self::check_machine()?;
        let mut fleet = Self::named(Name::new(name)?);
        let lock = ChangeLock::take(&fleet.name)?;
        if fleet.dir.exists() {
            match fleet.owner() {
                Some(owner) if !owner.is_alive() => fleet.dismantle()?,
                _ => return Err(FleetError::InUse { name: name.to_owned() }),
            }
        }
        fleet.owned = true;
        let made = fleet.create().and_then(|()| fleet.add(count, kind));
        drop(lock);
        made.map(|()| fleet)
    }

    /// The fleet that is already up under `name`; dropping the value leaves it up.
    ///
    /// # Errors
    /// [`FleetError::NoFleet`] when there is none.
    pub fn open(name: &str) -> Result<Self, FleetError> {
        let fleet = Self::named(Name::new(name)?);
        if fleet.dir.join("hosts").exists() {
            Ok(fleet)
        } else {
            Err(FleetError::NoFleet { name: name.to_owned() })
        }
    }

    /// Whether this machine can host fleets: whether we are root and have the programs.
    ///
    /// # Errors
    /// [`FleetError::NeedsRoot`] or [`FleetError::Missing`].
    pub fn check_machine() -> Result<(), FleetError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(FleetError::NeedsRoot);
        }
        let programs = tool::missing();
        if programs.is_empty() { Ok(()) } else { Err(FleetError::Missing { programs }) }
    }

    /// Removes the fleets whose makers have ended without removing them; returns their names.
    ///
    /// # Errors
    /// The first fleet that could not be removed; the others are removed nonetheless.
    pub fn sweep() -> Result<Vec<String>, FleetError> {
        let mut swept = Vec::new();
        let mut failed = Ok(());
        for name in Name::all() {
            let mut fleet = Self::named(name);
            let _lock = ChangeLock::take(&fleet.name)?;
            // Asked under the lock: the name may have been taken anew.
            if fleet.owner().is_some_and(|owner| !owner.is_alive()) {
                swept.push(fleet.name.to_string());
                failed = failed.and(fleet.dismantle());
            }
        }
        failed.map(|()| swept)
    }

    /// Removes the fleet `name`, or what is left of it. Idempotent: there may be none.
    ///
    /// # Errors
    /// As [`Fleet::down`].
    pub fn remove(name: &str) -> Result<(), FleetError> {
        Self::named(Name::new(name)?).down()
    }

    /// Lets the fleet outlive this value and this process, until it is taken down by name.
    ///
    /// # Errors
    /// When that could not be noted; the fleet is removed then.
    pub fn keep(mut self) -> Result<(), FleetError> {
        fs::remove_file(self.dir.join("owner")).map_err(FleetError::io("keep the fleet"))?;
        self.owned = false;
        Ok(())
    }

    /// Boots further hosts until there are `count`; those that exist are not touched.
    ///
    /// # Errors
    /// When a host does not come up; the new hosts are removed then.
    pub fn grow(&mut self, count: u16, kind: HostKind) -> Result<(), FleetError> {
        let _lock = ChangeLock::take(&self.name)?;
        self.add(count, kind)
    }

    /// Removes the fleet: processes, mounts, network. Idempotent.
    ///
    /// # Errors
    /// [`FleetError::Left`] names what could not be removed.
    pub fn down(mut self) -> Result<(), FleetError> {
        self.owned = false;
        self.lock_and_dismantle()
    }

    /// The directory with `hosts`, `targets`, `ssh_config`, `known_hosts` and `id_ed25519`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The names of its hosts, in order.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        Host::all(&self.dir).iter().map(|host| host.name().to_owned()).collect()
    }

    /// The address at which the hosts can reach what the deployer serves.
    #[must_use]
    pub fn deployer() -> Ipv4Addr {
        network::DEPLOYER
    }

    /// The CPU time that all hosts together have used since they were booted; `None` where control
    /// groups are read-only, or the kernel has no unified hierarchy.
    #[must_use]
    pub fn cpu_used(&self) -> Option<Duration> {
        self.power.cpu_used()
    }

    /// How many bytes all hosts together have received so far, headers included.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn bytes_received(&self) -> Result<u64, FleetError> {
        self.network.sent_to_hosts()
    }

    /// The command that runs `command` as the deployer, in the fleet's network.
    ///
    /// There the hosts' names resolve, and `ssh` (and whatever reads `/etc/ssh/ssh_config`) knows
    /// how to reach them. The environment and directory set on `command` are kept, a cleared
    /// environment is not.
    #[must_use]
    pub fn enter(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.arg(format!("--net={}", self.network.path().display()));
        entered.args(["unshare", "--mount", "--propagation", "slave", "sh", "-c", IN_FLEET, "sh"]);
        entered.arg(&self.dir).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(key, value),
                None => entered.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            entered.current_dir(dir);
        }
        entered
    }

    /// Moves the calling thread, and all that it starts from now on, into the fleet's network.
    ///
    /// Names do not resolve there: use the addresses in `hosts`, or `ssh_config`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter_thread(&self) -> Result<(), FleetError> {
        self.network.enter_thread().map_err(FleetError::io("enter the fleet's network"))
    }

    /// The command that runs `words` inside `host`, as root and not over SSH.
    ///
    /// # Errors
    /// [`FleetError::NoHost`], or [`FleetError::Off`] when the host is powered off.
    pub fn on<S: AsRef<OsStr>>(
        &self,
        host: &str,
        words: impl IntoIterator<Item = S>,
    ) -> Result<Command, FleetError> {
        let mut command = self.host(host)?.inside()?;
        command.args(words);
        Ok(command)
    }

    /// Runs the shell text `script` inside `host` as root and waits for its end.
    ///
    /// # Errors
    /// As [`Fleet::on`], and [`FleetError::Failed`] when it ends with an error.
    pub fn shell(&self, host: &str, script: &str) -> Result<Output, FleetError> {
        tool::run(&mut self.on(host, ["sh", "-euc", script])?)
    }

    /// Pulls the host's network cable: packets to and from it are lost.
    ///
    /// # Errors
    /// [`FleetError::NoHost`], or when the kernel refuses.
    pub fn cut(&self, host: &str) -> Result<(), FleetError> {
        self.network.set_cable(self.host(host)?.name(), "down")
    }

    /// Plugs the host's network cable in again.
    ///
    /// # Errors
    /// As [`Fleet::cut`].
    pub fn join(&self, host: &str) -> Result<(), FleetError> {
        self.network.set_cable(self.host(host)?.name(), "up")
    }

    /// Powers the host off at once, as a power cut does; its disk stays.
    ///
    /// # Errors
    /// [`FleetError::NoHost`], or [`FleetError::Left`] when its processes do not end.
    pub fn kill(&mut self, host: &str) -> Result<(), FleetError> {
        let host = self.host(host)?;
        self.power.stop(std::slice::from_ref(&host))
    }

    /// Powers a host on again after [`Fleet::kill`].
    ///
    /// # Errors
    /// [`FleetError::NoHost`], or [`FleetError::Boot`] when it does not come up.
    pub fn boot(&mut self, host: &str) -> Result<(), FleetError> {
        let host = self.host(host)?;
        let _lock = ChangeLock::take(&self.name)?;
        if host.is_running() { Ok(()) } else { self.power.start(&[host], &self.network) }
    }

    fn named(name: Name) -> Self {
        Self {
            dir: name.dir(),
            network: Network::new(name.on_this_machine()),
            power: Power::new(Cgroups::of(&name.on_this_machine())),
            name,
            owned: false,
        }
    }

    /// The process that has made the fleet and will remove it, if it was not kept.
    fn owner(&self) -> Option<Process> {
        fs::read_to_string(self.dir.join("owner")).ok()?.parse().ok()
    }

    fn host(&self, name: &str) -> Result<Host, FleetError> {
        Host::all(&self.dir).into_iter().find(|host| host.name() == name).ok_or_else(|| {
            FleetError::NoHost { fleet: self.name.to_string(), host: name.to_owned() }
        })
    }

    /// Creates what the hosts share.
    fn create(&self) -> Result<(), FleetError> {
        fs::create_dir_all(&self.dir).map_err(FleetError::io("create the fleet's directory"))?;
        // Overlays cannot write to an overlay, which the root of a container may be.
        mount(Some("tmpfs"), &self.dir, Some("tmpfs"), MsFlags::empty(), Some("mode=755,size=90%"))
            .map_err(FleetError::io(format!("mount a tmpfs at {}", self.dir.display())))?;
        let owner = Process::this().map(|owner| owner.to_string()).unwrap_or_default();
        fs::write(self.dir.join("owner"), owner).map_err(FleetError::io("note the owner"))?;
        Base::at(&self.dir).create()?;
        self.network.create()
    }

    fn add(&mut self, count: u16, kind: HostKind) -> Result<(), FleetError> {
        let base = Base::at(&self.dir);
        let new: Vec<_> = (1..=count)
            .map(|number| Host::new(number, &self.dir))
            .filter(|host| !host.exists())
            .collect();
        let added = new
            .iter()
            .try_for_each(|host| host.create(kind, &base))
            .and_then(|()| self.publish(&base))
            .and_then(|()| self.power.start(&new, &self.network));
        if added.is_err() {
            self.withdraw(&new, &base)?;
        }
        added
    }

    /// Tells the deployer and all hosts the names of all hosts.
    fn publish(&self, base: &Base) -> Result<(), FleetError> {
        let hosts = Host::all(&self.dir);
        let names = access::hosts_file(&hosts);
        hosts.iter().try_for_each(|host| host.write_hosts_file(&names))?;
        access::write(&self.dir, &hosts, &base.host_key()?)
    }

    /// Takes back hosts that did not come up.
    fn withdraw(&mut self, hosts: &[Host], base: &Base) -> Result<(), FleetError> {
        self.power.stop(hosts)?;
        for host in hosts.iter().filter(|host| host.exists()) {
            unmount_below(host.dir())?;
            host.forget()?;
        }
        self.publish(base)
    }

    fn lock_and_dismantle(&mut self) -> Result<(), FleetError> {
        let _lock = ChangeLock::take(&self.name)?;
        self.dismantle()
    }

    fn dismantle(&mut self) -> Result<(), FleetError> {
        self.power.stop(&Host::all(&self.dir))?;
        unmount_below(&self.dir)?;
        match fs::remove_dir(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FleetError::io(format!("remove {}", self.dir.display()))(error));
            }
            _ => {}
        }
        self.network.remove()?;
        self.power.remove_cgroups()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if self.owned
            && let Err(error) = self.lock_and_dismantle()
        {
            eprintln!("warning: {error}");
        }
    }
}

/// Unmounts everything at and below `dir`, the innermost first.
fn unmount_below(dir: &Path) -> Result<(), FleetError> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(FleetError::io("read mounts"))?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    let ours: Vec<_> = points.filter(|point| point.starts_with(dir)).collect();
    ours.into_iter().rev().try_for_each(|point| {
        umount2(point, MntFlags::MNT_DETACH)
            .map_err(FleetError::io(format!("unmount {}", point.display())))
    })
}
