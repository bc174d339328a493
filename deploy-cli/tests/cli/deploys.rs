//! Deploys that go well, and those that go back.

use crate::place::Place;

#[test]
fn plan_deploy_status_history_show() {
    let place = Place::new();
    let ran = place.cli(&["plan"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    deploy mockbase: release/2026-01-01/1 ($COMMIT) — 1 of 1 host to change

    group default: 1 host, stops at the 1st failure of 1
      local  nothing → release/2026-01-01/1  no way back: first deploy

    on each host:
      restart                 run cp $PLACE/srv/deploy/version $PLACE/running
      check    check answers  `read -r v < $PLACE/running && test "$v" != broken` succeeds (within 20s)
    warning: no way back: first deploy on local
    [0]
    "#);
    let ran = place.cli(&["deploy", "-m", "first of all"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    $CLOCK run $RUN by ann: first of all
    $CLOCK planned: 1 of 1 host to change
    deploy mockbase: release/2026-01-01/1 ($COMMIT) — 1 of 1 host to change

    group default: 1 host, stops at the 1st failure of 1
      local  nothing → release/2026-01-01/1  no way back: first deploy

    on each host:
      restart                 run cp $PLACE/srv/deploy/version $PLACE/running
      check    check answers  `read -r v < $PLACE/running && test "$v" != broken` succeeds (within 20s)
    warning: no way back: first deploy on local
    $CLOCK fetched on 1 host
    $CLOCK group default: local
    $CLOCK group default: 1 of 1 healthy
    deployed release/2026-01-01/1  (run $RUN, $SPAN, exit 0)
      1 host: 1 deployed
    [0]
    "#);
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"));
    place.version(2, "two");
    let ran = place
        .cli(&["deploy", "latest", "--yes"])
        .ends(0)
        .says("release/2026-01-01/1 → release/2026-01-02/1");
    assert!(ran.all().contains("make it two"), "{}", ran.all());
    assert_eq!((place.live().as_str(), place.running().as_str()), ("two", "two"));
    let ran = place.cli(&["status"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    HOST   GROUP    LIVE                  SINCE                BY   SERVICE
    local  default  release/2026-01-02/1  $MOMENT  ann
    [0]
    "#);
    let ran = place.cli(&["history"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    RUN                   WHEN                 WHAT                         BY   OUTCOME   HOSTS  TOOK  WHY
    $RUN  $MOMENT  deploy release/2026-01-02/1  ann  complete  1/1    $SPAN
    $RUN  $MOMENT  deploy release/2026-01-01/1  ann  complete  1/1    $SPAN  first of all
    [0]
    "#);
    place.cli(&["show"]).ends(0).says("deployed release/2026-01-02/1");
    place.cli(&["show", "--follow"]).ends(0).says("deployed release/2026-01-02/1");
    assert!(place.git(&["ls-remote", "origin"]).contains("refs/tags/deploy/default/"));
}

#[test]
fn the_same_again_changes_nothing() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    place.cli(&["deploy"]).ends(0).says("1 unchanged");
    place.cli(&["deploy", "--redeploy"]).ends(0).says("1 deployed");
}

#[test]
fn a_success_of_some_hosts_is_no_success_of_the_fleet() {
    let place = Place::new();
    place.cli(&["deploy", "--hosts", "local"]).ends(0).says("1 deployed");
    assert!(!place.git(&["ls-remote", "origin"]).contains("refs/tags/deploy/"));
    place.cli(&["deploy"]).ends(0).says("1 unchanged");
    assert!(place.git(&["ls-remote", "origin"]).contains("refs/tags/deploy/default/"));
}

#[test]
fn a_broken_version_goes_back_by_itself() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    place.version(2, "broken");
    let ran = place.cli(&["deploy"]).ends(3).says("all touched hosts are back and healthy");
    assert!(ran.all().contains("answers"), "{}", ran.all());
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"));
    place.cli(&["status"]).ends(0).says("release/2026-01-01/1");
    place.cli(&["history"]).ends(0).says("rolled back");
    assert!(!place.git(&["ls-remote", "origin"]).contains("release/2026-01-02/1/deploy"));
}

#[test]
fn rollback_goes_to_the_last_good_version() {
    let place = Place::new();
    place.cli(&["rollback"]).ends(1).says("no good version to go back to");
    place.cli(&["deploy"]).ends(0);
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0);
    place.version(3, "broken");
    place.cli(&["deploy"]).ends(3);
    assert_eq!(place.running(), "two");
    place.cli(&["rollback"]).ends(0).says("rolled back to");
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"));
    place.cli(&["rollback", "release/2026-01-02/1"]).ends(0);
    assert_eq!(place.running(), "two");
    place.cli(&["plan", "previous"]).ends(0).says("release/2026-01-02/1 → release/2026-01-01/1");
}

#[test]
fn events_as_json() {
    let place = Place::new();
    let ran = place.cli(&["deploy", "--json"]).ends(0);
    let events: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["event"], "run-started");
    assert_eq!(events.last().unwrap()["event"], "run-finished");
    assert_eq!(events.last().unwrap()["exit"], "complete");
    let again = place.cli(&["show", "--json"]).ends(0);
    assert_eq!(again.stdout, ran.stdout, "the journal has the same lines");
    let line = place.cli(&["status", "--json"]).ends(0).stdout;
    let line: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
    assert_eq!(line["target"], "local");
}

#[test]
fn a_notification_gets_start_and_end_and_never_fails_a_run() {
    let place = Place::bare();
    let heard = place.path("heard");
    place.configure(&format!("[notify]\ncommand = \"cat >> {}\"\n", heard.display()));
    place.version(1, "one");
    place.cli(&["deploy"]).ends(0);
    let text = std::fs::read_to_string(&heard).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().next().unwrap().contains("run-started"), "{text}");
    place.configure("[notify]\ncommand = \"echo cannot >&2; exit 3\"\n");
    place.version(2, "two");
    place.cli(&["deploy"]).ends(0).says("warning: [notify] command: exit status: 3: cannot");
}

#[test]
fn a_gate_that_asks_needs_somebody_to_ask() {
    let place = Place::bare();
    place.configure_hosts(
        "hosts = [\"local\"]\npause = \"ask\"\n[[group]]\nname = \"rest\"\nhosts = [\"localhost\"]",
        "",
    );
    place.version(1, "one");
    let output = place.command_that_asks(&["deploy"]).output().unwrap();
    place.ran(&output).ends(2).says("no terminal").says("--yes answers yes");
    assert_eq!(place.live(), "");
    place.cli(&["history"]).ends(0).says("no run yet");
}

#[test]
fn without_a_terminal_what_asks_first_wants_to_be_told_yes() {
    let place = Place::new();
    let alone = |words: &[&str]| place.ran(&place.command_that_asks(words).output().unwrap());
    place.cli(&["deploy", "--yes"]).ends(0);
    place.version(2, "two");
    place.cli(&["deploy", "--yes"]).ends(0);
    let runs = place.cli(&["history"]).stdout;
    for words in [
        &["deploy", "release/2026-01-02/1", "--redeploy"][..],
        &["deploy", "previous"],
        &["rollback"],
        &["catch-up"],
        &["service", "restart"],
        &["adopt"],
        &["adopt", "--undo"],
        &["deploy", "--json"],
    ] {
        let ran = alone(words).ends(2).says("there is no terminal to ask at");
        ran.says("nothing was touched").says("hint: --yes");
    }
    assert_eq!(place.cli(&["history"]).stdout, runs);
    assert_eq!(place.live(), "two");
    // What asks nothing needs no answer.
    alone(&["adopt", "--dry-run"]).ends(0);
    alone(&["run", "--", "true"]).ends(0);
    alone(&["plan"]).ends(0);
    alone(&["rollback", "--yes"]).ends(0);
    assert_eq!(place.live(), "one");
}

#[test]
fn steps_run_where_and_when_they_say() {
    let place = Place::bare();
    let at = place.path("");
    let at = at.display();
    place.configure(&format!(
        "[[step]]\nname = \"build\"\nstage = \"fetch\"\ncommand = \"cp version built\"\n\
         [[step]]\nname = \"migrate\"\nstage = \"before-promote\"\nwhere = \"once\"\n\
         command = \"echo $DEPLOY_VERSION >> {at}migrated; ! grep -q bad version\"\n\
         [[step]]\nname = \"tell\"\nstage = \"after-check\"\ncommand = \"cp {at}running {at}told\"\n"
    ));
    place.version(1, "one");
    place
        .cli(&["plan"])
        .ends(0)
        .says("fetch    step build     run cp version built")
        .says("promote  step migrate   run echo")
        .says("(once, within 5m)");
    place.cli(&["deploy"]).ends(0);
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap_or_default();
    assert_eq!(read("srv/deploy/built"), "one\n");
    assert_eq!((read("migrated"), read("told")), ("release/2026-01-01/1\n".into(), "one\n".into()));
    place.version(2, "bad");
    let ran = place.cli(&["deploy"]);
    assert!([1, 3].contains(&ran.code), "{}", ran.all());
    assert_eq!(place.live(), "one", "a once-step that failed stops the run before the switch");
}

#[test]
fn a_plan_without_a_change_names_only_what_is_done() {
    let place = Place::bare();
    place.configure(
        "[[step]]\nname = \"migrate\"\nstage = \"before-promote\"\ncommand = \"true\"\n",
    );
    place.version(1, "one");
    place.cli(&["plan"]).ends(0).says("step migrate").says("restart  ");
    place.cli(&["deploy"]).ends(0);
    place
        .cli(&["plan"])
        .ends(0)
        .says("(unchanged)")
        .says("check  check answers")
        .never_says("migrate")
        .never_says("restart");
    // Once more, without another version: it is restarted, and nothing is built or switched.
    place.cli(&["plan", "--redeploy"]).ends(0).says("restart  ").never_says("migrate");
}

#[test]
fn what_another_tool_put_there_is_not_called_nothing() {
    let place = Place::new();
    place.cli(&["status"]).ends(0).says("nothing");
    std::fs::create_dir(place.path("srv/deploy")).unwrap();
    let status = place.cli(&["status"]).ends(0).says("not ours").says("is a plain directory");
    status.never_says("nothing");
}
