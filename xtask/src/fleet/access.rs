//! The files through which a deployer reaches the hosts.

use std::{fs, path::Path};

use super::{FleetError, host::Host};

/// Writes `hosts`, `targets`, `ssh_config` and `known_hosts` into `dir`.
///
/// They are written in place: programs in the fleet's network see them through bind mounts.
pub(super) fn write(dir: &Path, hosts: &[Host], host_key: &str) -> Result<(), FleetError> {
    let files = [
        ("hosts", hosts_file(hosts)),
        ("targets", hosts.iter().map(|host| format!("{}\n", host.name())).collect()),
        ("ssh_config", ssh_config(dir, hosts)),
        ("known_hosts", known_hosts(hosts, host_key)),
    ];
    for (name, text) in files {
        fs::write(dir.join(name), text).map_err(FleetError::io(format!("write {name}")))?;
    }
    Ok(())
}

/// Names and addresses, as in `/etc/hosts`.
pub(super) fn hosts_file(hosts: &[Host]) -> String {
    let lines = hosts.iter().map(|host| format!("{} {}\n", host.address(), host.name()));
    std::iter::once("127.0.0.1 localhost\n".to_owned()).chain(lines).collect()
}

fn ssh_config(dir: &Path, hosts: &[Host]) -> String {
    let names =
        hosts.iter().map(|host| format!("Host {}\n    HostName {}\n", host.name(), host.address()));
    let all = format!(
        "Host h*\n    User deploy\n    IdentityFile {0}/id_ed25519\n    IdentitiesOnly yes\n    \
         UserKnownHostsFile {0}/known_hosts\n    StrictHostKeyChecking yes\n",
        dir.display()
    );
    names.chain([all]).collect()
}

fn known_hosts(hosts: &[Host], key: &str) -> String {
    hosts.iter().map(|host| format!("{},{} {key}\n", host.name(), host.address())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_can_be_reached_by_name() {
        let dir = Path::new("/run/x");
        let hosts = [Host::new(1, dir), Host::new(2, dir)];
        assert_eq!(hosts_file(&hosts), "127.0.0.1 localhost\n10.77.0.12 h1\n10.77.0.13 h2\n");
        assert_eq!(
            known_hosts(&hosts[..1], "ssh-ed25519 AAAA"),
            "h1,10.77.0.12 ssh-ed25519 AAAA\n"
        );
        let config = ssh_config(dir, &hosts);
        assert!(config.starts_with("Host h1\n    HostName 10.77.0.12\nHost h2\n"), "{config}");
        assert!(config.contains("    UserKnownHostsFile /run/x/known_hosts\n"), "{config}");
    }
}
