//! What the planner decides, as tables: which target goes where, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test may panic, also outside its own function")]

use std::collections::BTreeMap;

use deploy_core::{
    backend::{Claim, ErrorKind, Good, Live, Serving, Standing},
    model::{App, Group, GroupName, Release, ReleaseId, Target, Version, VersionId},
    plan::{Direction, Goal, Plan, PlanError, PlanRequest, Stage, Strategy, Survey, Work},
    record::{Failure, RunId},
};
use jiff::Timestamp;

fn target(name: &str) -> Target {
    Target::new(name).unwrap()
}

fn version(id: &str) -> Version {
    Version { id: VersionId::new(id).unwrap(), name: None }
}

fn release(id: &str) -> Release {
    Release { id: ReleaseId::new(format!("{id}-x")).unwrap(), version: version(id) }
}

fn live(serving: Option<&str>, good: &[&str]) -> Live {
    let good = good.iter().map(|id| Good {
        release: release(id),
        run: RunId::new("run").unwrap(),
        by: "ann".into(),
        at: Timestamp::UNIX_EPOCH,
        present: true,
    });
    let serving = serving.map(release);
    Live {
        serving: serving.map(|release| Serving { release, since: None, by: None, run: None }),
        good: good.collect(),
        ..Live::default()
    }
}

fn group(name: &str, targets: &[&str]) -> Group {
    Group::new(GroupName::new(name).unwrap(), targets.iter().map(|name| target(name)).collect())
}

fn request(goal: Goal, groups: Vec<Group>) -> PlanRequest {
    PlanRequest {
        app: App::new("mockbase").unwrap(),
        environment: None,
        goal,
        groups,
        strategy: Strategy::default(),
        redeploy: false,
        restarts: Vec::new(),
        checks: Vec::new(),
        steps: Vec::new(),
    }
}

fn deploy(groups: Vec<Group>) -> PlanRequest {
    request(Goal::Deploy(version("v2")), groups)
}

fn survey(answers: &[(&str, Live)]) -> Survey {
    let answers: BTreeMap<_, _> =
        answers.iter().map(|(name, live)| (target(name), Ok(live.clone()))).collect();
    Survey { answers }
}

fn make(request: &PlanRequest, survey: &Survey) -> Result<Plan, PlanError> {
    Plan::make(request, survey, |_, _, version| Ok(release(version.id.as_str())))
}

#[test]
fn equal_details_of_those_that_move_are_told_once() {
    let told = |details: &str, version: &str| Live {
        details: vec![details.to_owned()],
        ..live(Some(version), &[version])
    };
    let survey = survey(&[
        ("h1", told("copied", "v1")),
        ("h2", told("linked", "v1")),
        ("h3", told("copied", "v1")),
        ("same", told("copied", "v2")),
    ]);
    let plan = make(&deploy(vec![group("all", &["h1", "h2", "h3", "same"])]), &survey).unwrap();
    assert_eq!(plan.details, ["h1, h3: copied", "h2: linked"]);
    assert!(plan.warnings.iter().all(|warning| !warning.contains("copied")));
}

#[test]
fn back_is_what_is_live_only_when_that_is_good() {
    let survey = survey(&[
        ("good", live(Some("v1"), &["v1", "v0"])),
        ("halfdone", live(Some("vx"), &["v1", "v0"])),
        ("fresh", live(None, &[])),
    ]);
    let plan = make(&deploy(vec![group("all", &["good", "halfdone", "fresh"])]), &survey).unwrap();
    let back: Vec<_> = plan.changes().map(|(_, change)| change.back.clone()).collect();
    assert_eq!(back, [Some(release("v1")), Some(release("v1")), None]);
    assert!(plan.warnings.iter().any(|w| w == "no way back: first deploy on fresh"), "{plan:?}");
}

#[test]
fn unchanged_means_live_and_good() {
    let survey = survey(&[
        ("unchanged", live(Some("v2"), &["v2"])),
        ("unconfirmed", live(Some("v2"), &["v1"])),
        ("old", live(Some("v1"), &["v1"])),
    ]);
    let mut request = deploy(vec![group("all", &["unchanged", "unconfirmed", "old"])]);
    let work = |plan: &Plan| plan.changes().map(|(_, c)| c.work).collect::<Vec<_>>();
    let plan = make(&request, &survey).unwrap();
    assert_eq!(work(&plan), [Work::Nothing, Work::Confirm, Work::Move]);
    request.redeploy = true;
    let plan = make(&request, &survey).unwrap();
    assert_eq!(work(&plan), [Work::Confirm, Work::Confirm, Work::Move]);
}

#[test]
fn what_was_gone_back_to_is_confirmed_before_it_counts_as_unchanged() {
    let at = |since: i64| {
        let mut held = live(Some("v2"), &["v2"]);
        if let Some(serving) = &mut held.serving {
            serving.since = Some(Timestamp::from_second(since).unwrap());
        }
        held
    };
    // Good at 0: promoted before that, or again since then.
    let survey = survey(&[("a", at(-1)), ("b", at(0)), ("c", at(1))]);
    let plan = make(&deploy(vec![group("all", &["a", "b", "c"])]), &survey).unwrap();
    let work: Vec<_> = plan.changes().map(|(_, change)| change.work).collect();
    assert_eq!(work, [Work::Nothing, Work::Nothing, Work::Confirm]);
    assert!(
        plan.changes().all(|(_, change)| change.back == Some(release("v2"))),
        "good all the same"
    );
}

