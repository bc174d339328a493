//! Hosts' output, one file a host, as it arrives.

use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use deploy_core::{
    backend::{OutputSink, Stream},
    model::Target,
    plan::Stage,
};

use super::{
    StateDir,
    open::{self, Mode},
};

/// The most that is kept of one host's output: a check that floods must not fill the disk.
const MOST: u64 = 64 * 1024 * 1024;

/// Writes each host's output to `runs/<id>/output/<host>`.
#[derive(Debug)]
pub struct OutputDir {
    directory: PathBuf,
    mode: Mode,
    files: Mutex<HashMap<Target, Kept>>,
}

#[derive(Debug)]
struct Kept {
    file: Option<File>,
    left: u64,
    last: Option<(Stage, Stream)>,
    /// Whether the last line is still without its end.
    is_open: bool,
}

impl OutputDir {
    pub(super) fn new(state: &StateDir, directory: PathBuf) -> Self {
        Self { directory, mode: state.file_mode(), files: Mutex::default() }
    }
}

impl OutputSink for OutputDir {
    fn write(&self, target: &Target, stage: Stage, stream: Stream, bytes: &[u8]) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = files.entry(target.clone()).or_insert_with(|| Kept {
            file: open::append(&self.directory.join(file_name(target)), self.mode).ok(),
            left: MOST,
            last: None,
            is_open: false,
        });
        kept.write(stage, stream, bytes);
    }
}

impl Kept {
    /// Adds `bytes`, with a heading where stage or stream change. Output is for people: where it
    /// cannot be kept, the run goes on.
    fn write(&mut self, stage: Stage, stream: Stream, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if self.left == 0 {
            return;
        }
        let mut text = Vec::with_capacity(bytes.len() + 32);
        if self.last != Some((stage, stream)) {
            // What restarts a service says all on standard error, for its answer takes the other.
            let is_told = stream == Stream::Stderr && stage != Stage::Restart;
            let stream = if is_told { " (stderr)" } else { "" };
            let end = if self.is_open { "\n" } else { "" };
            text.extend_from_slice(format!("{end}--- {stage}{stream}\n").as_bytes());
        }
        self.last = Some((stage, stream));
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_open = bytes.last().map_or(self.is_open, |last| *last != b'\n');
        self.left = self.left.saturating_sub(bytes.len() as u64);
        if self.left == 0 {
            text.extend_from_slice(b"\n--- the rest is not kept\n");
        }
        if file.write_all(&text).is_err() {
            self.file = None;
        }
    }
}

/// A target's name as a file name: `/` and `%` are written as `%2F` and `%25`.
pub(super) fn file_name(target: &Target) -> String {
    let name = target.as_str().replace('%', "%25").replace('/', "%2F");
    if name.starts_with('.') { name.replacen('.', "%2E", 1) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_begins_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h1");
        let file = open::append(&path, Mode::Own).ok();
        let mut kept = Kept { file, left: MOST, last: None, is_open: false };
        for (stage, bytes) in
            [(Stage::Fetch, &b"no end"[..]), (Stage::Restart, b"an end\n"), (Stage::Check, b"x")]
        {
            kept.write(stage, Stream::Stdout, bytes);
        }
        kept.write(Stage::Check, Stream::Stderr, b"\n");
        kept.write(Stage::Restart, Stream::Stderr, b"y");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            text,
            "--- fetch\nno end\n--- restart\nan end\n--- check\nx\n--- check (stderr)\n\n--- restart\ny"
        );
    }

    #[test]
    fn a_target_is_one_plain_file_name() {
        let name = |target: &str| file_name(&Target::new(target).unwrap());
        assert_eq!(name("h1.example.org"), "h1.example.org");
        assert_eq!(name("cluster/namespace/app"), "cluster%2Fnamespace%2Fapp");
        assert_eq!(name("me@[2001:db8::1]:22"), "me@[2001:db8::1]:22");
        assert_eq!(name(".hidden"), "%2Ehidden");
    }
}
