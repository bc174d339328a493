//! `[notify] command`: gets the start and the end of each run as JSON on its standard input.
//!
//! It never fails a run, and never holds one up for longer than its timeout.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use deploy_core::record::{Event, EventKind, ObserveError, Observer};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{ChildStderr, Command},
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};

/// How much of what a command complains about is kept.
const KEPT: usize = 4096;

/// Tells a command of start and end, one after the other.
#[derive(Debug)]
pub struct Notifier(UnboundedSender<Vec<u8>>);

/// The commands that may still run when the run is over.
#[derive(Debug)]
#[must_use = "what is told last would be cut off"]
pub struct Notifications(JoinHandle<Vec<String>>);

impl Notifier {
    /// Runs `command` by `sh` in `directory` for each event, for at most `limit`. To be called
    /// within a runtime.
    pub fn new(command: String, directory: PathBuf, limit: Duration) -> (Self, Notifications) {
        let (events, mut told) = unbounded_channel();
        let worker = tokio::spawn(async move {
            let mut failures = Vec::new();
            while let Some(event) = told.recv().await {
                failures.extend(tell(&command, &directory, event, limit).await);
            }
            failures
        });
        (Self(events), Notifications(worker))
    }
}

impl Notifications {
    /// Waits until all is told; each failure is a line. The notifier must be gone by then.
    pub async fn finish(self) -> Vec<String> {
        self.0.await.unwrap_or_default()
    }
}

impl Observer for Notifier {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        if matches!(event.kind, EventKind::RunStarted { .. } | EventKind::RunFinished { .. })
            && let Ok(line) = serde_json::to_vec(event)
        {
            let _ = self.0.send(line);
        }
        Ok(())
    }
}

/// Runs the command once; what went wrong, if anything.
async fn tell(
    command: &str,
    directory: &Path,
    mut event: Vec<u8>,
    limit: Duration,
) -> Option<String> {
    event.push(b'\n');
    let spawned = Command::new("sh")
        .arg("-c")
        .arg(command)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // Of its own, so that a Ctrl-C is not meant for it, and that all of it can be killed.
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Some(format!("[notify] command: {error}")),
    };
    let group = child.id();
    let (input, complaints) = (child.stdin.take(), child.stderr.take());
    let talk = async {
        let feed = async {
            if let Some(mut input) = input {
                // A command that does not read its input has not failed.
                let _ = input.write_all(&event).await;
            }
        };
        let ((), said, status) = tokio::join!(feed, tail(complaints), child.wait());
        status.map(|status| (status, said))
    };
    let told = timeout(limit, talk).await;
    if told.is_err() {
        kill_group(group);
    }
    match told {
        Ok(Ok((status, _))) if status.success() => None,
        Ok(Ok((status, said))) => {
            let said = String::from_utf8_lossy(&said);
            let last = said.trim().lines().last().unwrap_or_default();
            Some(format!("[notify] command: {status}: {last}"))
        }
        Ok(Err(error)) => Some(format!("[notify] command: {error}")),
        Err(_) => Some(format!("[notify] command: not done after {}", crate::config::short(limit))),
    }
}

/// Reads to the end, and keeps the last of it.
async fn tail(complaints: Option<ChildStderr>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut complaints) = complaints else { return kept };
    while complaints.read_buf(&mut kept).await.is_ok_and(|read| read > 0) {
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
    kept
}

/// Kills what the command started, too: what hangs is often not the shell but a child of it.
fn kill_group(group: Option<u32>) {
    if let Some(group) = group.and_then(|group| i32::try_from(group).ok()) {
        // It may have ended just now.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_is_a_line() {
        let failed =
            tell("echo no >&2; exit 3", Path::new("/"), Vec::new(), Duration::from_secs(60)).await;
        assert_eq!(failed.unwrap(), "[notify] command: exit status: 3: no");
        let hung =
            tell("sleep 60", Path::new("/"), Vec::new(), Duration::from_millis(50)).await.unwrap();
        assert!(hung.contains("not done"), "{hung}");
        assert_eq!(
            tell("cat >/dev/null", Path::new("/"), Vec::new(), Duration::from_secs(60)).await,
            None
        );
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let note = directory.path().join("pid");
        // Not the shell's last command, so that it is a child.
        let command = format!("sleep 600 & echo $! >{}; wait; true", note.display());
        tell(&command, Path::new("/"), Vec::new(), Duration::from_secs(1)).await.unwrap();
        let pid = std::fs::read_to_string(note).unwrap();
        let process = format!("/proc/{}/stat", pid.trim());
        for _ in 0..500 {
            let stat = std::fs::read_to_string(&process).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still there");
    }

    #[tokio::test]
    async fn a_flood_of_complaints_is_not_kept() {
        let flood = "head -c 100000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo last >&2; exit 1";
        let failed =
            tell(flood, Path::new("/"), Vec::new(), Duration::from_secs(60)).await.unwrap();
        assert_eq!(failed, "[notify] command: exit status: 1: last");
    }
}
