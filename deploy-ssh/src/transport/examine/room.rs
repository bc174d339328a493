//! How much room a target has, as it says.

use deploy_core::backend::Finding;

use super::ReleaseSize;
use crate::transport::report::LEAST_FREE;

/// With less than this free, in kB, and less than a twentieth of the whole, a disk is nearly full.
const LITTLE: u64 = 5 * 1024 * 1024;
/// With less than this free, in kB, any disk is nearly full.
const LEAST: u64 = 50 * 1024;
/// How many leftovers a target may name.
const LEFTOVERS: usize = 100;

/// What a target said of room, clock and leftovers. Parsed as if somebody had made it up.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub clock: Option<i64>,
    /// Free kB, for us.
    free: Option<u64>,
    mount: String,
    /// Blocks in all and free; inodes in all and free.
    blocks: Vec<u64>,
    leftovers: Vec<String>,
    pub nobody: bool,
    pub is_done: bool,
}

impl Room {
    pub(super) fn parse(text: &str) -> Self {
        let mut room = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "clock" => room.clock = value.parse().ok(),
                "space" => {
                    if let Some((free, mount)) = value.split_once(' ') {
                        room.free = free.parse().ok();
                        mount.clone_into(&mut room.mount);
                    }
                }
                "blocks" => {
                    room.blocks = value.split(' ').map_while(|n| n.parse().ok()).collect();
                }
                "leftover" if room.leftovers.len() < LEFTOVERS => {
                    room.leftovers.push(value.to_owned());
                }
                "nobody" => room.nobody = true,
                "done" => room.is_done = true,
                _ => {}
            }
        }
        room
    }

    /// Whether a release of `size` has room.
    pub(super) fn space(&self, size: Option<&ReleaseSize>) -> Vec<Finding> {
        let Some(free) = self.free else {
            return vec![
                Finding::warning("disk", "df does not tell how much room there is")
                    .because("a deploy that fills the disk fails half-way"),
            ];
        };
        // What leaves no room for anything, the probe has told.
        let bytes = (free >= LEAST_FREE).then(|| self.bytes(free, size));
        let findings: Vec<Finding> = bytes.flatten().into_iter().chain(self.inodes(size)).collect();
        if findings.is_empty() {
            return vec![Finding::ok("disk", format!("{} has room", self.mount))];
        }
        findings
    }

    fn bytes(&self, free: u64, size: Option<&ReleaseSize>) -> Option<Finding> {
        let mount = &self.mount;
        let left = format!("free: {}", told(free));
        let needed = size.map_or(0, |size| size.bytes / 1024);
        if free < needed {
            let what = format!("no room on {mount} for a release of {}", told(needed));
            return Some(
                Finding::problem("disk", what)
                    .because("the fetch would fail")
                    .cured_by(format!("make room there; `du -x -d 2 {mount}` shows what takes it"))
                    .detail(left),
            );
        }
        let whole = self.blocks.first().copied().unwrap_or_default();
        let rest = self.blocks.get(1).copied().unwrap_or_default();
        let is_scarce = free < LITTLE && whole > 0 && rest < whole / 20;
        (is_scarce || free < LEAST.max(needed.saturating_mul(2))).then(|| {
            Finding::warning("disk", format!("{mount} is nearly full"))
                .because("a release more, or the service's own logs, may fill it")
                .cured_by(format!("make room there; `du -x -d 2 {mount}` shows what takes it"))
                .detail(left)
        })
    }

    fn inodes(&self, size: Option<&ReleaseSize>) -> Option<Finding> {
        let &[_, _, whole, free] = self.blocks.as_slice() else { return None };
        // Some file systems have no such bound, and say 0.
        if whole == 0 {
            return None;
        }
        let (mount, needed) = (&self.mount, size.map_or(0, |size| size.files));
        let left = format!("free: {free} of {whole} inodes");
        let cure = format!("remove small files there; `du -x --inodes -d 2 {mount}` counts them");
        if free < needed.max(1) {
            let what = format!("no inodes on {mount} for a release of {needed} files");
            let problem = Finding::problem("disk", what).because("the fetch would fail");
            return Some(problem.cured_by(cure).detail(left));
        }
        (free < needed.saturating_mul(2) || (free < whole / 50 && free < 100_000)).then(|| {
            Finding::warning("disk", format!("{mount} has few inodes left"))
                .because("no file can be made there without one")
                .cured_by(cure)
                .detail(left)
        })
    }

    /// What crashed runs left.
    pub(super) fn leftovers(&self, cache: &str) -> Option<Finding> {
        let first = self.leftovers.first()?;
        Some(
            Finding::warning("leftovers", "an earlier run left a release unfinished there")
                .because("it takes room; it is never served, and a deploy of it begins anew")
                .cured_by("nothing needs to be done; the next deploys clean up")
                .detail(format!("{cache}/releases/{first}")),
        )
    }
}

/// Kilobytes for people.
fn told(kb: u64) -> String {
    match kb {
        0..1024 => format!("{kb} kB"),
        1024..1_048_576 => format!("{} MB", kb / 1024),
        _ => format!("{} GB", kb / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deploy_core::backend::Grade;

    fn grades(text: &str, size: Option<ReleaseSize>) -> Vec<Grade> {
        let findings = Room::parse(text).space(size.as_ref());
        findings.into_iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn room_is_measured_by_what_a_release_takes() {
        let of = |mb: u64, files| Some(ReleaseSize { bytes: mb * 1024 * 1024, files });
        let disk = "space 200000 /srv\nblocks 1000 500 100000 50000\n";
        assert_eq!(grades(disk, of(10, 100)), [Grade::Ok]);
        assert_eq!(grades(disk, of(150, 100)), [Grade::Warning]);
        assert_eq!(grades(disk, of(300, 100)), [Grade::Problem]);
        assert_eq!(grades(disk, of(300, 60_000)), [Grade::Problem, Grade::Problem]);
        assert_eq!(grades(disk, None), [Grade::Ok]);
    }

    #[test]
    fn a_full_disk_is_told_by_share_and_by_number() {
        let nearly = "space 200000 /\nblocks 1000 40 0 0\n";
        assert_eq!(grades(nearly, None), [Grade::Warning]);
        assert_eq!(grades("space 40000 /\nblocks 1000 900 0 0\n", None), [Grade::Warning]);
        let large = "space 99999999 /\nblocks 1000 40 0 0\n";
        assert_eq!(grades(large, None), [Grade::Ok]);
        let inodes = "space 200000 /\nblocks 1000 500 1000 0\n";
        assert_eq!(grades(inodes, None), [Grade::Problem]);
        assert_eq!(grades("nonsense\n", None), [Grade::Warning]);
    }
}
