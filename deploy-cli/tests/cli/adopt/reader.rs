//! A reader that notices when the live path leads nowhere.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Reads a file through the live path all the time.
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Reader {
    pub fn of(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut reads, mut failures) = (0, Vec::new());
            while !ended.load(Ordering::Relaxed) {
                reads += 1;
                thread::sleep(Duration::from_micros(20));
                match fs::read_to_string(&path) {
                    Ok(text) if !text.is_empty() => {}
                    other => failures.push(format!("{other:?}")),
                }
            }
            (reads, failures)
        });
        Self { stop, thread }
    }

    /// Every single read has found the file.
    #[track_caller]
    pub fn never_failed(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (reads, failures) = self.thread.join().unwrap();
        assert!(reads > 100, "only {reads} reads");
        assert!(failures.is_empty(), "of {reads} reads: {failures:?}");
    }
}
