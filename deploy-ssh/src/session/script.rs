//! A step as it is sent to a target: a POSIX sh script with its arguments and its input.

use std::{borrow::Cow, fmt, path::PathBuf, sync::Arc};

use deploy_core::backend::Stream;

use super::captured::Keep;

/// The longest script text, argument or variable: what Linux takes as one argument, less a margin.
const LONGEST: usize = 120 * 1024;

/// A POSIX sh script plus its arguments, environment and input.
///
/// All of it travels as data and is never put together into a command line, so nothing in it needs
/// quoting. Text, arguments and environment can be seen in the target's process list: secrets go by
/// [`stdin`](Self::stdin) only.
///
/// The script runs in a `sh` of its own, as the login user, in the home directory, with `$0`
/// `deploy`. A script whose `set -e` matters says so itself.
#[derive(Debug, Clone)]
pub struct Script {
    text: Cow<'static, str>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Stdin,
    on_stdin_end: OnStdinEnd,
    keep: Keep,
    answers: bool,
    place: Place,
    purpose: Cow<'static, str>,
}

/// What runs a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A `sh` of its own.
    Sh,
    /// A copy of the shell that the wrapper is, which knows our functions.
    Copy,
    /// The same, and nothing that it starts outlives it: its output needs no process to see its
    /// end. When it succeeds it has read all its input.
    QuickCopy,
}

/// What a script reads from its standard input.
#[derive(Clone, Default)]
pub enum Stdin {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// The content of this local file, streamed. It must not change meanwhile.
    File(Arc<PathBuf>),
}

impl fmt::Debug for Stdin {
    /// Shows no content: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What becomes of a running script when the link is cut, or the deployer dies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnStdinEnd {
    /// It is killed, with its whole process group: for questions, checks and fetching.
    #[default]
    Kill,
    /// It runs to its end: for what must not stop half way, such as promote and restart. A script
    /// whose input was cut off is killed all the same.
    RunToEnd,
}

impl Script {
    /// A script without arguments and input, that is killed when the link is cut.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            text: text.into(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Stdin::Empty,
            on_stdin_end: OnStdinEnd::Kill,
            keep: Keep::default(),
            answers: false,
            place: Place::Sh,
            purpose: "run a step".into(),
        }
    }

    /// One of our own functions (see `program.rs`), that starts nothing which outlives it, and has
    /// read all its input when it succeeds.
    pub(crate) fn function(name: &str) -> Self {
        Self { place: Place::QuickCopy, ..Self::new(format!("{name} \"$@\"")) }
    }

    /// One of our own functions that runs what others have written.
    pub(crate) fn around(name: &str) -> Self {
        Self { place: Place::Copy, ..Self::function(name) }
    }

    /// Adds an argument, `$1` first.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<String>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable. Its name is letters, digits and `_`, and does not begin with
    /// a digit or `_w`.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Gives it input.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Says what becomes of it when the link is cut.
    #[must_use]
    pub fn on_stdin_end(mut self, what: OnStdinEnd) -> Self {
        self.on_stdin_end = what;
        self
    }

    /// Says how much of its output is kept. The sink of the call gets all of it in any case, except
    /// for [answers](Self::answers).
    #[must_use]
    pub fn keep(mut self, head: usize, tail: usize) -> Self {
        self.keep = Keep { head, tail };
        self
    }

    /// Says that its standard output is an answer to whoever runs it, and nothing for people: it is
    /// kept, but does not go to the sink of the call.
    #[must_use]
    pub fn answers(mut self) -> Self {
        self.answers = true;
        self
    }

    /// Says what it is for, as errors tell it: `fetch 3f2c1a`. Without this, `run a step`.
    #[must_use]
    pub fn purpose_is(mut self, purpose: impl Into<Cow<'static, str>>) -> Self {
        self.purpose = purpose.into();
        self
    }

    pub(crate) fn purpose(&self) -> &str {
        &self.purpose
    }

    pub(crate) fn input(&self) -> &Stdin {
        &self.stdin
    }

    pub(crate) fn is_for_sink(&self, stream: Stream) -> bool {
        stream == Stream::Stderr || !self.answers
    }

    pub(crate) fn kept(&self) -> Keep {
        self.keep
    }

    /// The step as the wrapper reads it: a line of numbers, then the fields, each as the number of
    /// its lines and the lines. `payload` is the size of the input; `None` is no input.
    pub(crate) fn encode(&self, id: u64, payload: Option<u64>) -> Result<Vec<u8>, Refused> {
        let end = match self.on_stdin_end {
            OnStdinEnd::Kill => "kill",
            OnStdinEnd::RunToEnd => "run",
        };
        let payload = payload.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let (envs, args) = (self.env.len(), self.args.len());
        let place = match self.place {
            Place::Sh => "sh",
            Place::Copy => "copy",
            Place::QuickCopy => "quick",
        };
        let mut step = format!("{id} {end} {payload} {envs} {args} {place}\n").into_bytes();
        push_field(&mut step, "script", &self.text)?;
        for (name, value) in &self.env {
            if !is_env_name(name) {
                return Err(Refused { what: "variable name", problem: "is not allowed" });
            }
            push_field(&mut step, "variable", &format!("{name}={value}"))?;
        }
        for arg in &self.args {
            push_field(&mut step, "argument", arg)?;
        }
        Ok(step)
    }
}

/// Why a script cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {what} {problem}")]
pub(crate) struct Refused {
    what: &'static str,
    problem: &'static str,
}

fn push_field(step: &mut Vec<u8>, what: &'static str, field: &str) -> Result<(), Refused> {
    if field.contains('\0') {
        return Err(Refused { what, problem: "holds a NUL byte" });
    }
    if field.len() > LONGEST {
        return Err(Refused { what, problem: "is longer than 120 kB; long data goes by stdin" });
    }
    let lines = field.matches('\n').count() + 1;
    step.extend_from_slice(format!("{lines}\n{field}\n").as_bytes());
    Ok(())
}

fn is_env_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with("_w")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_numbers_and_counted_lines() {
        let script = Script::new("echo \"$1\"\n").env("A", "b c").arg("x\ny").arg("");
        let step = script.encode(7, Some(3)).unwrap();
        let expected = "7 kill 3 1 2 sh\n2\necho \"$1\"\n\n1\nA=b c\n2\nx\ny\n1\n\n";
        assert_eq!(String::from_utf8(step).unwrap(), expected);
        let run = Script::new("true").on_stdin_end(OnStdinEnd::RunToEnd).encode(1, None).unwrap();
        assert_eq!(run, b"1 run - 0 0 sh\n1\ntrue\n");
    }

    #[test]
    fn what_no_argument_can_hold_is_refused() {
        assert!(Script::new("a\0b").encode(1, None).is_err());
        assert!(Script::new("a").arg("x".repeat(LONGEST + 1)).encode(1, None).is_err());
        for name in ["", "1A", "A-B", "A=B", "_wn", "A\nB"] {
            assert!(Script::new("a").env(name, "v").encode(1, None).is_err(), "{name:?}");
        }
    }

    #[test]
    fn input_is_never_shown() {
        let script = Script::new("cat").stdin(Stdin::Bytes(Arc::from(b"hunter2".as_slice())));
        assert!(!format!("{script:?}").contains("hunter2"));
    }
}
