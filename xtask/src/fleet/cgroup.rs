//! A control group for each host.
//!
//! `systemd-nspawn --keep-unit` puts its payload in a fixed place below the group it is started in.
//! Hosts started from one group would share it, and each systemd would find, and stop, the others'
//! services of the same name. So each host is started in a group of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::process::Process;

/// The groups of one fleet, in every hierarchy that systemd uses on this machine.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    of_fleet: Vec<PathBuf>,
}

impl Cgroups {
    pub(super) fn of(fleet: &str) -> Self {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        Self { of_fleet: hierarchies(&mounts).map(|root| root.join(fleet)).collect() }
    }

    /// Creates the groups of `host`; returns the files through which a process joins them.
    /// Where control groups are read-only there are none, and hosts share the caller's.
    pub(super) fn create(&self, host: &str) -> Vec<PathBuf> {
        let dirs = self.of_fleet.iter().map(|root| root.join(host));
        dirs.filter(|dir| fs::create_dir_all(dir).is_ok())
            .map(|dir| dir.join("cgroup.procs"))
            .collect()
    }

    /// The CPU time that everything in them has used so far, unless the kernel does not tell.
    pub(super) fn cpu_used(&self) -> Option<Duration> {
        let stats = self.of_fleet.iter().find_map(|root| {
            // Only the unified hierarchy has this file, and it counts all groups below.
            fs::read_to_string(root.join("cpu.stat")).ok()
        })?;
        let used = stats.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        used.trim().parse().ok().map(Duration::from_micros)
    }

    /// Kills what is in the groups of `host`: only what was started there, and its descendants.
    pub(super) fn kill(&self, host: &str) {
        for root in &self.of_fleet {
            kill_tree(&root.join(host));
        }
    }

    /// Removes all groups of the fleet; returns those that could not be removed.
    pub(super) fn remove(&self) -> Vec<PathBuf> {
        for _ in 0..50 {
            self.of_fleet.iter().for_each(|root| remove_tree(root));
            if self.left().is_empty() {
                break;
            }
            // The kernel frees a group a moment after its last process has ended.
            thread::sleep(Duration::from_millis(20));
        }
        self.left()
    }

    fn left(&self) -> Vec<PathBuf> {
        self.of_fleet.iter().filter(|root| root.exists()).cloned().collect()
    }
}

/// The mount points of the unified hierarchy and of systemd's named one.
fn hierarchies(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = kind == "cgroup2"
            || kind == "cgroup" && options.split(',').any(|option| option == "name=systemd");
        ours.then(|| path.into())
    })
}

fn kill_tree(dir: &Path) {
    for line in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
        // 0 stands for a process that cannot be seen from here.
        if let Some(process) = line.parse().ok().filter(|pid| *pid > 1).and_then(Process::running) {
            process.kill();
        }
    }
    subdirectories(dir).for_each(|dir| kill_tree(&dir));
}

fn remove_tree(dir: &Path) {
    subdirectories(dir).for_each(|dir| remove_tree(&dir));
    // What cannot be removed yet is seen, and told, by the caller.
    let _ = fs::remove_dir(dir);
}

fn subdirectories(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemds_hierarchies_are_found() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found: Vec<_> = hierarchies(mounts).collect();
        assert_eq!(
            found,
            [Path::new("/sys/fs/cgroup/systemd"), Path::new("/sys/fs/cgroup/unified")]
        );
    }
}
