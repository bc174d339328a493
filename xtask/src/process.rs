//! A process that is surely the one we started: its pid and its start time.

use std::{fmt, fs, str::FromStr};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process, told apart from a later one with the same pid by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    /// In clock ticks since boot, as the kernel counts.
    started: u64,
}

impl Process {
    /// The process that has `pid` now, unless it has ended.
    pub(crate) fn running(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        (!stat.ended).then_some(Self { pid: pid.try_into().ok()?, started: stat.started })
    }

    /// This process.
    pub(crate) fn this() -> Option<Self> {
        Self::running(std::process::id())
    }

    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    pub(crate) fn is_alive(self) -> bool {
        u32::try_from(self.pid).ok().and_then(Self::running) == Some(self)
    }

    /// Kills it, if it is still the same process. One that is gone already is fine.
    pub(crate) fn kill(self) {
        if self.is_alive() {
            // The only error left is that it ended in between.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }

    /// Its first child whose command name is one of `names`.
    pub(crate) fn child_named(self, names: &[&str]) -> Option<Self> {
        fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = Stat::read(pid)?;
            (stat.parent == self.pid && names.contains(&stat.name.as_str()))
                .then(|| Self::running(pid))
                .flatten()
        })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.started)
    }
}

impl FromStr for Process {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, started) = text.trim().split_once(' ').ok_or(())?;
        let pid = pid.parse().map_err(drop)?;
        // kill(2) gives 0 and negative numbers another meaning.
        if pid < 2 {
            return Err(());
        }
        Ok(Self { pid, started: started.parse().map_err(drop)? })
    }
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    ended: bool,
    parent: i32,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may itself hold spaces and parentheses.
        let (head, tail) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        Some(Self {
            name: name.to_owned(),
            ended: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_survives_a_round_trip() {
        let this = Process::this().unwrap();
        assert!(this.is_alive());
        assert_eq!(this.to_string().parse(), Ok(this));
    }

    #[test]
    fn another_start_time_is_another_process() {
        let this = Process::this().unwrap();
        assert!(!Process { started: this.started + 1, ..this }.is_alive());
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_is_read() {
        let stat = "7 (a) (b c) Z 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0";
        let read = Stat::parse(stat).unwrap();
        assert_eq!((read.name.as_str(), read.ended, read.parent), ("a) (b c", true, 3));
        assert_eq!(read.started, 4242);
    }

    #[test]
    fn special_pids_are_refused() {
        for text in ["0 5", "-1 5", "1 5", "x 5", "7"] {
            assert_eq!(text.parse::<Process>(), Err(()), "{text}");
        }
    }
}
