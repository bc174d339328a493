//! The journal: what is written is read again, whatever the file went through.

#![expect(clippy::unwrap_used, reason = "a test may panic, also outside its own function")]

use std::{
    fs::File,
    io::{BufReader, Cursor, Read},
    time::Duration,
};

use deploy_core::{
    backend::{Answer, ErrorKind, Question},
    model::{App, GroupName, Release, ReleaseId, Target, Version, VersionId},
    plan::{Action, Stage, Work},
    record::{
        Command, End, Event, EventKind, Exit, FORMAT, Failure, Journal, JournalError, Observer,
        RunId, RunInfo, Served, StageOutcome, StopCause, Summary, read_journal,
    },
};
use jiff::Timestamp;

fn target() -> Target {
    Target::new("web-07").unwrap()
}

fn failure() -> Failure {
    Failure {
        stage: Stage::Check,
        kind: ErrorKind::Rejected,
        attempted: "check \"answers\"".into(),
        cause: "it answers 500".into(),
        hint: Some("look at the log".into()),
        evidence: Some("\u{1b}[2J\u{0} lines\nof the target's own".into()),
    }
}

fn info(format: u32) -> RunInfo {
    RunInfo {
        format,
        run: RunId::new("20150610-141503-a1b2").unwrap(),
        app: App::new("mockbase").unwrap(),
        environment: None,
        command: Command::Deploy,
        who: "ann@desk".into(),
        host: "desk".into(),
        pid: 1,
        why: Some("a hotfix".into()),
        tool: "0.1.0".into(),
        saved_plan: None,
    }
}

/// One event of each kind that has a shape of its own.
fn kinds() -> Vec<EventKind> {
    let (target, group) = (target(), GroupName::new("canary").unwrap());
    let release = Release {
        id: ReleaseId::new("v2-x").unwrap(),
        version: Version { id: VersionId::new("v2").unwrap(), name: Some("release/1".into()) },
    };
    let served = || Served::Release { release: release.clone() };
    let end = |end| EventKind::TargetFinished { target: target.clone(), end };
    let stage = |outcome| EventKind::StageFinished {
        target: target.clone(),
        stage: Stage::Check,
        detail: Some("answers".into()),
        rolling_back: true,
        outcome,
    };
    let question = Question::RollBackAfterBreach { reason: "2 of 4".into(), touched: 2 };
    vec![
        EventKind::RunStarted { info: info(Command::Deploy.format()) },
        EventKind::GroupStarted { group: group.clone() },
        EventKind::BatchStarted { group: group.clone(), batch: 3 },
        EventKind::StageStarted {
            target: target.clone(),
            stage: Stage::Fetch,
            detail: None,
            rolling_back: false,
        },
        stage(StageOutcome::Done),
        stage(StageOutcome::Failed { failure: failure() }),
        EventKind::Retried {
            target: target.clone(),
            stage: Stage::Fetch,
            attempt: 1,
            failure: failure(),
        },
        EventKind::SoakStarted { group: group.clone(), duration: Duration::from_millis(1500) },
        EventKind::SoakFinished { group: group.clone(), unhealthy: vec![target.clone()] },
        EventKind::QuestionStarted { question: question.clone() },
        EventKind::QuestionFinished { question, answer: Some(Answer::No) },
        EventKind::StopRequested { cause: StopCause::Interrupt },
        EventKind::Breached { group: Some(group.clone()), reason: "2 of 4 failed".into() },
        EventKind::RollbackStarted { targets: vec![target.clone()] },
        EventKind::RollbackFinished { reverted: vec![], failed: vec![target.clone()] },
        EventKind::BatchFinished { group: group.clone(), batch: 3 },
        EventKind::GroupFinished { group },
        end(End::Deployed),
        end(End::Reverted { failure: Some(failure()) }),
        end(End::Failed { failure: failure(), served: served() }),
        end(End::Unreachable { failure: failure(), served: Served::NeverAsked }),
        end(End::Unknown { failure: failure(), one_of: vec![served(), Served::Nothing] }),
        EventKind::Warning { target: None, message: "the tag was not pushed".into() },
        EventKind::RunFinished { exit: Exit::Mixed, reason: None },
    ]
}

fn events() -> Vec<Event> {
    let event = |(seq, kind)| Event {
        seq,
        at: Timestamp::UNIX_EPOCH,
        elapsed: Duration::from_millis(seq),
        kind,
    };
    (0..).zip(kinds()).map(event).collect()
}

fn written(events: &[Event]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut journal = Journal::new(File::create_new(&path).unwrap());
    for event in events {
        journal.observe(event).unwrap();
    }
    journal.sync().unwrap();
    let mut bytes = Vec::new();
    File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> (Vec<Event>, Option<JournalError>, Vec<u64>, bool) {
    let mut reader = read_journal(BufReader::new(Cursor::new(bytes)));
    let mut events = Vec::new();
    let mut error = None;
    for event in &mut reader {
        match event {
            Ok(event) => events.push(event),
            Err(found) => error = Some(found),
        }
    }
    (events, error, reader.skipped().to_vec(), reader.torn())
}

#[test]
fn what_is_written_is_read_again() {
    let events = events();
    let (again, error, skipped, torn) = read(&written(&events));
    assert!(error.is_none() && skipped.is_empty() && !torn);
    assert_eq!(again, events);
    assert_eq!(Summary::of(&again), Summary::of(&events));
}

#[test]
fn each_event_is_one_line() {
    let bytes = written(&events());
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), events().len());
    let first = String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned();
    insta::assert_snapshot!(first, @r#"{"seq":0,"at":"1970-01-01T00:00:00Z","elapsed":{"secs":0,"nanos":0},"event":"run-started","info":{"format":1,"run":"20150610-141503-a1b2","app":"mockbase","command":"deploy","who":"ann@desk","host":"desk","pid":1,"why":"a hotfix","tool":"0.1.0"}}"#);
}

