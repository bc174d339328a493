//! Switching hosts on and off.

use std::{
    process::Child,
    thread,
    time::{Duration, Instant},
};

use super::{FleetError, cgroup::Cgroups, host::Host, network::Network};

/// How long hosts may take until they run, and then until they accept logins.
const BOOT_TIMEOUT: Duration = Duration::from_secs(90);

/// How long what is around a host may take to notice that the host is gone.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long killed processes may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts and stops the processes of hosts.
#[derive(Debug)]
pub(super) struct Power {
    cgroups: Cgroups,
    /// Those that this process has started, and must ask for how they ended.
    started: Vec<Child>,
}

impl Power {
    pub(super) fn new(cgroups: Cgroups) -> Self {
        Self { cgroups, started: Vec::new() }
    }

    /// Switches `hosts` on, all at once, and waits until the deployer can log in to each.
    pub(super) fn start(&mut self, hosts: &[Host], network: &Network) -> Result<(), FleetError> {
        if hosts.is_empty() {
            return Ok(());
        }
        for host in hosts {
            self.started.push(host.start(network, &self.cgroups)?);
        }
        let until = Instant::now() + BOOT_TIMEOUT;
        wait(hosts, "start", until, |host| host.has_started(network))?;
        hosts.iter().try_for_each(|host| host.set_up_network(network))?;
        network.plug_in(hosts.iter().map(Host::name))?;
        let addresses = hosts.iter().map(Host::address).collect();
        let answered = network
            .wait_for_ssh(addresses, BOOT_TIMEOUT)
            .map_err(FleetError::io("reach the hosts"))?;
        if let Err(silent) = answered
            && let Some(host) = hosts.iter().find(|host| host.address() == silent)
        {
            return Err(not_up(host, "start sshd"));
        }
        wait(hosts, "let users log in", until, |host| Ok(host.lets_users_in()))
    }

    /// Ends all processes of `hosts` at once and waits until they are gone. Idempotent.
    pub(super) fn stop(&mut self, hosts: &[Host]) -> Result<(), FleetError> {
        hosts.iter().for_each(Host::kill);
        self.wait_for_end(hosts, PATIENCE);
        for host in hosts {
            host.kill_supervisor();
            // A host that was interrupted early in its boot is known only by its control group.
            self.cgroups.kill(host.name());
        }
        match self.wait_for_end(hosts, STOP_TIMEOUT) {
            None => Ok(()),
            Some(host) => Err(FleetError::Left { left: vec![host.dir().to_owned()] }),
        }
    }

    /// The CPU time that all hosts have used so far.
    pub(super) fn cpu_used(&self) -> Option<Duration> {
        self.cgroups.cpu_used()
    }

    /// Removes the control groups of all hosts; their processes must have ended.
    pub(super) fn remove_cgroups(&self) -> Result<(), FleetError> {
        let left = self.cgroups.remove();
        if left.is_empty() { Ok(()) } else { Err(FleetError::Left { left }) }
    }

    /// Returns a host that still runs after `timeout`.
    fn wait_for_end<'a>(&mut self, hosts: &'a [Host], timeout: Duration) -> Option<&'a Host> {
        let until = Instant::now() + timeout;
        loop {
            // Those that we started ourselves stay zombies until they are asked for.
            self.started.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            let running = hosts.iter().find(|host| host.is_running())?;
            if Instant::now() >= until {
                return Some(running);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn wait(
    hosts: &[Host],
    what: &'static str,
    until: Instant,
    mut done: impl FnMut(&Host) -> Result<bool, FleetError>,
) -> Result<(), FleetError> {
    for host in hosts {
        while !done(host)? {
            if host.has_failed() || Instant::now() >= until {
                return Err(not_up(host, what));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn not_up(host: &Host, what: &'static str) -> FleetError {
    FleetError::Boot { host: host.name().to_owned(), what, console: host.console() }
}
