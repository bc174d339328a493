//! Log files: what came since they were noted, whatever became of them.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{FileExt, symlink},
    path::PathBuf,
    time::Duration,
};

use deploy_core::{
    backend::{BackendError, Checker, ErrorKind, Situation, Verdict},
    model::Target,
};
use deploy_ssh::{
    LogCheck, LogSource, LogWish, Pattern,
    session::{Sessions, SshConfig},
};
use tempfile::TempDir;

use super::{
    health::situation,
    sshd::{one_host, scope, scope_of, target},
};

over_both_links!(
    only_what_came_since_counts,
    a_file_is_followed_through_rotation,
    a_file_that_was_truncated_is_read_anew,
    what_was_rotated_away_is_not_taken_for_silence,
    a_link_to_another_file_is_followed,
    a_file_that_is_not_there_is_told,
    binary_and_endless_lines_are_bounded,
    a_log_is_watched_as_long_as_said,
    where_nothing_was_noted_there_is_nothing_to_look_at,
);

/// A log on a "host".
struct Log {
    dir: TempDir,
}

impl Log {
    fn new() -> Self {
        let log = Self { dir: tempfile::Builder::new().prefix("log dir").tempdir().unwrap() };
        log.write("ERROR before\n");
        log
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, text: &str) {
        self.write_to("app.log", text.as_bytes());
    }

    fn write_to(&self, name: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn check(&self, sessions: &Sessions, wish: fn(Pattern) -> LogWish, pattern: &str) -> LogCheck {
        LogCheck {
            sessions: sessions.clone(),
            source: LogSource::file(self.path("app.log").to_str().unwrap()).unwrap(),
            wish: wish(Pattern::new(pattern).unwrap()),
            watch: Duration::ZERO,
        }
    }
}

async fn note(check: &LogCheck, on: &Target) -> Situation {
    let noted = check.note(on, &scope()).await.unwrap();
    assert!(noted.is_some());
    Situation { noted, ..situation() }
}

async fn ask(check: &LogCheck, on: &Target, now: &Situation) -> Verdict {
    check.check(on, now, &scope()).await.unwrap()
}

async fn fails(check: &LogCheck, on: &Target, now: &Situation) -> BackendError {
    check.check(on, now, &scope()).await.unwrap_err()
}

fn lines(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Unhealthy { evidence, .. } => evidence.as_deref().unwrap_or_default(),
        other => panic!("not unhealthy: {other:?}"),
    }
}

async fn only_what_came_since_counts(sessions: &Sessions, on: &Target) {
    let log = Log::new();
    let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
    let ready = log.check(sessions, LogWish::Match, "^ready {version}$");
    let (then, now) = (note(&silent, on).await, note(&ready, on).await);
    assert_eq!(ask(&silent, on, &then).await, Verdict::Healthy);
    let Verdict::NotYet { seen } = ask(&ready, on, &now).await else { panic!("not not yet") };
    assert!(seen.starts_with("no line with ^ready {version}$ in /"), "{seen}");
    log.write("ready v1\nready v2 $(x)\n");
    assert_eq!(ask(&ready, on, &now).await, Verdict::Healthy);
    assert_eq!(ask(&silent, on, &then).await, Verdict::Healthy);
    log.write("an ERROR after\nfine\nERROR again, \x1b[31mred\n");
    let verdict = ask(&silent, on, &then).await;
    assert_eq!(lines(&verdict), "an ERROR after\nERROR again, \x1b[31mred");
    let Verdict::Unhealthy { reason, .. } = verdict else { panic!("not unhealthy") };
    assert!(reason.ends_with("has lines with ERROR since the restart"), "{reason}");
    // A later restart begins anew.
    let later = note(&silent, on).await;
    assert_eq!(ask(&silent, on, &later).await, Verdict::Healthy);
}

async fn a_file_is_followed_through_rotation(sessions: &Sessions, on: &Target) {
    for (rotations, found) in [(1, "old, new"), (2, "old, between, new"), (0, "old, new")] {
        let log = Log::new();
        log.write_to("app.log.1", b"ERROR of yesterday\n");
        log.write_to("app.log.2.gz", b"ERROR, compressed\n");
        let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
        let then = note(&silent, on).await;
        log.write("ERROR old\n");
        if rotations > 0 {
            log.rename("app.log.1", "app.log.2");
            log.rename("app.log", "app.log.1");
        }
        if rotations > 1 {
            log.rename("app.log.2", "app.log.3");
            log.rename("app.log.1", "app.log.2");
            // What is told apart by time is told apart by what a file system keeps of it.
            std::thread::sleep(Duration::from_millis(20));
            log.write("ERROR between\n");
            log.rename("app.log", "app.log.1");
        }
        log.write("ERROR new\n");
        let verdict = ask(&silent, on, &then).await;
        let shown = lines(&verdict).replace("ERROR ", "").replace('\n', ", ");
        assert_eq!(shown, found, "{rotations}");
    }
}

