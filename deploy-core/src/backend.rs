//! The questions a rollout asks the outside world, as small object-safe traits.
//!
//! A backend never decides: it answers. Retry, deadlines and cancellation are the engine's
//! ([`crate::run`]); a backend only promises what may be repeated and what may be dropped.

mod ask;
mod cancel;
mod check;
mod completion;
mod error;
mod examine;
mod lock;
mod operate;
mod output;
mod preview;
mod restart;
mod scope;
mod source;
mod step;
mod transport;

pub use ask::{Answer, Ask, Question, Unattended};
pub use cancel::Cancel;
pub use check::{Checker, Situation, Verdict};
pub use completion::Completion;
pub use error::{BackendError, ErrorKind};
pub use examine::{Examiner, Finding, Grade};
pub use lock::{Acquired, Holder, Lock, LockGuard};
pub use operate::{Operator, ServiceState};
pub use output::{Discard, OutputSink, Stream};
pub use preview::{FileDiff, Preview};
pub use restart::{Instance, Restarter};
pub use scope::Scope;
pub use source::{Changes, Commit, Listed, Relation, VersionSource};
pub use step::Step;
pub use transport::{Claim, Closing, Good, Live, Serving, Standing, Transport};
