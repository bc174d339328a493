//! `[notify] command`: gets the start and the end of each run as JSON on its standard input.
//!
//! It never fails a run, and never holds one up for longer than its timeout.

use std::{process::Stdio, time::Duration};

use deploy_core::record::{Event, EventKind, ObserveError, Observer};
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};

/// Tells a command of start and end, one after the other.
#[derive(Debug)]
pub struct Notifier(UnboundedSender<Vec<u8>>);

/// The commands that may still run when the run is over.
#[derive(Debug)]
#[must_use = "what is told last would be cut off"]
pub struct Notifications(JoinHandle<Vec<String>>);

impl Notifier {
    /// Runs `command` by `sh` for each event, for at most `limit`. To be called within a runtime.
    pub fn new(command: String, limit: Duration) -> (Self, Notifications) {
        let (events, mut told) = unbounded_channel();
        let worker = tokio::spawn(async move {
            let mut failures = Vec::new();
            while let Some(event) = told.recv().await {
                failures.extend(tell(&command, event, limit).await);
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
async fn tell(command: &str, mut event: Vec<u8>, limit: Duration) -> Option<String> {
    event.push(b'\n');
    let talk = async {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input has not failed.
            let _ = stdin.write_all(&event).await;
        }
        child.wait_with_output().await
    };
    match timeout(limit, talk).await {
        Ok(Ok(output)) if output.status.success() => None,
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim().lines().last().unwrap_or_default();
            Some(format!("[notify] command: {}: {last}", output.status))
        }
        Ok(Err(error)) => Some(format!("[notify] command: {error}")),
        Err(_) => Some(format!("[notify] command: not done after {}", crate::config::short(limit))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_fails_or_hangs_is_a_line() {
        let failed = tell("echo no >&2; exit 3", Vec::new(), Duration::from_secs(60)).await;
        assert_eq!(failed.unwrap(), "[notify] command: exit status: 3: no");
        let hung = tell("sleep 60", Vec::new(), Duration::from_millis(50)).await.unwrap();
        assert!(hung.contains("not done"), "{hung}");
        assert_eq!(tell("cat >/dev/null", Vec::new(), Duration::from_secs(60)).await, None);
    }
}
