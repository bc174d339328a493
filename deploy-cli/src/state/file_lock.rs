//! The lock of one state directory: a file that is held open.
//!
//! The kernel frees it when its process ends, however that ends; what the file says is for people.
//! A lock taken by hand is a record without a process: it holds until its end or `unlock`. It
//! excludes runs of the same state directory only; runs from elsewhere meet at the claims on the
//! targets.

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::PathBuf,
};

use async_trait::async_trait;
use deploy_core::backend::{Acquired, BackendError, ErrorKind, Holder, Lock, LockGuard};
use jiff::Timestamp;

use super::{StateDir, held, open};

/// The longest record that is read.
const RECORD: u64 = 64 * 1024;

/// The lock of one state directory.
#[derive(Debug, Clone)]
pub struct FileLock {
    state: StateDir,
}

/// What `unlock` found.
#[derive(Debug, PartialEq)]
pub enum Freed {
    /// Nobody held it.
    Nobody,
    /// This was removed: a lock taken by hand, or the record of a dead process.
    Removed(Holder),
    /// A process holds it, and lives: nothing was done.
    Alive(Holder),
}

impl FileLock {
    pub(super) fn new(state: StateDir) -> Self {
        Self { state }
    }

    fn path(&self) -> PathBuf {
        self.state.path().join("lock")
    }

    /// Leaves a lock that outlives this process.
    ///
    /// # Errors
    /// A held lock is the answer `Some`; an error means that it could not be written.
    pub fn leave(&self, holder: &Holder) -> Result<Option<Holder>, BackendError> {
        match self.take(holder).map_err(|error| self.error("lock", error))? {
            Taken::Ours(file) => {
                held::let_go(&file).map_err(|error| self.error("lock", error))?;
                Ok(None)
            }
            Taken::Held(other) => Ok(Some(other)),
        }
    }

    /// Removes a lock taken by hand, and the record of a dead process.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn free(&self) -> Result<Freed, BackendError> {
        self.try_free().map_err(|error| self.error("unlock", error))
    }

    fn try_free(&self) -> io::Result<Freed> {
        let file = match open::read_write(&self.path(), self.state.file_mode()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Freed::Nobody),
            file => file?,
        };
        if !held::try_hold(&file)? {
            return Ok(Freed::Alive(record_or_unknown(&file)?));
        }
        let found = record(&file)?;
        file.set_len(0)?;
        held::let_go(&file)?;
        Ok(found.map_or(Freed::Nobody, Freed::Removed))
    }

    fn take(&self, holder: &Holder) -> io::Result<Taken> {
        let mut file = open::read_write(&self.path(), self.state.file_mode())?;
        if !held::try_hold(&file)? {
            return Ok(Taken::Held(record_or_unknown(&file)?));
        }
        if let Some(other) = record(&file)?.filter(stands_alone) {
            held::let_go(&file)?;
            return Ok(Taken::Held(other));
        }
        file.set_len(0)?;
        file.rewind()?;
        serde_json::to_writer(&mut file, holder)?;
        file.write_all(b"\n")?;
        Ok(Taken::Ours(file))
    }

    /// Who holds it now, if anybody. Changes nothing.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn look(&self) -> Result<Option<Holder>, BackendError> {
        self.try_look().map_err(|error| self.error("look at", error))
    }

    fn try_look(&self) -> io::Result<Option<Holder>> {
        let file = match open::read(&self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if held::is_held(&file)? {
            return record_or_unknown(&file).map(Some);
        }
        Ok(record(&file)?.filter(stands_alone))
    }

    fn error(&self, what: &str, error: io::Error) -> BackendError {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Broken,
        };
        let error_of = BackendError::new(kind, format!("{what} {}", self.path().display()));
        let error_of = error_of.with_source(error);
        match kind {
            ErrorKind::Denied => error_of.with_hint(
                "another user's runs live there: let them share it (`git config \
                 core.sharedRepository group`, and `chmod -R g+rwX` on what is there already), or \
                 set `state_dir`",
            ),
            _ => error_of,
        }
    }
}

enum Taken {
    Ours(File),
    Held(Holder),
}

#[async_trait]
impl Lock for FileLock {
    async fn acquire(&self, holder: &Holder) -> Result<Acquired, BackendError> {
        match self.take(holder).map_err(|error| self.error("lock", error))? {
            Taken::Ours(file) => Ok(Acquired::Yes(Box::new(Guard { file: Some(file) }))),
            Taken::Held(other) => Ok(Acquired::HeldBy(other)),
        }
    }

    async fn holder(&self) -> Result<Option<Holder>, BackendError> {
        self.look()
    }
}

/// The held lock: as long as the file is open.
#[derive(Debug)]
struct Guard {
    file: Option<File>,
}

