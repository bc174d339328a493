//! How a failure, and what a host serves, is told in words.

use deploy_core::{
    model::Target,
    plan::Stage,
    record::{End, Failure, Served},
};

use crate::display;

/// The failure on one line, without the name of its target, which stands before it:
/// `check "answers": status 500 instead of 200`.
pub(super) fn told(failure: &Failure, target: &Target) -> String {
    let attempted = without(&failure.attempted, target);
    let cause = without(&failure.cause, target);
    let text = if cause.is_empty() || attempted.contains(&cause) {
        attempted
    } else {
        format!("{attempted}: {cause}")
    };
    display::line(&text).into_owned()
}

/// The failure on one line, beginning with its stage; where the attempt itself begins so, that is
/// enough.
pub(super) fn in_stage(failure: &Failure, target: &Target) -> String {
    let told = told(failure, target);
    let stage = failure.stage.as_str();
    // What is done to a service says by itself what it is.
    let operates = ["start ", "stop ", "reload ", "send SIGHUP "].iter();
    let is_clear = failure.stage == Stage::Restart && operates.clone().any(|w| told.starts_with(w));
    if told.starts_with(stage) || is_clear { told } else { format!("{stage}: {told}") }
}

/// `fetch to h1` → `fetch`: what is left of a phrase without its end or middle that names the
/// target.
fn without(phrase: &str, target: &Target) -> String {
    let mut text = phrase.to_owned();
    for preposition in [" on ", " to ", " of ", " for ", " from ", " at ", " "] {
        let named = format!("{preposition}{target}");
        let Some(at) = text.find(&named) else { continue };
        let after = text[at + named.len()..].chars().next();
        // `h1` is no part of `h10` or `h1.example.org`.
        if after.is_none_or(|c| !c.is_alphanumeric() && !"-_.".contains(c)) {
            text.replace_range(at..at + named.len(), "");
        }
    }
    text
}

/// What was seen, indented, its last lines where that is long.
pub(super) fn evidence(failure: &Failure, most: usize) -> Vec<String> {
    let Some(evidence) = failure.evidence.as_ref().filter(|_| most > 0) else { return Vec::new() };
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
        Served::NeverAsked => "not known: it was not asked".to_owned(),
    }
}

/// How a target ended, in one word or few.
pub(super) fn end(end: &End) -> String {
    match end {
        End::Failed { failure, .. } => format!("failed in {}", failure.stage),
        other => end_word(other).to_owned(),
    }
}

/// How a target ended, in one word or two.
pub(super) fn end_word(end: &End) -> &'static str {
    match end {
        End::Deployed => "deployed",
        End::Unchanged => "unchanged",
        End::Done => "done",
        End::Reverted { .. } => "went back",
        End::Failed { .. } => "failed",
        End::Unreachable { .. } => "unreachable",
        End::Unknown { .. } => "unknown",
        End::NotAttempted => "not attempted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_loses_the_name_of_its_target_only() {
        let without = |phrase: &str| without(phrase, &Target::new("h1").unwrap());
        assert_eq!(without("restart mockbase on h1"), "restart mockbase");
        assert_eq!(without("connect to h1"), "connect");
        assert_eq!(without("render v1 for h1"), "render v1");
        assert_eq!(without("probe h1: again"), "probe: again");
        assert_eq!(without("copy to h10"), "copy to h10");
        assert_eq!(without("connect to h1.example.org"), "connect to h1.example.org");
    }
}
