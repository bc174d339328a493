//! What a step wrote, bounded in memory.

use std::collections::VecDeque;

use deploy_core::backend::{BackendError, ErrorKind};

/// How much of each output of a step is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Bytes kept from the beginning.
    pub head: usize,
    /// Bytes kept from the end.
    pub tail: usize,
}

impl Default for Keep {
    /// 64 kB of each end.
    fn default() -> Self {
        Self { head: 64 * 1024, tail: 64 * 1024 }
    }
}

/// One output of a step: its beginning and its end, and how much there was in all.
///
/// The bytes are the target's own: to be escaped before they reach a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    keep: Keep,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Captured {
    /// Nothing yet.
    pub(crate) fn new(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Takes what was written next.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.keep.head.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(self.keep.tail)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.keep.tail);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// How many bytes were written in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether something between beginning and end was not kept.
    pub fn is_truncated(&self) -> bool {
        self.total > (self.head.len() + self.tail.len()) as u64
    }

    /// The bytes that were kept. Of truncated output, the end follows the beginning without a
    /// mark: check [`is_truncated`](Self::is_truncated) before making sense of them.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        bytes.extend(&self.tail);
        bytes
    }

    /// What was kept as text, with a line that says how much was left out.
    pub fn text(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let tail = String::from_utf8_lossy(&tail);
        if self.is_truncated() {
            let left_out = self.total - (self.head.len() + self.tail.len()) as u64;
            format!("{head}\n[… {left_out} bytes left out …]\n{tail}")
        } else if self.tail.is_empty() {
            head.into_owned()
        } else {
            String::from_utf8_lossy(&self.bytes()).into_owned()
        }
    }

    /// The last `lines` lines as text, for an error.
    pub fn last_lines(&self, lines: usize) -> String {
        let text = self.text();
        let text = text.trim_end();
        let start =
            text.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(i, _)| i + 1);
        text[start..].to_owned()
    }
}

/// How a step ended and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; 128 and the signal's number where a signal killed it.
    pub status: i32,
    /// What it wrote to standard output.
    pub stdout: Captured,
    /// What it wrote to standard error.
    pub stderr: Captured,
    /// Whether something that the step left running still holds its output open. What that writes
    /// later is not seen.
    pub detached: bool,
}

impl Output {
    /// Whether the exit status is 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// What a person would look at: the last lines of both outputs.
    pub fn evidence(&self) -> String {
        evidence(&self.stdout, &self.stderr)
    }

    /// The output, if the exit status is 0.
    ///
    /// # Errors
    /// `Rejected`, with `attempted` and the last lines of output, for every other exit status.
    pub fn require_success(self, attempted: impl Into<String>) -> Result<Self, BackendError> {
        if self.success() {
            return Ok(self);
        }
        let last = self.stderr.last_lines(1);
        let cause = match (self.status, last.trim()) {
            (137, _) => "killed (exit status 137)".to_owned(),
            (status, "") => format!("exit status {status}"),
            (status, last) => format!("exit status {status}: {last}"),
        };
        Err(BackendError::new(ErrorKind::Rejected, attempted)
            .with_source(cause)
            .with_evidence(self.evidence()))
    }
}

/// The last lines of both outputs, those of standard error last.
pub(crate) fn evidence(stdout: &Captured, stderr: &Captured) -> String {
    let parts = [stdout.last_lines(20), stderr.last_lines(20)];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_lines_are_the_last_lines() {
        let mut captured = Captured::new(Keep::default());
        captured.push(b"one\ntwo\nthree\n");
        assert_eq!(captured.last_lines(2), "two\nthree");
        assert_eq!(captured.last_lines(9), "one\ntwo\nthree");
    }

    #[test]
    fn a_failure_tells_its_status_and_last_line() {
        let mut stderr = Captured::new(Keep::default());
        stderr.push(b"usage\nno such unit\n");
        let output = Output { status: 5, stdout: Captured::default(), stderr, detached: false };
        let error = output.require_success("restart").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert_eq!(error.cause(), "exit status 5: no such unit");
    }

    proptest! {
        #[test]
        fn both_ends_are_kept(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
                              head in 0_usize..30, tail in 0_usize..30) {
            let whole: Vec<u8> = pieces.concat();
            let mut captured = Captured::new(Keep { head, tail });
            for piece in &pieces {
                captured.push(piece);
            }
            prop_assert_eq!(captured.total(), whole.len() as u64);
            let kept = captured.bytes();
            let first = whole.len().min(head);
            let last = (whole.len() - first).min(tail);
            prop_assert_eq!(&kept[..first], &whole[..first]);
            prop_assert_eq!(&kept[first..], &whole[whole.len() - last..]);
            prop_assert_eq!(captured.is_truncated(), kept.len() < whole.len());
        }
    }
}
