//! How a failure, and what a host serves, is told in words.

use deploy_core::record::{End, Failure, Served};

use crate::display;

/// The failure on one line: `check "answers": status 500 instead of 200`.
pub(super) fn told(failure: &Failure) -> String {
    let text = if failure.cause.is_empty() || failure.attempted.contains(&failure.cause) {
        failure.attempted.clone()
    } else {
        format!("{}: {}", failure.attempted, failure.cause)
    };
    display::line(&text).into_owned()
}

/// What was seen, indented, its last lines where that is long.
pub(super) fn evidence(failure: &Failure, most: usize) -> Vec<String> {
    let Some(evidence) = &failure.evidence else { return Vec::new() };
    let lines: Vec<&str> = evidence.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(most);
    let mut shown = Vec::new();
    if skipped > 0 {
        shown.push(format!("    | … {skipped} lines before"));
    }
    shown.extend(lines[skipped..].iter().map(|line| format!("    | {}", display::line(line))));
    shown
}

/// What a host serves, in words.
pub(super) fn served(served: &Served) -> String {
    match served {
        Served::Nothing => "nothing".to_owned(),
        Served::Release { release } => display::line(&release.to_string()).into_owned(),
        Served::NeverAsked => "unknown, it was never asked".to_owned(),
    }
}

/// How a target ended, in one word or few.
pub(super) fn end(end: &End) -> String {
    match end {
        End::Deployed => "deployed".to_owned(),
        End::Unchanged => "unchanged".to_owned(),
        End::Reverted { .. } => "went back".to_owned(),
        End::Failed { failure, .. } => format!("failed in {}", failure.stage),
        End::Unreachable { .. } => "unreachable".to_owned(),
        End::Unknown { .. } => "unknown".to_owned(),
        End::NotAttempted => "not attempted".to_owned(),
    }
}