async fn a_file_that_was_truncated_is_read_anew(sessions: &Sessions, on: &Target) {
    // Copied away first, as logrotate's copytruncate does it; and written to at once, longer than
    // before.
    let log = Log::new();
    let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
    let then = note(&silent, on).await;
    log.write("ERROR copied\n");
    fs::copy(log.path("app.log"), log.path("app.log.1")).unwrap();
    fs::write(log.path("app.log"), "").unwrap();
    assert_eq!(lines(&ask(&silent, on, &then).await), "ERROR copied");
    log.write("fine\nERROR truncated\n");
    assert_eq!(lines(&ask(&silent, on, &then).await), "ERROR copied\nERROR truncated");

    // By a service that begins its log anew.
    let log = Log::new();
    let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
    let then = note(&silent, on).await;
    fs::write(log.path("app.log"), "fine\n").unwrap();
    assert_eq!(ask(&silent, on, &then).await, Verdict::Healthy);
    log.write("ERROR anew, and much longer than before\n");
    assert!(lines(&ask(&silent, on, &then).await).starts_with("ERROR anew"));

    // Under a writer that goes on where it was: a hole of NULs.
    let log = Log::new();
    let then = note(&silent, on).await;
    let file = fs::File::create(log.path("app.log")).unwrap();
    file.write_at(b"\nfine\nERROR in a hole\n", 30 << 20).unwrap();
    let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
    assert_eq!(lines(&ask(&silent, on, &then).await), "ERROR in a hole");
}

async fn what_was_rotated_away_is_not_taken_for_silence(sessions: &Sessions, on: &Target) {
    let log = Log::new();
    let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
    let ready = log.check(sessions, LogWish::Match, "ready");
    let then = note(&silent, on).await;
    log.write("ERROR old\n");
    log.rename("app.log", "app.log.1.gz");
    log.write("ready\n");
    let error = fails(&silent, on, &then).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.cause().contains("rotated away"), "{}", error.cause());
    assert!(error.hint().unwrap().contains("delaycompress"));
    assert_eq!(ask(&ready, on, &then).await, Verdict::Healthy);
    log.write("ERROR new\n");
    assert_eq!(lines(&ask(&silent, on, &then).await), "ERROR new");
}

async fn a_link_to_another_file_is_followed(sessions: &Sessions, on: &Target) {
    let log = Log::new();
    log.rename("app.log", "2015-06-10");
    symlink("2015-06-10", log.path("app.log")).unwrap();
    let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
    let then = note(&silent, on).await;
    log.write_to("2015-06-10", b"ERROR old\n");
    fs::remove_file(log.path("app.log")).unwrap();
    symlink("2015-06-11", log.path("app.log")).unwrap();
    log.write_to("2015-06-11", b"ERROR new\n");
    assert_eq!(lines(&ask(&silent, on, &then).await), "ERROR old\nERROR new");
}

async fn a_file_that_is_not_there_is_told(sessions: &Sessions, on: &Target) {
    let log = Log::new();
    fs::remove_file(log.path("app.log")).unwrap();
    let silent = log.check(sessions, LogWish::NoMatch, "ERROR");
    let then = note(&silent, on).await;
    // Neither before nor after: more likely a slip than silence.
    let error = fails(&silent, on, &then).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.cause().starts_with("there is no file /"), "{}", error.cause());
    log.write("ERROR at last\n");
    assert_eq!(lines(&ask(&silent, on, &then).await), "ERROR at last");
    fs::remove_file(log.path("app.log")).unwrap();
    fs::create_dir(log.path("app.log")).unwrap();
    let error = silent.note(on, &scope()).await.unwrap_err();
    assert!(error.cause().contains("is not a plain file"), "{}", error.cause());
    let gone = LogCheck { source: LogSource::file("/no/such/dir/app.log").unwrap(), ..silent };
    let error = gone.note(on, &scope()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

async fn binary_and_endless_lines_are_bounded(sessions: &Sessions, on: &Target) {
    let log = Log::new();
    let silent = log.check(sessions, LogWish::NoMatch, "ERR");
    let then = note(&silent, on).await;
    let endless = [b"\xff\xfe ERR ".as_slice(), &[b'x'; 3_000_000], b"\n"].concat();
    log.write_to("app.log", &endless);
    for number in 0..100 {
        log.write(&format!("ERR {number}\n"));
    }
    let verdict = ask(&silent, on, &then).await;
    let shown = lines(&verdict);
    assert!(shown.len() < 2_000, "{}", shown.len());
    assert_eq!(shown.lines().count(), 20);
    assert!(shown.ends_with("\nERR 18"), "{shown}");
}

async fn a_log_is_watched_as_long_as_said(sessions: &Sessions, on: &Target) {
    let log = Log::new();
    let silent = LogCheck {
        watch: Duration::from_secs(20),
        ..log.check(sessions, LogWish::NoMatch, "ERROR")
    };
    let then = note(&silent, on).await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        log.write("ERROR late\n");
    };
    let (verdict, ()) = tokio::join!(ask(&silent, on, &then), late);
    assert_eq!(lines(&verdict), "ERROR late");
    // No longer than the check's time allows.
    let then = note(&silent, on).await;
    let verdict = silent.check(on, &then, &scope_of(Duration::from_secs(4))).await.unwrap();
    assert_eq!(verdict, Verdict::Healthy);
    assert!(silent.describe().ends_with("has no line with ERROR for 20 s"));
}

async fn where_nothing_was_noted_there_is_nothing_to_look_at(sessions: &Sessions, on: &Target) {
    let log = Log::new();
    for wish in [LogWish::Match as fn(Pattern) -> LogWish, LogWish::NoMatch] {
        let check = log.check(sessions, wish, "ERROR|never");
        assert_eq!(ask(&check, on, &situation()).await, Verdict::Healthy);
    }
}
