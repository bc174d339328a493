//! Runs the command that makes an archive, in the files of the version and nothing else.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::time::{Instant, interval, timeout_at};

use crate::told::Told;

/// How much of what it said is evidence.
const EVIDENCE: u64 = 4096;
/// How often what it says is passed on.
const LOOK: Duration = Duration::from_millis(200);

/// One run of the command.
pub(super) struct Build<'a> {
    pub command: &'a str,
    pub timeout: Duration,
    /// The files of the version.
    pub source: &'a Path,
    /// Where the archive is to be written.
    pub archive: &'a Path,
    /// Where what it says is kept.
    pub log: &'a Path,
    pub variables: Vec<(&'static str, String)>,
    pub told: &'a Told,
}

/// Why there is no archive.
pub(super) struct Failed {
    pub why: String,
    pub is_late: bool,
    pub evidence: String,
}

/// A process group that is killed when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Build<'_> {
    /// Runs it to its end. Dropped, it kills the command with all that it started.
    pub(super) async fn run(&self) -> Result<(), Failed> {
        let failed = |why: String| Failed { why, is_late: false, evidence: String::new() };
        let broken = |error: io::Error| failed(format!("the command cannot be run: {error}"));
        // A file, not a pipe: what it starts may live on, and would keep a pipe open.
        let log = File::create(self.log).map_err(broken)?;
        let mut child = tokio::process::Command::new("sh")
            .arg("-c")
            .arg(self.command)
            .current_dir(self.source)
            .env("DEPLOY_ARCHIVE", self.archive)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(broken)?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
        let mut said = Said { log: self.log.to_owned(), passed: 0, told: self.told };
        let end = Instant::now().checked_add(self.timeout);
        let end = end.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        let waiting = async {
            let mut look = interval(LOOK);
            loop {
                tokio::select! {
                    status = child.wait() => return status,
                    _ = look.tick() => said.pass_on(),
                }
            }
        };
        let status = timeout_at(end, waiting).await;
        let evidence = said.evidence();
        let status: ExitStatus = match status {
            Ok(status) => status.map_err(broken)?,
            Err(_) => {
                let why = format!("the command was not done within {:?}", self.timeout);
                return Err(Failed { why, is_late: true, evidence });
            }
        };
        said.pass_on();
        group.0 = None;
        if status.success() {
            return Ok(());
        }
        let why = match status.code() {
            Some(code) => format!("the command failed: exit status {code}"),
            None => "the command was killed by a signal".to_owned(),
        };
        Err(Failed { why, is_late: false, evidence })
    }
}

/// What the command says, on its way to whoever looks on.
struct Said<'a> {
    log: PathBuf,
    passed: u64,
    told: &'a Told,
}

impl Said<'_> {
    /// Passes on the lines that are complete by now.
    fn pass_on(&mut self) {
        use std::os::unix::fs::FileExt;
        let Ok(file) = File::open(&self.log) else { return };
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read) = file.read_at(&mut buffer, self.passed) {
            let whole = buffer[..read].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            // A line without an end is passed on in parts.
            let Some(whole) = whole.or((read == buffer.len()).then_some(read)) else { return };
            for line in String::from_utf8_lossy(&buffer[..whole]).lines() {
                self.told.line(&format!("  | {line}"));
            }
            self.passed += whole as u64;
        }
    }

    fn evidence(&self) -> String {
        use std::os::unix::fs::FileExt;
        let tail = || -> io::Result<Vec<u8>> {
            let file = File::open(&self.log)?;
            let from = file.metadata()?.len().saturating_sub(EVIDENCE);
            let mut buffer = vec![0; 4096];
            let read = file.read_at(&mut buffer, from)?;
            buffer.truncate(read);
            Ok(buffer)
        };
        String::from_utf8_lossy(&tail().unwrap_or_default()).into_owned()
    }
}
