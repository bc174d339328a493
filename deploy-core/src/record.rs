//! What happened: events, the journal that keeps them, the summary that adds them up.

mod clock;
mod current;
mod event;
mod exit;
mod journal;
mod observer;
mod outcome;
mod run_id;
mod summary;

pub use clock::{Clock, SystemClock};
pub use current::{Current, NoCurrentError};
pub use event::{Command, Event, EventKind, RunInfo, StopCause};
pub use exit::Exit;
pub use journal::{FORMAT, Journal, JournalError, JournalReader, read_journal};
pub use observer::{ObserveError, Observer};
pub use outcome::{End, Failure, Served, StageOutcome};
pub use run_id::RunId;
pub use summary::{Cluster, Counts, Summary, TargetSummary};
