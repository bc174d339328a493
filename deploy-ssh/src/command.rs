//! A command that the deployer runs on hosts, and what each host said to it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use deploy_core::{
    backend::{BackendError, OutputSink, Scope, Situation, Step, Stream},
    model::Target,
    plan::Stage,
};
use sha2::{Digest, Sha256};

use crate::session::{Output, Script, Sessions, quote};

/// How much of each output of one host is kept in memory, at each end.
const KEPT: usize = 16 * 1024;

/// Runs several words with the words as they are.
const EXACT: &str = r#"exec "$@""#;

/// Runs a command on hosts as the deployer typed it, once on each, and keeps what they said.
///
/// One word is a line for `sh`, as with `ssh HOST 'a | b'`; of several the first is the program,
/// and the others are its arguments, byte for byte and without a shell between. It runs as the
/// login user in their home directory, with nothing to read. It is killed with its process group at
/// its deadline, when it is told to stop, and when the connection is cut.
#[derive(Debug)]
pub struct RemoteCommand {
    sessions: Sessions,
    words: Vec<String>,
    said: Mutex<BTreeMap<Target, Said>>,
}

/// What a host said to a command that ended there.
#[derive(Debug, Clone)]
pub struct Said {
    /// How it ended, and both ends of what it wrote.
    pub output: Output,
    digest: [u8; 32],
}

impl Said {
    /// Whether the command ended alike and wrote the same, also where that was not kept.
    pub fn is_same(&self, other: &Self) -> bool {
        self.output.status == other.output.status && self.digest == other.digest
    }
}

/// A command without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no command to run")]
pub struct NoCommandError;

impl RemoteCommand {
    /// Runs `words`.
    ///
    /// # Errors
    /// When there is none, or the first is empty.
    pub fn new(sessions: Sessions, words: Vec<String>) -> Result<Self, NoCommandError> {
        match words.first() {
            Some(first) if !first.trim().is_empty() => {
                Ok(Self { sessions, words, said: Mutex::default() })
            }
            _ => Err(NoCommandError),
        }
    }

    /// The command as one would type it.
    pub fn line(&self) -> String {
        match &self.words[..] {
            [line] => line.clone(),
            words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
        }
    }

    /// What `target` said; `None` where the command did not come to its end. It is not kept any
    /// longer.
    pub fn take(&self, target: &Target) -> Option<Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).remove(target)
    }

    fn script(&self) -> Script {
        let script = match &self.words[..] {
            [line] => Script::new(line.clone()),
            words => Script::new(EXACT).args(words),
        };
        script.keep(KEPT, KEPT).purpose_is("run the command")
    }
}

#[async_trait]
impl Step for RemoteCommand {
    fn describe(&self) -> String {
        format!("run {}", self.line())
    }

    async fn run(&self, target: &Target, _: &Situation, scope: &Scope) -> Result<(), BackendError> {
        let digests = Arc::new(Digests::new(Arc::clone(&scope.output)));
        let scope = Scope { output: Arc::clone(&digests) as Arc<_>, ..scope.clone() };
        let output = self.sessions.run(target, &self.script(), &scope).await?;
        let said = Said { output: output.clone(), digest: digests.sum() };
        self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), said);
        output.require_success(format!("run the command on {target}")).map(drop)
    }
}

/// Digests all output on its way to the sink of the call.
struct Digests {
    inner: Arc<dyn OutputSink>,
    streams: Mutex<(Sha256, Sha256)>,
}

impl Digests {
    fn new(inner: Arc<dyn OutputSink>) -> Self {
        Self { inner, streams: Mutex::default() }
    }

    /// One digest of both streams.
    fn sum(&self) -> [u8; 32] {
        let (out, err) = self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Sha256::new().chain_update(out.finalize()).chain_update(err.finalize()).finalize().into()
    }
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digests").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl OutputSink for Digests {
    fn write(&self, target: &Target, stage: Stage, stream: Stream, bytes: &[u8]) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        match stream {
            Stream::Stdout => streams.0.update(bytes),
            Stream::Stderr => streams.1.update(bytes),
        }
        drop(streams);
        self.inner.write(target, stage, stream, bytes);
    }
}
