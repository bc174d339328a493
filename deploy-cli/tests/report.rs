//! What a plan and a summary look like, from plans and events alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use deploy_cli::{
    report::{Finish, plan_lines, summary_lines},
    ui::{Color, Ui},
};
use deploy_core::{
    backend::{Changes, Commit, ErrorKind, Relation},
    model::{
        App, DateTags, Gate, GroupName, Release, ReleaseId, Scheme, Target, Version, VersionId,
    },
    plan::{
        Allowance, Change, CheckPolicy, Direction, Lost, Plan, PlannedCheck, PlannedGroup,
        PlannedStep, Stage, StepMoment, StepPlace, StepPolicy, Strategy, Transition, Work,
    },
    record::{
        Command, End, Event, EventKind, Exit, Failure, RunId, RunInfo, Served, StageOutcome,
        StopCause, Summary,
    },
};

fn release(number: u8) -> Release {
    let id = VersionId::new(format!("{number}").repeat(40)).unwrap();
    let name = Some(format!("release/2026-01-0{number}/1"));
    let digest = format!("{}-{}", format!("{number}").repeat(12), "a".repeat(12));
    Release { id: ReleaseId::new(digest).unwrap(), version: Version { id, name } }
}

fn target(name: &str) -> Target {
    Target::new(name).unwrap()
}

fn change(name: &str, from: Option<u8>, back: Option<u8>) -> Change {
    let work = if from == Some(2) { Work::Nothing } else { Work::Move };
    Change {
        target: target(name),
        from: from.map(release),
        to: Some(release(2)),
        back: back.map(release),
        work,
    }
}

fn failure(stage: Stage, kind: ErrorKind, attempted: &str, cause: &str) -> Failure {
    Failure {
        stage,
        kind,
        attempted: attempted.into(),
        cause: cause.into(),
        hint: None,
        evidence: None,
    }
}

fn group(name: &str, batches: Vec<Vec<Change>>, lost: Vec<Lost>, failures: usize) -> PlannedGroup {
    let of = batches.iter().map(Vec::len).sum::<usize>() + lost.len();
    PlannedGroup {
        name: GroupName::new(name).unwrap(),
        canary: name == "canary",
        batches,
        lost,
        allowance: Allowance { failures, of },
        gate: Gate::default(),
    }
}

fn transition(from: u8, relation: Relation, commits: usize) -> Transition {
    let commit = |number: usize| Commit {
        id: VersionId::new(format!("{number:040}")).unwrap(),
        author: "Ann".into(),
        subject: format!("change {number}"),
    };
    Transition {
        from: release(from).version.id,
        to: release(2).version.id,
        changes: Changes { relation, commits: (0..commits).map(commit).collect() },
    }
}

fn plan() -> Plan {
    let unreachable =
        failure(Stage::Connect, ErrorKind::Unreachable, "connect to h5", "connection refused");
    let mut canary = group("canary", vec![vec![change("h1", Some(1), Some(1))]], Vec::new(), 0);
    canary.gate =
        Gate { soak: Some(Duration::from_secs(60)), interval: Duration::from_secs(10), ask: true };
    let default = group(
        "default",
        vec![
            vec![change("h2", Some(1), Some(1)), change("h3", Some(3), Some(1))],
            vec![change("h4", Some(2), Some(2)), change("h6", None, None)],
        ],
        vec![Lost { target: target("h5"), failure: unreachable, served: Served::NeverAsked }],
        2,
    );
    Plan {
        app: App::new("mockbase").unwrap(),
        environment: None,
        version: Some(release(2).version),
        purpose: deploy_core::plan::Purpose::Version,
        direction: Direction::Forward,
        groups: vec![canary, default],
        absent: Vec::new(),
        allowance: Some(Allowance { failures: 2, of: 6 }),
        strategy: Strategy::default(),
        diffs: Vec::new(),
        transitions: vec![
            transition(1, Relation::Forward, 2),
            transition(3, Relation::Backward, 1),
        ],
        restarts: vec!["restart mockbase.service".into()],
        checks: vec![PlannedCheck {
            policy: CheckPolicy::new("port"),
            asks: "port 1134 is open".into(),
        }],
        steps: Vec::new(),
        noun: deploy_core::plan::Noun::default(),
        apart: Vec::new(),
        warnings: vec!["no way back: first deploy on h6".into()],
        details: vec!["h2, h3: unchanged files are copied".into()],
    }
}