#[test]
fn where_a_run_died_nothing_counts_as_unchanged() {
    let mut held = live(Some("v2"), &["v2"]);
    held.claim = Some(Claim {
        run: RunId::new("run").unwrap(),
        who: "ann".into(),
        since: Timestamp::UNIX_EPOCH,
        standing: Standing::Dead,
    });
    let plan = make(&deploy(vec![group("all", &["a"])]), &survey(&[("a", held)])).unwrap();
    let work: Vec<_> = plan.changes().map(|(_, change)| change.work).collect();
    assert_eq!(work, [Work::Confirm]);
}

#[test]
fn the_first_of_several_groups_is_the_canary_unless_one_is_named() {
    let survey = survey(&[("a", live(None, &[])), ("b", live(None, &[]))]);
    let mut groups = vec![group("one", &["a"]), group("two", &["b"])];
    let canaries = |groups: &[Group]| {
        let plan = make(&deploy(groups.to_vec()), &survey).unwrap();
        plan.groups.iter().map(|group| group.canary).collect::<Vec<_>>()
    };
    assert_eq!(canaries(&groups), [true, false]);
    assert_eq!(canaries(&groups[..1]), [false]);
    groups[1].canary = true;
    assert_eq!(canaries(&groups), [false, true]);
}

#[test]
fn what_did_not_answer_or_lacks_something_is_lost_and_stays_in_the_denominator() {
    let mut lacking = live(Some("v1"), &["v1"]);
    lacking.lacks = vec!["git is missing: install git".into()];
    let mut claimed = live(Some("v1"), &["v1"]);
    claimed.claim = Some(Claim {
        run: RunId::new("other").unwrap(),
        who: "bob@ci".into(),
        since: Timestamp::UNIX_EPOCH,
        standing: Standing::Foreign,
    });
    let mut survey =
        survey(&[("ok", live(Some("v1"), &["v1"])), ("lacks", lacking), ("claimed", claimed)]);
    let down = Failure {
        stage: Stage::Connect,
        kind: ErrorKind::Unreachable,
        attempted: "connect to down".into(),
        cause: "connection refused".into(),
        hint: None,
        evidence: None,
    };
    survey.answers.insert(target("down"), Err(down));
    let mut groups = vec![group("all", &["ok", "lacks", "claimed", "down"])];
    groups[0].max_failures = "25%".parse().unwrap();
    let plan = make(&deploy(groups), &survey).unwrap();
    let group = &plan.groups[0];
    assert_eq!(group.batches.concat().len(), 1);
    let lost: Vec<_> = group.lost.iter().map(|l| (l.target.as_str(), l.failure.kind)).collect();
    let expected = [
        ("lacks", ErrorKind::Rejected),
        ("claimed", ErrorKind::Claimed),
        ("down", ErrorKind::Unreachable),
    ];
    assert_eq!(lost, expected);
    assert_eq!(group.allowance.to_string(), "stops at the 2nd failure of 4");
    assert_eq!(plan.targets().count(), 4);
}

#[test]
fn rollback_goes_to_the_last_good_that_is_not_live_and_all_at_once() {
    let survey = survey(&[
        ("good", live(Some("v2"), &["v2", "v1"])),
        ("halfdone", live(Some("v3"), &["v2", "v1"])),
        ("first", live(Some("v2"), &["v2"])),
    ]);
    let mut groups = vec![group("canary", &["good"]), group("default", &["halfdone", "first"])];
    groups[1].batch = "1".parse().unwrap();
    let plan = make(&request(Goal::RollBack, groups), &survey).unwrap();
    let to: Vec<_> = plan.changes().map(|(_, change)| change.to.clone()).collect();
    assert_eq!(to, [Some(release("v1")), Some(release("v2"))]);
    assert_eq!(plan.direction, Direction::Back);
    assert_eq!(plan.groups[1].lost[0].target, target("first"));
    assert!(plan.groups.iter().all(|group| !group.canary && group.batches.len() == 1));
}

#[test]
fn a_rollback_that_died_after_its_switch_is_finished_by_the_same_command() {
    let mut switched = live(Some("v1"), &["v2", "v1", "v0"]);
    let serving = switched.serving.as_mut().unwrap();
    serving.since = Some("2015-06-10T14:15:03Z".parse().unwrap());
    let healthy = survey(&[("a", switched.clone())]);
    switched.claim = Some(Claim {
        run: RunId::new("dead").unwrap(),
        who: "ann".into(),
        since: Timestamp::UNIX_EPOCH,
        standing: Standing::Dead,
    });
    let died = survey(&[("a", switched)]);
    let to = |survey: &Survey| {
        let plan = make(&request(Goal::RollBack, vec![group("all", &["a"])]), survey).unwrap();
        let (_, change) = plan.changes().next().unwrap();
        (change.to.clone().unwrap(), change.work)
    };
    assert_eq!(to(&died), (release("v1"), Work::Confirm));
    assert_eq!(to(&healthy), (release("v2"), Work::Move));
}

#[test]
fn empty_groups_and_double_names_are_refused() {
    let survey = survey(&[("a", live(None, &[]))]);
    let refuse = |groups: Vec<Group>| make(&deploy(groups), &survey).unwrap_err().to_string();
    assert_eq!(refuse(vec![group("one", &[])]), "group one has no targets");
    assert_eq!(refuse(vec![]), "no targets are selected");
    let twice = vec![group("one", &["a"]), group("one", &["a"])];
    assert_eq!(refuse(twice), "group one is defined twice");
}

#[test]
fn a_host_in_several_groups_belongs_to_the_first() {
    let survey = survey(&[("a", live(None, &[])), ("b", live(None, &[]))]);
    let groups = vec![group("one", &["a"]), group("two", &["a", "b"]), group("three", &["b"])];
    let plan = make(&deploy(groups), &survey).unwrap();
    let members: Vec<_> =
        plan.changes().map(|(g, c)| (g.name.as_str(), c.target.as_str())).collect();
    assert_eq!(members, [("one", "a"), ("two", "b")]);
}
