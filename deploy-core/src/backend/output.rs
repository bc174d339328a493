//! Where the output of remote steps goes while it arrives.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{model::Target, plan::Stage};

/// Which of a command's outputs a piece of text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes the output of remote steps as it arrives.
///
/// # Guarantees
/// The bytes are the target's own and arrive unescaped and in pieces of any size. The sink must not
/// block for long: the session that feeds it waits.
pub trait OutputSink: fmt::Debug + Send + Sync {
    /// Takes `bytes` that `target` wrote in `stage`.
    fn write(&self, target: &Target, stage: Stage, stream: Stream, bytes: &[u8]);
}

/// A sink that keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl OutputSink for Discard {
    fn write(&self, _: &Target, _: Stage, _: Stream, _: &[u8]) {}
}
