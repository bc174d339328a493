//! Measures what a run costs: on the deployer's side, on the hosts, on the network.

use std::{
    fs,
    process::{Child, Command},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        signal::{Signal, kill},
        time::{TimeVal, TimeValLike},
    },
    unistd::Pid,
};

use super::{
    figure::{Cost, Figure},
    origin::{Origin, Service},
};
use crate::{Fleet, console::TaskError, fleet::tool, interrupt::Interrupt};

/// How long what a run has left behind may take to end: a session's last process on a host, say.
const SETTLE: Duration = Duration::from_millis(400);

/// How often the memory of the process at work is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How the processes of a run ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// How many of them failed.
    pub(super) failed: usize,
    /// The most memory that the main process held, in bytes; none when there is no main process.
    pub(super) memory: Option<u64>,
}

/// Measures runs on one fleet. All processes that are measured must be children of this process,
/// and nothing else may be waited for meanwhile.
#[derive(Debug)]
pub(super) struct Gauge<'a> {
    fleet: &'a Fleet,
    origin: &'a Origin,
}

/// What has been counted so far.
#[derive(Debug)]
struct Reading {
    hosts_cpu: Option<Duration>,
    received: u64,
    opened: u64,
    origin: Service,
    origin_cpu: Option<f64>,
}

impl<'a> Gauge<'a> {
    pub(super) fn new(fleet: &'a Fleet, origin: &'a Origin) -> Self {
        Self { fleet, origin }
    }

    /// Does `run` and returns what it has cost; hosts that failed are not yet counted.
    pub(super) fn measure(
        &self,
        run: impl FnOnce() -> Result<Ended, TaskError>,
    ) -> Result<(Cost, Ended), TaskError> {
        thread::sleep(SETTLE);
        let before = self.read()?;
        let (mut cost, ended) = cost_of(run)?;
        thread::sleep(SETTLE);
        let after = self.read()?;

        cost.set(Figure::Sent, (after.received - before.received) as f64);
        let to_origin = after.origin.from_deployer - before.origin.from_deployer;
        let opened = (after.opened - before.opened) as f64 - to_origin as f64;
        cost.set(Figure::Connections, opened);
        cost.set(Figure::OriginReads, (after.origin.reads - before.origin.reads) as f64);
        if let (Some(after), Some(before)) = (after.hosts_cpu, before.hosts_cpu) {
            cost.set(Figure::HostsCpu, (after - before).as_secs_f64());
        }
        if let (Some(after), Some(before)) = (after.origin_cpu, before.origin_cpu) {
            cost.set(Figure::OriginCpu, after - before);
        }
        Ok((cost, ended))
    }

    fn read(&self) -> Result<Reading, TaskError> {
        let counters = fs::read_to_string("/proc/thread-self/net/snmp")
            .map_err(TaskError::io("read the network's counters"))?;
        Ok(Reading {
            hosts_cpu: self.fleet.cpu_used(),
            received: self.fleet.bytes_received()?,
            opened: active_opens(&counters).unwrap_or_default(),
            origin: self.origin.service(),
            origin_cpu: self.origin.cpu(),
        })
    }
}

/// Does `run` and returns what it has cost on the deployer's side: time, CPU, and memory.
pub(super) fn cost_of(
    run: impl FnOnce() -> Result<Ended, TaskError>,
) -> Result<(Cost, Ended), TaskError> {
    let cpu = cpu_of_children();
    let start = Instant::now();
    let ended = run()?;
    let mut cost = Cost::default();
    cost.set(Figure::Wall, start.elapsed().as_secs_f64());
    cost.set(Figure::DeployerCpu, cpu_of_children() - cpu);
    if let Some(memory) = ended.memory {
        cost.set(Figure::Memory, memory as f64);
    }
    Ok((cost, ended))
}

/// Runs `command` to its end and watches its memory.
pub(super) fn run_watched(
    command: &mut Command,
    interrupt: &Interrupt,
) -> Result<Ended, TaskError> {
    let attempted = format!("run `{}`", tool::line(command));
    let mut child = command.spawn().map_err(TaskError::io(attempted.clone()))?;
    let (pid, done) = (child.id(), AtomicBool::new(false));
    let (status, memory) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(pid, &done, interrupt));
        let status = child.wait();
        done.store(true, Ordering::SeqCst);
        (status, watch.join().ok().flatten())
    });
    let status = status.map_err(TaskError::io(attempted))?;
    if interrupt.is_asked() {
        return Err(TaskError::Interrupted);
    }
    Ok(Ended { failed: usize::from(!status.success()), memory })
}

/// Waits for all of `children`, which run at once.
pub(super) fn wait_for_all(
    children: Vec<Child>,
    interrupt: &Interrupt,
) -> Result<Ended, TaskError> {
    let mut failed = 0;
    for mut child in children {
        let status = child.wait().map_err(TaskError::io("wait for a process"))?;
        failed += usize::from(!status.success());
    }
    if interrupt.is_asked() {
        Err(TaskError::Interrupted)
    } else {
        Ok(Ended { failed, memory: None })
    }
}

/// The most memory that the process held; it is told of an interruption that only we know of.
fn watch(pid: u32, done: &AtomicBool, interrupt: &Interrupt) -> Option<u64> {
    let mut most = None;
    while !done.load(Ordering::SeqCst) {
        most = most.max(memory_of(pid));
        if interrupt.must_tell_child()
            && let Ok(pid) = pid.try_into()
        {
            // The only error is that it has ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        thread::sleep(LOOK);
    }
    most
}

/// The most memory that the process held so far, in bytes.
pub(super) fn memory_of(pid: u32) -> Option<u64> {
    peak(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// The peak of resident memory in `/proc/PID/status`, in bytes.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// How many TCP connections were begun from this network, in `/proc/net/snmp`.
fn active_opens(counters: &str) -> Option<u64> {
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(name, _)| *name == "ActiveOpens")?.1.parse().ok()
}

/// The CPU time of all children that have been waited for, in seconds.
fn cpu_of_children() -> f64 {
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_found_among_the_counters() {
        let counters = "Ip: Forwarding DefaultTTL\nIp: 1 64\n\
            Tcp: RtoAlgorithm RtoMin ActiveOpens PassiveOpens\nTcp: 1 200 42 7\n";
        assert_eq!(active_opens(counters), Some(42));
        assert_eq!(active_opens("Ip: Forwarding\nIp: 1\n"), None);
    }

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(peak("Name:\tx\nVmHWM:\t   20 kB\nVmRSS:\t 10 kB\n"), Some(20 * 1024));
    }

    #[test]
    fn a_run_tells_its_failure_and_its_memory() {
        let mut command = Command::new("sh");
        let ended = run_watched(command.args(["-c", "sleep 0.1; exit 3"]), &Interrupt::default());
        let ended = ended.unwrap();
        assert_eq!(ended.failed, 1);
        assert!(ended.memory.is_some_and(|bytes| bytes > 100_000), "{ended:?}");
    }
}
