//! The network of a fleet: a namespace with a bridge that all hosts are plugged into.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};

use super::{FleetError, tool};

const BRIDGE: &str = "br0";

/// Where the deployer is, as the hosts see it.
pub(super) const DEPLOYER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// A network namespace of its own, so that fleets and the machine do not see each other.
#[derive(Debug, Clone)]
pub(super) struct Network {
    namespace: String,
}

impl Network {
    pub(super) fn new(namespace: String) -> Self {
        Self { namespace }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The file that names the namespace.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.namespace)
    }

    /// Creates namespace and bridge unless they exist.
    pub(super) fn create(&self) -> Result<(), FleetError> {
        if self.path().exists() {
            return Ok(());
        }
        tool::run(Command::new("ip").args(["netns", "add", &self.namespace]))?;
        tool::ip_batch(
            &self.namespace,
            &format!(
                "link set lo up\n\
                 link add {BRIDGE} type bridge\n\
                 link set {BRIDGE} up\n\
                 addr add {DEPLOYER}/16 dev {BRIDGE}\n"
            ),
        )
    }

    pub(super) fn remove(&self) -> Result<(), FleetError> {
        if !self.path().exists() {
            return Ok(());
        }
        tool::run(Command::new("ip").args(["netns", "del", &self.namespace])).map(drop)
    }

    /// Makes a cable from the bridge to the namespace of process `pid`, where it is `eth0`.
    pub(super) fn lay_cable(&self, host: &str, pid: i32) -> Result<(), FleetError> {
        tool::run(
            Command::new("ip")
                .args(["link", "add", &cable(host), "netns", &self.namespace])
                .args(["type", "veth", "peer", "name", "eth0", "netns", &pid.to_string()]),
        )
        .map(drop)
    }

    /// Whether the cable of `host` exists.
    pub(super) fn has_cable(&self, host: &str) -> bool {
        let mut show = Command::new("ip");
        tool::run(show.args(["-n", &self.namespace, "link", "show", &cable(host)])).is_ok()
    }

    /// Plugs the cables of `hosts` into the bridge.
    pub(super) fn plug_in<'a>(
        &self,
        hosts: impl Iterator<Item = &'a str>,
    ) -> Result<(), FleetError> {
        let lines: String =
            hosts.map(|host| format!("link set {} master {BRIDGE} up\n", cable(host))).collect();
        tool::ip_batch(&self.namespace, &lines)
    }

    /// Pulls or plugs the cable of `host`.
    pub(super) fn set_cable(&self, host: &str, state: &str) -> Result<(), FleetError> {
        tool::ip_batch(&self.namespace, &format!("link set {} {state}\n", cable(host)))
    }

    /// How many bytes have gone through all cables to the hosts so far, headers included.
    pub(super) fn sent_to_hosts(&self) -> Result<u64, FleetError> {
        let mut show = Command::new("ip");
        show.args(["-n", &self.namespace, "-json", "-stats", "link", "show", "master", BRIDGE]);
        let output = tool::run(&mut show)?;
        let links: serde_json::Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| FleetError::io("read what `ip` counts")(io::Error::from(error)))?;
        let links = links.as_array().into_iter().flatten();
        Ok(links.filter_map(|link| link["stats64"]["tx"]["bytes"].as_u64()).sum())
    }

    /// Moves the calling thread, and all that it starts from now on, into the namespace.
    pub(super) fn enter_thread(&self) -> io::Result<()> {
        setns(File::open(self.path())?, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }

    /// Waits until each of `addresses` accepts connections on port 22.
    ///
    /// # Errors
    /// The first address that did not within `timeout`, or that the namespace cannot be entered.
    pub(super) fn wait_for_ssh(
        &self,
        addresses: Vec<Ipv4Addr>,
        timeout: Duration,
    ) -> io::Result<Result<(), Ipv4Addr>> {
        let network = self.clone();
        let waiter = thread::spawn(move || {
            network.enter_thread()?;
            let until = Instant::now() + timeout;
            Ok(addresses.into_iter().find(|address| !answers(*address, until)).map_or(Ok(()), Err))
        });
        waiter.join().unwrap_or_else(|_| Err(io::Error::other("the waiting thread panicked")))
    }
}

fn answers(address: Ipv4Addr, until: Instant) -> bool {
    let socket = SocketAddr::from((address, 22));
    loop {
        if TcpStream::connect_timeout(&socket, Duration::from_secs(1)).is_ok() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The bridge's end of the cable to `host`.
pub(super) fn cable(host: &str) -> String {
    format!("ve-{host}")
}
