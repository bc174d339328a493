//! The journal: the events of a run as JSON Lines.

use std::{
    fs::File,
    io::{self, BufRead, Read, Write},
};

use super::{Event, EventKind, ObserveError, Observer};

/// The newest format of the journal that this tool reads. It is raised when an older reader would
/// misread a newer journal; new kinds of events and new fields do not raise it.
///
/// 1: deploys and rollbacks. 2: runs that operate services, and runs of a command.
/// 3: runs that take over what another tool deployed.
pub const FORMAT: u32 = 3;

/// The longest line that a reader takes: the plan of a very large fleet fits; a hostile file of one
/// endless line does not fill the memory.
const LONGEST_LINE: u64 = 64 << 20;

/// Writes the events of a run into a file, one JSON object a line.
///
/// Events are written when the engine has told all that came together. They are synced
/// (`fdatasync`) before a step begins whose intent is among them; so the intent of a step is on
/// disk before the step begins. With hundreds of hosts at work, the steps that wait for one sync
/// share the next, and the disk never throttles the run. What ends is on disk with the next intent,
/// and at the end of the run; until then only a crash of the whole machine can lose it. Events that
/// begin or end nothing are written without a sync.
#[derive(Debug)]
pub struct Journal {
    file: File,
    pending: Vec<u8>,
    boundary: bool,
}

impl Journal {
    /// A journal that appends to `file`, which the caller has created.
    pub fn new(file: File) -> Self {
        Self { file, pending: Vec::new(), boundary: false }
    }

    fn write(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.file.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    fn make_durable(&mut self) -> io::Result<()> {
        self.write()?;
        if std::mem::take(&mut self.boundary) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

impl Observer for Journal {
    fn observe(&mut self, event: &Event) -> Result<(), ObserveError> {
        serde_json::to_writer(&mut self.pending, event).map_err(|e| ObserveError(e.into()))?;
        self.pending.push(b'\n');
        self.boundary |=
            !matches!(event.kind, EventKind::Retried { .. } | EventKind::Warning { .. });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ObserveError> {
        self.write().map_err(|e| ObserveError(e.into()))
    }

    fn sync(&mut self) -> Result<(), ObserveError> {
        self.make_durable().map_err(|e| ObserveError(e.into()))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever needs to know calls `sync`; this is for a run that was abandoned.
        let _ = self.make_durable();
    }
}

/// Why a journal could not be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file could not be read.
    #[error("read the journal")]
    Io(#[source] io::Error),
    /// It was written by a newer tool, in a format that this one would misread.
    #[error("the journal has format {found}, and this tool reads up to {FORMAT}")]
    Newer {
        /// The format that it has.
        found: u32,
    },
    /// A line is longer than any event.
    #[error("line {line} of the journal is too long")]
    TooLong {
        /// Its number, from 1.
        line: u64,
    },
    /// A line in the middle is not an event.
    #[error("line {line} of the journal is damaged")]
    Damaged {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads the events of a journal, in order. The input may be another user's, and is not trusted.
///
/// A last line without its end is what a crash leaves: it is not an error, but
/// [`torn`](JournalReader::torn). Kinds of events that this tool does not know, and fields that it
/// does not know, are [skipped](JournalReader::skipped). The iterator ends for good after its first
/// error. At the end of the file it returns `None`, and may be asked again: so a journal that is
/// still being written is followed.
pub fn read_journal<R: BufRead>(input: R) -> JournalReader<R> {
    JournalReader { input, line: 0, partial: Vec::new(), skipped: Vec::new(), done: false }
}

/// The iterator of [`read_journal`].
#[derive(Debug)]
pub struct JournalReader<R> {
    input: R,
    line: u64,
    /// What is there of a line whose end is not.
    partial: Vec<u8>,
    skipped: Vec<u64>,
    done: bool,
}

impl<R: BufRead> JournalReader<R> {
    /// The numbers of the lines that were skipped so far, since a newer tool wrote them.
    pub fn skipped(&self) -> &[u64] {
        &self.skipped
    }

    /// Whether the last line that was read is cut short: by a crash, or since it is being written.
    pub fn torn(&self) -> bool {
        !self.partial.is_empty()
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        let room = LONGEST_LINE - self.partial.len() as u64;
        let mut bounded = (&mut self.input).take(room);
        bounded.read_until(b'\n', &mut self.partial).map_err(JournalError::Io)?;
        if self.partial.last() == Some(&b'\n') {
            self.line += 1;
            return Ok(Some(std::mem::take(&mut self.partial)));
        }
        if self.partial.len() as u64 == LONGEST_LINE {
            return Err(JournalError::TooLong { line: self.line + 1 });
        }
        Ok(None)
    }

    fn parse(&mut self, line: &[u8]) -> Result<Option<Event>, JournalError> {
        match serde_json::from_slice::<Event>(line) {
            Ok(event) => match &event.kind {
                EventKind::RunStarted { info } if info.format > FORMAT => {
                    Err(JournalError::Newer { found: info.format })
                }
                _ => Ok(Some(event)),
            },
            Err(source) => match Probe::of(line) {
                Some(Probe { info: Some(info), .. }) if info.format > FORMAT => {
                    Err(JournalError::Newer { found: info.format })
                }
                Some(Probe { event: Some(kind), .. }) if !is_known(&kind) => {
                    self.skipped.push(self.line);
                    Ok(None)
                }
                _ => Err(JournalError::Damaged { line: self.line, source }),
            },
        }
    }
}

impl<R: BufRead> Iterator for JournalReader<R> {
    type Item = Result<Event, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            let line = match self.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            };
            match self.parse(&line) {
                Ok(Some(event)) => return Some(Ok(event)),
                Ok(None) => {}
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// What can be read of a line that is no event to us.
#[derive(serde::Deserialize)]
struct Probe {
    event: Option<String>,
    info: Option<ProbeInfo>,
}

#[derive(serde::Deserialize)]
struct ProbeInfo {
    format: u32,
}

impl Probe {
    fn of(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Whether a kind of event is one of ours: then a line that does not parse is damaged, not newer.
fn is_known(kind: &str) -> bool {
    const KNOWN: [&str; 20] = [
        "run-started",
        "planned",
        "group-started",
        "group-finished",
        "batch-started",
        "batch-finished",
        "stage-started",
        "stage-finished",
        "retried",
        "soak-started",
        "soak-finished",
        "question-started",
        "question-finished",
        "stop-requested",
        "breached",
        "rollback-started",
        "rollback-finished",
        "target-finished",
        "warning",
        "run-finished",
    ];
    KNOWN.contains(&kind)
}