#[test]
fn an_event_is_on_disk_after_a_sync_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let mut journal = Journal::new(File::create_new(&path).unwrap());
    journal.observe(&events()[0]).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    journal.sync().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() > 0);
}

#[test]
fn a_journal_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    std::fs::write(&path, "").unwrap();
    let mut journal = Journal::new(File::open(&path).unwrap());
    journal.observe(&events()[0]).unwrap();
    assert!(journal.sync().is_err(), "the file is open for reading only");
}

#[test]
fn a_line_torn_at_any_byte_is_tolerated() {
    let whole = written(&events());
    let start = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in start..whole.len() {
        let (again, error, _, torn) = read(&whole[..cut]);
        assert!(error.is_none(), "cut at {cut}");
        assert_eq!(again.len(), events().len() - 1);
        assert_eq!(torn, cut > start, "cut at {cut}");
    }
}

#[test]
fn a_journal_that_is_being_written_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let whole = written(&events());
    let mut file = File::create_new(&path).unwrap();
    let mut reader = read_journal(BufReader::new(File::open(&path).unwrap()));
    let mut again = Vec::new();
    for piece in whole.chunks(37) {
        std::io::Write::write_all(&mut file, piece).unwrap();
        again.extend((&mut reader).map(Result::unwrap));
    }
    assert_eq!(again, events());
    assert!(!reader.torn());
}

#[test]
fn a_newer_kind_and_a_newer_field_are_skipped() {
    let mut bytes = written(&events()[..1]);
    bytes.extend(br#"{"seq":1,"at":"1970-01-01T00:00:00Z","elapsed":{"secs":0,"nanos":0},"event":"teleported","to":"mars"}"#);
    bytes.push(b'\n');
    bytes.extend(br#"{"seq":2,"at":"1970-01-01T00:00:00Z","elapsed":{"secs":0,"nanos":0},"mood":7,"event":"stop-requested","cause":"kill","by":"bob"}"#);
    bytes.push(b'\n');
    let (again, error, skipped, _) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(again.len(), 2);
    assert_eq!(skipped, [2]);
}

#[test]
fn a_newer_format_is_refused() {
    let mut event = events().remove(0);
    event.kind = EventKind::RunStarted { info: info(FORMAT + 1) };
    let (again, error, ..) = read(&written(&[event]));
    assert!(again.is_empty());
    assert!(matches!(error, Some(JournalError::Newer { found }) if found == FORMAT + 1));
}

#[test]
fn a_run_without_a_version_is_of_a_format_that_older_tools_refuse() {
    for (command, word, format) in [
        (Command::Run, "run", 2),
        (Command::Service(Action::Start), "start", 2),
        (Command::Service(Action::Stop), "stop", 2),
        (Command::Service(Action::Restart), "restart", 2),
        (Command::Service(Action::Reload), "reload", 2),
        (Command::Adopt, "adopt", 3),
    ] {
        let mut event = events().remove(0);
        let info = RunInfo { command, ..info(command.format()) };
        event.kind = EventKind::RunStarted { info };
        let line = serde_json::to_value(&event).unwrap();
        let told = (&line["info"]["command"], &line["info"]["format"]);
        assert_eq!(told, (&word.into(), &format.into()));
        assert_eq!(read(&written(&[event.clone()])).0, [event]);
    }
    for (work, word) in [
        (Work::Nothing, "nothing"),
        (Work::Move, "move"),
        (Work::Run, "run"),
        (Work::Operate(Action::Stop), "stop"),
    ] {
        assert_eq!(serde_json::to_value(work).unwrap(), word);
        assert_eq!(serde_json::from_value::<Work>(word.into()).unwrap(), work);
    }
    assert!(serde_json::from_str::<Work>("\"fly\"").is_err());
}

#[test]
fn hostile_input_ends_with_an_error_and_never_with_a_panic() {
    let deep = "[".repeat(100_000);
    for bad in [
        "\n",
        "{}\n",
        "[]\n",
        "null\n",
        "\u{0}\n",
        "{\"event\":\"warning\"}\n",
        &format!("{deep}\n"),
    ] {
        let (again, error, ..) = read(bad.as_bytes());
        assert!(again.is_empty());
        assert!(matches!(error, Some(JournalError::Damaged { line: 1, .. })), "{bad:.20}");
    }
    let (_, error, ..) = read(b"\xff\xfe\n");
    assert!(matches!(error, Some(JournalError::Damaged { .. })));
}

#[test]
fn an_endless_line_does_not_fill_the_memory() {
    let endless = std::io::repeat(b'x').take(1 << 32);
    let mut reader = read_journal(BufReader::with_capacity(1 << 20, endless));
    assert!(matches!(reader.next(), Some(Err(JournalError::TooLong { line: 1 }))));
    assert!(reader.next().is_none());
}

/// Each kind that is written is known to the reader: none of ours would be taken for a newer one.
#[test]
fn damage_in_a_known_kind_is_damage() {
    for event in events() {
        let kind = serde_json::to_value(&event).unwrap()["event"].clone();
        if matches!(kind.as_str(), Some("run-started")) {
            continue;
        }
        let (_, error, skipped, _) = read(format!("{{\"event\":{kind}}}\n").as_bytes());
        assert!(skipped.is_empty(), "{kind}");
        assert!(matches!(error, Some(JournalError::Damaged { .. })), "{kind}");
    }
}
