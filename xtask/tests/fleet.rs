//! The fleet itself, on real hosts.

use std::{
    error::Error,
    fs,
    path::Path,
    process::{Command, Output},
};

use xtask::{Fleet, FleetError, HostKind};

type Tested = Result<(), Box<dyn Error>>;

/// Runs `script` on `host` over SSH, as the deployer.
fn ssh(fleet: &Fleet, host: &str, script: &str) -> std::io::Result<Output> {
    let mut ssh = Command::new("ssh");
    fleet.enter(ssh.args(["-o", "ConnectTimeout=2", host, script])).output()
}

/// What `script` prints on `host`; it has to succeed.
fn seen(fleet: &Fleet, host: &str, script: &str) -> Result<String, Box<dyn Error>> {
    let output = ssh(fleet, host, script)?;
    assert!(output.status.success(), "{host}: {script}: {output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Puts the example service on `host` by hand, and starts it.
fn place_service(fleet: &Fleet, host: &str) -> Tested {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ssh-service");
    let release = "/srv/deployment/mockbase/r1";
    seen(
        fleet,
        host,
        &format!("mkdir -p {release} && ln -sfn r1 /srv/deployment/mockbase/deploy"),
    )?;
    let mut copy = Command::new("scp");
    copy.arg("-q").args(["server.py", "VERSION"].map(|file| example.join(file)));
    let copied = fleet.enter(copy.arg(format!("{host}:{release}/"))).output()?;
    assert!(copied.status.success(), "{copied:?}");
    seen(fleet, host, "sudo -n systemctl restart mockbase.service").map(drop)
}

/// Asks the service of the host it runs on, until it answers.
const ASK: &str = "\
ask() { python3 -c 'import urllib.request as r; \
print(r.urlopen(\"http://localhost:1134/_info\").read().decode())' 2>/dev/null; }
for i in $(seq 50); do ask && break; sleep .1; done";

/// Everything on this machine that bears the name of the fleet.
fn traces(name: &str) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    let state = format!("/run/deploy-fleet/{name}");
    let cgroup = |hierarchy| format!("/sys/fs/cgroup/{hierarchy}deploy-{name}");
    for path in [
        state.clone(),
        format!("{state}.lock"),
        format!("/run/netns/deploy-{name}"),
        cgroup(""),
        cgroup("systemd/"),
        cgroup("unified/"),
    ] {
        if Path::new(&path).exists() {
            found.push(path);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    found.extend(mounts.lines().filter(|line| line.contains(&state)).map(str::to_owned));
    for process in fs::read_dir("/proc")?.flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&state) {
            found.push(line);
        }
    }
    Ok(found)
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn systemd_hosts_serve_and_leave_nothing_behind() -> Tested {
    let mut fleet = Fleet::up("self-systemd", 2, HostKind::Systemd)?;
    assert_eq!(fleet.hosts(), ["h1", "h2"]);
    for file in ["hosts", "targets", "ssh_config", "known_hosts", "id_ed25519"] {
        assert!(fleet.dir().join(file).exists(), "{file}");
    }
    let [one, two] = ["h1", "h2"].map(|host| seen(&fleet, host, "cat /etc/machine-id"));
    assert_ne!(one?, two?, "each host has an identity of its own");
    for host in ["h1", "h2"] {
        place_service(&fleet, host)?;
        let answer = seen(&fleet, host, ASK)?;
        assert_eq!(answer, r#"{"name": "mockbase", "version": "1.0.0"}"#);
    }

    // The service has a user of its own, and cannot write to its code.
    assert_eq!(seen(&fleet, "h1", "ps -o user= -C python3")?, "mockbase");
    // A reload keeps the process and takes the new version.
    let pid = seen(&fleet, "h1", "systemctl show -p MainPID mockbase")?;
    seen(&fleet, "h1", "echo 2 >/srv/deployment/mockbase/r1/VERSION")?;
    seen(&fleet, "h1", "sudo -n systemctl kill -s HUP mockbase.service")?;
    let until =
        format!("for i in $(seq 50); do {ASK} | grep -q '\"2\"' && exit; sleep .1; done; exit 1");
    seen(&fleet, "h1", &until)?;
    assert_eq!(seen(&fleet, "h1", "systemctl show -p MainPID mockbase")?, pid);
    // Hosts do not share their services.
    seen(&fleet, "h1", "sudo -n systemctl stop mockbase.service")?;
    assert_eq!(seen(&fleet, "h2", "systemctl is-active mockbase")?, "active");
    // sudo allows exact lines only.
    for refused in
        ["systemctl restart ssh.service", "systemctl kill -s KILL mockbase.service", "id"]
    {
        assert!(!ssh(&fleet, "h1", &format!("sudo -n {refused}"))?.status.success(), "{refused}");
    }

    fleet.cut("h2")?;
    assert_eq!(ssh(&fleet, "h2", "true")?.status.code(), Some(255));
    fleet.join("h2")?;
    seen(&fleet, "h2", "true")?;

    fleet.shell("h1", "mount -t tmpfs -o size=64k tmpfs /srv/deployment")?;
    let full = fleet.shell("h1", "head -c 1000000 /dev/zero >/srv/deployment/file").unwrap_err();
    assert!(full.to_string().contains("No space left"), "{full}");

    seen(&fleet, "h2", "touch kept && sync")?;
    fleet.kill("h2")?;
    assert!(matches!(fleet.shell("h2", "true"), Err(FleetError::Off { .. })));
    fleet.boot("h2")?;
    seen(&fleet, "h2", "test -e kept")?;

    fleet.down()?;
    assert_eq!(traces("self-systemd")?, [""; 0]);
    Ok(())
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn fleets_of_different_names_do_not_meet() -> Tested {
    let mut one = Fleet::up("self-one", 1, HostKind::Light)?;
    let other = Fleet::up("self-other", 2, HostKind::Light)?;
    assert!(matches!(Fleet::up("self-one", 1, HostKind::Light), Err(FleetError::InUse { .. })));

    one.grow(3, HostKind::Light)?;
    assert_eq!(one.hosts(), ["h1", "h2", "h3"]);
    assert_eq!(seen(&one, "h3", "hostname; getent hosts h2")?, "h3\n10.77.0.13      h2");
    assert_eq!(other.hosts(), ["h1", "h2"]);

    seen(&one, "h1", "touch here")?;
    assert!(!ssh(&other, "h1", "test -e here")?.status.success());
    drop(one);
    assert_eq!(traces("self-one")?, [""; 0]);
    seen(&other, "h2", "true")?;
    drop(other);
    assert_eq!(traces("self-other")?, [""; 0]);
    Ok(())
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_kept_fleet_stays_and_an_abandoned_one_is_swept() -> Tested {
    Fleet::up("self-kept", 1, HostKind::Light)?.keep()?;
    let fleet = Fleet::open("self-kept")?;
    assert!(!Fleet::sweep()?.contains(&"self-kept".to_owned()));
    seen(&fleet, "h1", "true")?;

    // As if a process that has ended had made it.
    fs::write(fleet.dir().join("owner"), format!("{} 1", std::process::id()))?;
    drop(fleet);
    assert!(Fleet::sweep()?.contains(&"self-kept".to_owned()));
    assert_eq!(traces("self-kept")?, [""; 0]);
    assert!(matches!(Fleet::open("self-kept"), Err(FleetError::NoFleet { .. })));
    Fleet::remove("self-kept")?;
    Ok(())
}

#[test]
#[ignore = "needs the fleet (root, systemd-nspawn)"]
fn a_thread_can_enter_the_network() -> Tested {
    let fleet = Fleet::up("self-thread", 1, HostKind::Light)?;
    fleet.enter_thread()?;
    assert!(std::net::TcpStream::connect("10.77.0.12:22").is_ok());
    Ok(())
}
