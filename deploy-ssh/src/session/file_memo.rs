//! What was made of files, for as long as they stay as they are.

use std::{
    collections::HashMap,
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// How old a file must be for a change to show: two changes within one tick of the clock of a file
/// system look the same.
const SETTLED: Duration = Duration::from_secs(2);

/// Values that are made of files, each once for all who ask, and anew when a file has changed.
pub(crate) struct FileMemo<T>(Mutex<HashMap<Vec<PathBuf>, Made<T>>>);

struct Made<T> {
    of: Vec<Option<Stamp>>,
    value: Arc<T>,
}

impl<T> Default for FileMemo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> fmt::Debug for FileMemo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileMemo")
    }
}

impl<T> FileMemo<T> {
    /// What `make` makes of `files`: what it made before, if they are the same still. Files that
    /// are missing count as well. Whoever asks meanwhile waits for the one who makes it.
    pub(crate) fn get(&self, files: &[PathBuf], make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps: Vec<Option<Stamp>> = files.iter().map(|file| Stamp::of(file)).collect();
        if let Some(made) = all.get(files)
            && made.of == stamps
        {
            return made.value.clone();
        }
        let value = Arc::new(make());
        if stamps.iter().flatten().all(Stamp::is_settled) {
            all.insert(files.to_vec(), Made { of: stamps, value: value.clone() });
        }
        value
    }
}

/// What changes with the content of a file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let meta = fs::metadata(file).ok()?;
        Some(Self {
            place: (meta.dev(), meta.ino()),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let settled = i64::try_from(now.saturating_sub(SETTLED).as_secs()).unwrap_or(i64::MAX);
        self.modified.0 < settled && self.changed.0 < settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_has_changed_and_while_it_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let files = [file.clone(), dir.path().join("missing")];
        let memo = FileMemo::default();
        let read = || fs::read_to_string(&file).unwrap();
        fs::write(&file, "one").unwrap();
        assert_eq!(*memo.get(&files, read), "one");
        // At once, and of the same length.
        fs::write(&file, "two").unwrap();
        assert_eq!(*memo.get(&files, read), "two");
    }

    #[test]
    fn a_file_that_stays_is_read_once() {
        let memo = FileMemo::default();
        let files = [PathBuf::from("/etc/passwd"), PathBuf::from("/missing")];
        let first = memo.get(&files, || 1);
        assert!(Arc::ptr_eq(&first, &memo.get(&files, || 2)));
        assert_eq!(*memo.get(&files[..1], || 3), 3);
    }
}
