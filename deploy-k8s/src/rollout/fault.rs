//! What keeps a workload from running, and does not pass by waiting.

use std::fmt;

/// What keeps a workload from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// An image cannot be pulled.
    Image { pod: String, container: String, reason: String, message: String },
    /// A container ends again and again.
    Crash { pod: String, container: String, restarts: i32, last: String },
    /// A container was ready and has ended since.
    Relapse { pod: String, container: String, crashes: i32, last: String },
    /// A container cannot be made.
    Container { pod: String, container: String, reason: String, message: String },
    /// No node takes a pod.
    Unschedulable { pod: String, message: String },
    /// A quota allows no more pods.
    Quota { message: String },
    /// Pods cannot be made for another reason.
    NoPods { message: String },
    /// The workload's own deadline has passed.
    Deadline { message: String },
}

impl Fault {
    /// The pod, where it is one pod's.
    pub(super) fn pod(&self) -> Option<&str> {
        match self {
            Self::Image { pod, .. }
            | Self::Crash { pod, .. }
            | Self::Relapse { pod, .. }
            | Self::Container { pod, .. }
            | Self::Unschedulable { pod, .. } => Some(pod),
            Self::Quota { .. } | Self::NoPods { .. } | Self::Deadline { .. } => None,
        }
    }

    /// The container whose log tells more.
    pub(super) fn container(&self) -> Option<&str> {
        match self {
            Self::Crash { container, .. } | Self::Relapse { container, .. } => Some(container),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |message: &str| match message.trim() {
            "" => String::new(),
            message => format!(": {message}"),
        };
        let times = |n: i32| if n == 1 { "1 time".to_owned() } else { format!("{n} times") };
        match self {
            Self::Image { reason, message, .. } => {
                write!(f, "the image cannot be pulled ({reason}){}", because(message))
            }
            Self::Crash { container, restarts, last, .. } => {
                write!(f, "{container} has crashed {}{}", times(*restarts), because(last))
            }
            Self::Relapse { container, crashes, last, .. } => {
                let times = times(*crashes);
                write!(f, "{container} was ready and has crashed {times} since{}", because(last))
            }
            Self::Container { container, reason, message, .. } => {
                write!(f, "{container} cannot be started ({reason}){}", because(message))
            }
            Self::Unschedulable { message, .. } => {
                write!(f, "no node takes a pod{}", because(message))
            }
            Self::Quota { message } => {
                write!(f, "the quota allows no more pods{}", because(message))
            }
            Self::NoPods { message } => write!(f, "pods cannot be created{}", because(message)),
            Self::Deadline { message } => {
                write!(f, "it made no progress within its own deadline{}", because(message))
            }
        }
    }
}