#[async_trait]
impl LockGuard for Guard {
    async fn release(mut self: Box<Self>) -> Result<(), BackendError> {
        match self.file.take() {
            // Emptied first, while it is still ours.
            Some(file) => file.set_len(0).and_then(|()| held::let_go(&file)).map_err(|error| {
                BackendError::new(ErrorKind::Broken, "empty the lock").with_source(error)
            }),
            None => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = file.set_len(0);
            let _ = held::let_go(file);
        }
    }
}

/// Whether a record holds without a process behind it: taken by hand, and not yet over.
fn stands_alone(holder: &Holder) -> bool {
    holder.run.is_none() && holder.until.is_none_or(|until| until > Timestamp::now())
}

/// What the file says; others may have written it, so nothing in it is relied upon.
fn record(mut file: &File) -> io::Result<Option<Holder>> {
    file.rewind()?;
    let bytes = open::bounded(file, RECORD)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

fn record_or_unknown(file: &File) -> io::Result<Holder> {
    Ok(record(file)?.unwrap_or_else(|| Holder {
        who: "somebody".into(),
        host: crate::who::host(),
        pid: 0,
        why: None,
        since: Timestamp::now(),
        run: None,
        until: None,
    }))
}

#[cfg(test)]
mod tests {
    use deploy_core::{model::App, record::RunId};

    use super::*;
    use crate::repo::Repo;

    fn lock(directory: &std::path::Path) -> FileLock {
        let repo =
            Repo { top: directory.into(), common_dir: directory.join(".git"), shared: false };
        let state = StateDir::new(None, &repo, &App::new("app").unwrap(), None);
        state.make().unwrap();
        state.lock()
    }

    fn holder(run: Option<&str>) -> Holder {
        Holder {
            who: "ann".into(),
            host: "here".into(),
            pid: 1,
            why: Some("why".into()),
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            run: run.map(|run| RunId::new(run).unwrap()),
            until: None,
        }
    }

    #[tokio::test]
    async fn one_run_at_a_time_and_a_freed_lock_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let lock = lock(directory.path());
        let Acquired::Yes(guard) = lock.acquire(&holder(Some("r1"))).await.unwrap() else {
            panic!("held")
        };
        let Acquired::HeldBy(other) = lock.acquire(&holder(Some("r2"))).await.unwrap() else {
            panic!("twice")
        };
        assert_eq!(other.run.unwrap().as_str(), "r1");
        assert_eq!(lock.holder().await.unwrap().unwrap().who, "ann");
        assert!(matches!(lock.free().unwrap(), Freed::Alive(_)));
        guard.release().await.unwrap();
        assert_eq!(lock.holder().await.unwrap(), None);
        assert!(matches!(lock.acquire(&holder(Some("r2"))).await.unwrap(), Acquired::Yes(_)));
    }

    #[tokio::test]
    async fn the_record_of_a_dead_process_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let lock = lock(directory.path());
        std::fs::write(lock.path(), serde_json::to_vec(&holder(Some("dead"))).unwrap()).unwrap();
        assert_eq!(lock.holder().await.unwrap(), None);
        assert!(matches!(lock.acquire(&holder(Some("r2"))).await.unwrap(), Acquired::Yes(_)));
    }

    #[tokio::test]
    async fn a_lock_by_hand_outlives_its_process_until_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let lock = lock(directory.path());
        assert_eq!(lock.leave(&holder(None)).unwrap(), None);
        assert!(matches!(lock.acquire(&holder(Some("r"))).await.unwrap(), Acquired::HeldBy(_)));
        assert!(matches!(lock.free().unwrap(), Freed::Removed(_)));
        assert_eq!(lock.free().unwrap(), Freed::Nobody);
        let over = Holder { until: Some("2026-01-02T00:00:00Z".parse().unwrap()), ..holder(None) };
        assert_eq!(lock.leave(&over).unwrap(), None);
        assert_eq!(lock.holder().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_shared_repository_keeps_is_open_to_its_group() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let common_dir = directory.path().join("git");
        let repo = Repo { top: directory.path().into(), common_dir, shared: true };
        let state = StateDir::new(None, &repo, &App::new("app").unwrap(), None);
        state.make().unwrap();
        let lock = state.lock();
        assert!(matches!(lock.acquire(&holder(Some("r"))).await.unwrap(), Acquired::Yes(_)));
        let mode = std::fs::metadata(lock.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "whatever the umask");
    }

    #[test]
    fn a_holder_can_be_shown() {
        let bad = Holder { who: "a\u{1b}[2J\nb".into(), host: "h\u{202e}".into(), ..holder(None) };
        let shown = super::super::describe_holder(&bad);
        assert!(!shown.contains(['\u{1b}', '\n', '\u{202e}']), "{shown:?}");
    }

    #[tokio::test]
    async fn a_symlink_in_its_place_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let lock = lock(directory.path());
        let victim = directory.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, lock.path()).unwrap();
        assert!(lock.acquire(&holder(Some("r"))).await.is_err());
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
    }
}
