//! Whether the disks of the hosts, which are in memory, have room.

use std::fs;

use nix::sys::statvfs::statvfs;

use super::ours::Unchanged;
use crate::{Fleet, console::TaskError};

/// What the floor keeps on a host at most, in bytes: two releases and a repository.
const FLOOR: u64 = 58_000_000;

/// What we keep: three releases, whose files are mostly the same, and a repository.
const OURS: u64 = 40_000_000;

/// The same where nothing is the same.
const OURS_COPIED: u64 = 90_000_000;

/// What is left for everything else, of ten parts.
const PARTS_USED: u64 = 8;

/// What the sides need on the hosts of a fleet, and what there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    bytes: u64,
    hosts: u64,
    unchanged: Unchanged,
}

impl Room {
    /// Asks the machine; what the fleet's disks hold already counts as free.
    pub(super) fn of(fleet: &Fleet, unchanged: Unchanged) -> Result<Self, TaskError> {
        let disk = statvfs(fleet.dir())
            .map_err(|errno| TaskError::io("measure the fleet's disk")(errno.into()))?;
        let (size, free) = (disk.blocks() * disk.fragment_size(), disk.blocks_free());
        let used = size - free * disk.fragment_size();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let bytes = size.min(available(&memory).unwrap_or(u64::MAX).saturating_add(used));
        let hosts = fleet.hosts().len().try_into().unwrap_or(u64::MAX);
        Ok(Self { bytes, hosts, unchanged })
    }

    fn ours(self) -> u64 {
        match self.unchanged {
            Unchanged::Link => OURS,
            Unchanged::Copy => OURS_COPIED,
        }
    }

    /// Whether both sides fit at the same time.
    pub(super) fn has_both(self) -> bool {
        self.has(FLOOR + self.ours())
    }

    /// Whether the floor fits by itself.
    pub(super) fn has_floor(self) -> bool {
        self.has(FLOOR)
    }

    fn has(self, bytes_a_host: u64) -> bool {
        bytes_a_host * self.hosts <= self.bytes / 10 * PARTS_USED
    }
}

/// The memory that could be used, in `/proc/meminfo`, in bytes.
fn available(memory: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_in_bytes() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:    3 kB\n"), Some(3072));
        assert_eq!(available(""), None);
    }

    #[test]
    fn the_more_hosts_the_less_fits() {
        let room = |hosts| Room { bytes: 25_000_000_000, hosts, unchanged: Unchanged::Link };
        assert!(room(100).has_both());
        assert!(!room(300).has_both() && room(300).has_floor());
        assert!(!room(600).has_floor());
    }
}