fn ui() -> Ui {
    Ui::new(Color::Never, false)
}

#[test]
fn a_plan_says_all_that_a_person_says_yes_to() {
    let builds = [("install".to_owned(), "npm ci".to_owned())];
    let lines = plan_lines(&plan(), &builds, &ui()).join("\n");
    insta::assert_snapshot!(lines, @r#"
    deploy mockbase: release/2026-01-02/1 (222222222222) — 4 of 6 hosts to change, 1 CANNOT

    group canary: 1 host, canary, stops at the 1st failure of 1
      h1  release/2026-01-01/1 → release/2026-01-02/1
      then: watch for 1m, checks every 10s, then ask

    group default: 5 hosts, batches of 2 + 2, stops at the 3rd failure of 5
      [1]  h2  release/2026-01-01/1 → release/2026-01-02/1
      [1]  h3  release/2026-01-03/1 → release/2026-01-02/1  BACKWARDS, way back: release/2026-01-01/1
      [2]  h4  release/2026-01-02/1 (unchanged)
      [2]  h6  nothing → release/2026-01-02/1               no way back: first deploy
      h5  cannot be deployed to: connect: connection refused

    release/2026-01-01/1 → release/2026-01-02/1: 2 commits arriving
      000000000000  change 0  (Ann)
      000000000000  change 1  (Ann)

    release/2026-01-03/1 → release/2026-01-02/1: 1 commit LEAVING: it is older
      000000000000  change 0  (Ann)

    on each host:
      fetch    step install  run npm ci
      restart                restart mockbase.service
      check    check port    port 1134 is open (within 30s)
    budget of the run: stops at the 3rd failure of 6
    warning: no way back: first deploy on h6
    "#);
}

fn summary(kinds: Vec<EventKind>) -> Summary {
    let at = "2026-01-01T12:00:00Z".parse().unwrap();
    let events: Vec<Event> = kinds
        .into_iter()
        .zip(0..)
        .map(|(kind, seq)| Event { seq, at, elapsed: Duration::from_secs(seq * 10), kind })
        .collect();
    Summary::of(&events)
}

fn finish() -> Finish {
    Finish {
        scheme: Scheme::Date(DateTags { prefix: "release".into() }),
        options: " --env beta".into(),
        allowed: " --allow-downgrade".into(),
        narrowed: false,
        running: false,
    }
}

#[test]
fn a_summary_of_a_stopped_run_says_what_ran_and_what_is_left() {
    let mut plan = plan();
    plan.steps = vec![PlannedStep {
        policy: StepPolicy {
            name: "migrate".into(),
            moment: StepMoment::BeforePromote,
            place: StepPlace::Each,
            group: None,
            timeout: Duration::from_secs(60),
        },
        does: "run bin/migrate".into(),
    }];
    let stage = |host: &str, stage, detail: Option<&str>| EventKind::StageFinished {
        target: target(host),
        stage,
        detail: detail.map(str::to_owned),
        rolling_back: false,
        outcome: StageOutcome::Done,
    };
    let ended = |host: &str, end| EventKind::TargetFinished { target: target(host), end };
    let stopped = failure(Stage::Restart, ErrorKind::Cancelled, "restart", "the run was stopped");
    let served = Served::Release { release: release(2) };
    let summary = summary(vec![
        EventKind::Planned { plan: Box::new(plan) },
        stage("h2", Stage::Promote, Some("migrate")),
        stage("h2", Stage::Promote, None),
        stage("h3", Stage::Promote, Some("migrate")),
        stage("h6", Stage::Fetch, Some("unpacked")),
        EventKind::StopRequested { cause: StopCause::Interrupt },
        ended("h1", End::Deployed),
        ended("h2", End::Failed { failure: stopped, served }),
        ended("h3", End::NotAttempted),
        ended("h4", End::NotAttempted),
        ended("h6", End::NotAttempted),
        EventKind::RunFinished { exit: Exit::Interrupted, reason: None },
    ]);
    let lines = summary_lines(&summary, &finish(), 12, &ui()).join("\n");
    insta::assert_snapshot!(lines, @"
    release/2026-01-02/1: interrupted  (1m50s, exit 130)
      6 hosts: 1 deployed, 1 failed, 3 not attempted, 1 not ended

    1 host: restart: the run was stopped
        on h2

    not on it:
      h2  failed in restart                    serves release/2026-01-02/1
      h3  not attempted, but step migrate ran  serves release/2026-01-03/1
      h6  not attempted                        serves nothing
      h5  not ended                            `deploy-cli status` asks what it serves

    on it, but not done with:
      h1  deployed, not marked good: the run did not come to its end
      h4  serves it already, not checked

    what they serve now: deploy-cli status --env beta
    finish the rest:     deploy-cli deploy --env beta release/2026-01-02/1 --hosts h1,h2,h3,h6,h5 --allow-downgrade
    go back:             deploy-cli rollback --env beta --hosts h1,h2
    ");
}

#[test]
fn a_summary_says_what_each_host_serves_and_what_finishes_the_rest() {
    let info = RunInfo {
        format: 1,
        run: RunId::new("20260101-120000-0000").unwrap(),
        app: App::new("mockbase").unwrap(),
        environment: None,
        command: Command::Deploy,
        who: "ann".into(),
        host: "here".into(),
        pid: 1,
        why: None,
        tool: "0".into(),
        saved_plan: None,
    };
    let full = |host: &str| Failure {
        hint: Some("make room on /srv".into()),
        evidence: Some("fatal: write error\n\u{1b}[31mNo space left on device\n".into()),
        ..failure(
            Stage::Fetch,
            ErrorKind::Rejected,
            &format!("fetch to {host}"),
            "disk full on /srv",
        )
    };
    let ended = |host: &str, end| EventKind::TargetFinished { target: target(host), end };
    let served = Served::Release { release: release(1) };
    let unreachable =
        failure(Stage::Connect, ErrorKind::Unreachable, "connect to h5", "connection refused");
    let lost = failure(Stage::Restart, ErrorKind::Lost, "restart mockbase", "connection lost");
    let summary = summary(vec![
        EventKind::RunStarted { info },
        EventKind::Planned { plan: Box::new(plan()) },
        ended("h1", End::Deployed),
        ended("h2", End::Failed { failure: full("h2"), served: served.clone() }),
        ended("h3", End::Failed { failure: full("h3"), served: Served::NeverAsked }),
        ended("h4", End::Unchanged),
        ended("h5", End::Unreachable { failure: unreachable, served: served.clone() }),
        ended(
            "h6",
            End::Unknown {
                failure: lost,
                one_of: vec![served, Served::Release { release: release(2) }],
            },
        ),
        EventKind::RunFinished { exit: Exit::Mixed, reason: None },
    ]);
    let lines = summary_lines(&summary, &finish(), 12, &ui()).join("\n");
    insta::assert_snapshot!(lines, @r#"
    release/2026-01-02/1: the fleet is MIXED; see below  (run 20260101-120000-0000, 1m20s, exit 4)
      6 hosts: 1 deployed, 1 unchanged, 2 failed, 1 unreachable, 1 unknown

    2 hosts: fetch: disk full on /srv
        on h2, h3
        hint: make room on /srv
        | fatal: write error
        | \x1b[31mNo space left on device

    1 host: connect: connection refused
        on h5

    1 host: restart mockbase: connection lost
        on h6

    not on it:
      h2  failed in fetch  serves release/2026-01-01/1
      h3  failed in fetch  was not asked what it serves; nothing was changed
      h6  unknown          serves release/2026-01-01/1 or release/2026-01-02/1
      h5  unreachable      last known: release/2026-01-01/1

    on it, but not done with:
      h1  deployed, not marked good: the run did not come to its end

    what they serve now: deploy-cli status --env beta
    finish the rest:     deploy-cli deploy --env beta release/2026-01-02/1 --hosts h1,h2,h3,h6,h5 --allow-downgrade
    go back:             deploy-cli rollback --env beta --hosts h1
    "#);
}
