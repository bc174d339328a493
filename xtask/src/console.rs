//! Commands that a person watches.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{FleetError, KubeError, fleet::tool, interrupt::Interrupt};

/// Why a task ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Kube(#[from] KubeError),
    #[error("could not {attempted}")]
    Io { attempted: String, source: io::Error },
    #[error("`{command}` ended with {status}, expected {expected}")]
    Unexpected { command: String, status: String, expected: String },
    #[error("this needs packages that are not installed; install them with\n    {command}")]
    Packages { command: String },
    #[error("could not {attempted}; the last words:\n{said}")]
    Bench { attempted: String, said: String },
    #[error("interrupted")]
    Interrupted,
}

impl TaskError {
    /// For `map_err`; `attempted` completes "could not …".
    pub(crate) fn io(attempted: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let attempted = attempted.into();
        move |source| Self::Io { attempted, source }
    }

    /// The exit code that tells it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Packages { .. }
            | Self::Fleet(FleetError::NeedsRoot | FleetError::Missing { .. })
            | Self::Kube(KubeError::NeedsRoot { .. } | KubeError::Missing { .. }) => 3,
            Self::Interrupted => 130,
            _ => 1,
        }
    }
}

/// Prints a headline.
pub(crate) fn headline(text: &str) {
    println!("\n== {text}");
}

/// Prints the command, then runs it to its end on our own terminal.
pub(crate) fn run(command: &mut Command, interrupt: &Interrupt) -> Result<ExitStatus, TaskError> {
    announce(command);
    run_unannounced(command, interrupt)
}

/// As [`run`], for a command that was announced in fewer words.
pub(crate) fn run_unannounced(
    command: &mut Command,
    interrupt: &Interrupt,
) -> Result<ExitStatus, TaskError> {
    let shown = tool::line(command);
    let child =
        command.stdin(Stdio::null()).spawn().map_err(TaskError::io(format!("run `{shown}`")))?;
    wait(child, interrupt).map_err(TaskError::io(format!("wait for `{shown}`")))?
}

/// As [`run`]; every line of its output is shown, and given to `see`.
pub(crate) fn run_watched(
    command: &mut Command,
    interrupt: &Interrupt,
    see: impl Fn(&str) + Sync,
) -> Result<ExitStatus, TaskError> {
    announce(command);
    let attempted = format!("run `{}`", tool::line(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(TaskError::io(attempted.clone()))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(|| output.map(|from| copy(from, io::stdout(), &see)));
        scope.spawn(|| errors.map(|from| copy(from, io::stderr(), &see)));
        wait(child, interrupt).map_err(TaskError::io(attempted))?
    })
}

/// Takes any other exit code than `expected` for a failure.
pub(crate) fn expect(command: &Command, code: Option<i32>, expected: i32) -> Result<(), TaskError> {
    if code == Some(expected) {
        return Ok(());
    }
    Err(TaskError::Unexpected {
        command: tool::line(command),
        status: code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}")),
        expected: format!("exit code {expected}"),
    })
}

/// Prints `command` as one would type it.
pub(crate) fn announce(command: &Command) {
    println!("$ {}", tool::line(command));
    // Before the command writes, through its own handle.
    let _ = io::stdout().flush();
}

fn copy(from: impl Read, mut to: impl Write, see: &impl Fn(&str)) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        see(&String::from_utf8_lossy(&line));
        // A reader that went away does not end the tests.
        let _ = to.write_all(&line);
        line.clear();
    }
}

/// Waits for `child`; one that was not told of the interruption by the terminal is told by us.
fn wait(mut child: Child, interrupt: &Interrupt) -> io::Result<Result<ExitStatus, TaskError>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if interrupt.is_asked() { Err(TaskError::Interrupted) } else { Ok(status) });
        }
        if interrupt.must_tell_child()
            && let Ok(pid) = child.id().try_into()
        {
            kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        }
        thread::sleep(Duration::from_millis(30));
    }
}
