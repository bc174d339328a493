//! What goes wrong, and when.

use crate::backend::ErrorKind;

/// What is done on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deed {
    /// [`Transport::live`](crate::backend::Transport::live).
    Live,
    /// [`Transport::fetch`](crate::backend::Transport::fetch).
    Fetch,
    /// [`Transport::promote`](crate::backend::Transport::promote).
    Promote,
    /// [`Transport::finalize`](crate::backend::Transport::finalize).
    Finalize,
    /// [`Restarter::running`](crate::backend::Restarter::running).
    Running,
    /// [`Restarter::restart`](crate::backend::Restarter::restart).
    Restart,
    /// [`Restarter::stop`](crate::backend::Restarter::stop).
    Stop,
    /// [`Restarter::evidence`](crate::backend::Restarter::evidence).
    Evidence,
    /// [`Checker::check`](crate::backend::Checker::check).
    Check,
    /// [`Operator::state`](crate::backend::Operator::state).
    State,
    /// [`Operator::operate`](crate::backend::Operator::operate).
    Operate,
    /// [`Step::run`](crate::backend::Step::run).
    Step,
}

/// How a deed goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not done, and the answer says so.
    Fail(ErrorKind),
    /// It is not done, and the answer comes at the deadline, or when the call is cancelled.
    Hang,
    /// It is not done, and there is never an answer, whatever the deadline and the cancel say.
    Deaf,
    /// The link breaks before it is done.
    LoseBefore,
    /// It is done, and the link breaks before the answer.
    LoseAfter,
    /// It is not done, and the answer says that it was.
    Lie,
    /// It is not done, and the backend panics.
    Panic,
    /// It is not done, and the target is gone from now on.
    DieBefore,
    /// It is done, and the target is gone from now on.
    DieAfter,
    /// A check: not healthy yet.
    NotYet(String),
    /// A check: not healthy.
    Unhealthy(String),
}

/// Which calls of a deed a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Each.
    Always,
    /// Only this one, from 1.
    Nth(usize),
    /// This one and all later ones, from 1.
    From(usize),
}

impl Turn {
    pub(super) fn strikes(self, number: usize) -> bool {
        match self {
            Self::Always => true,
            Self::Nth(nth) => number == nth,
            Self::From(first) => number >= first,
        }
    }
}
