//! Services that are operated, and commands that are run, on this machine.

use crate::place::Place;

/// A place whose service is a file that says how often it was started.
fn serving() -> Place {
    let place = Place::bare();
    place.configure("");
    let text = std::fs::read_to_string(place.path("repo/deploy.toml")).unwrap();
    let at = place.path("").display().to_string();
    let command =
        format!("command = \"cp {at}srv/deploy/version {at}running; echo x >> {at}starts\"");
    let old = format!("command = \"cp {at}srv/deploy/version {at}running\"");
    assert!(text.contains(&old), "{text}");
    std::fs::write(place.path("repo/deploy.toml"), text.replace(&old, &command)).unwrap();
    place.version(1, "one");
    place.cli(&["deploy"]).ends(0);
    place
}

fn starts(place: &Place) -> usize {
    std::fs::read_to_string(place.path("starts")).unwrap_or_default().lines().count()
}

#[test]
fn a_restart_is_a_run_of_its_own() {
    let place = serving();
    let ran = place.cli(&["service", "restart", "-m", "it leaks"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    $CLOCK run $RUN by ann: it leaks
    $CLOCK planned: restart on 1 of 1 host
    restart mockbase — 1 of 1 host

    group default: 1 host, stops at the 1st failure of 1
      local  restart; serves release/2026-01-01/1

    on each host:
      service                 run cp $PLACE/srv/deploy/version $PLACE/running; echo x >> $PLACE/starts
      check    check answers  `read -r v < $PLACE/running && test "$v" != broken` succeeds (within 20s)
    $CLOCK group default: local
    $CLOCK group default: 1 of 1 healthy
    restarted mockbase  (run $RUN, $SPAN, exit 0)
      1 host: 1 restarted
    [0]
    "#);
    assert_eq!((starts(&place), place.running().as_str()), (2, "one"));
    let ran = place.cli(&["history"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    RUN                   WHEN                 WHAT                         BY   OUTCOME   HOSTS  TOOK  WHY
    $RUN  $MOMENT  service restart              ann  complete  1/1    $SPAN  it leaks
    $RUN  $MOMENT  deploy release/2026-01-01/1  ann  complete  1/1    $SPAN
    [0]
    "#);
    place.cli(&["show"]).ends(0).says("restarted mockbase").says("it leaks");
    place.cli(&["show", "--follow"]).ends(0).says("group default: 1 of 1 healthy");
    place.cli(&["status"]).ends(0).never_says("claimed");
}

#[test]
fn what_the_method_does_not_know_is_refused_before_anything_is_touched() {
    let place = serving();
    for action in ["start", "stop", "reload"] {
        place
            .cli(&["service", action])
            .ends(1)
            .says("[restart] has a command that restarts, and names no service")
            .says("refused; nothing was touched");
    }
    assert_eq!(starts(&place), 1);
    for words in [&["service", "status"][..], &["service", "status", "--json"]] {
        let ran = place.cli(words).ends(1).says("names no service to ask for");
        assert_eq!(ran.says("hint: name it there, as `service`").stdout, "");
    }
    place.cli(&["service"]).ends(2).says("restart");
    place.cli(&["service", "restart", "--hosts", "nobody"]).ends(1).says("matches no host");
}

#[test]
fn a_service_that_is_ill_afterwards_is_left_and_named() {
    let place = serving();
    let at = place.path("").display().to_string();
    let text = std::fs::read_to_string(place.path("repo/deploy.toml")).unwrap();
    let text = text.replace("timeout = \"20s\"", "timeout = \"1s\"");
    let ill = format!("command = \"echo broken > {at}running\"");
    let old = format!("command = \"cp {at}srv/deploy/version {at}running; echo x >> {at}starts\"");
    std::fs::write(place.path("repo/deploy.toml"), text.replace(&old, &ill)).unwrap();
    let ran = place.cli(&["service", "restart"]).ends(4);
    insta::assert_snapshot!(ran.all(), @r#"
    $CLOCK run $RUN by ann
    $CLOCK planned: restart on 1 of 1 host
    restart mockbase — 1 of 1 host

    group default: 1 host, stops at the 1st failure of 1
      local  restart; serves release/2026-01-01/1

    on each host:
      service                 run echo broken > $PLACE/running
      check    check answers  `read -r v < $PLACE/running && test "$v" != broken` succeeds (within 1s)
    $CLOCK group default: local
    $CLOCK local: FAILED: check "answers": exit status 1
    $CLOCK stopped: group default: 1 of 1 failed, 0 allowed
    $CLOCK group default: 0 of 1 healthy, 1 failed
    restart of mockbase: a service is left DOWN, unhealthy or unknown; see below  (run $RUN, $SPAN, exit 4)
      stopped: group default: 1 of 1 failed, 0 allowed
      1 host: 1 failed

    1 host: check "answers": exit status 1
        on local

    not as wanted:
      local  failed in check  serves release/2026-01-01/1

    how they are now:    deploy-cli service status
    what each host said: deploy-cli show $RUN
    [4]
    "#);
    place.cli(&["history"]).ends(0).says("NOT WELL");
}

#[test]
fn an_interrupt_lets_the_restart_end_and_asks_nothing() {
    let place = serving();
    let at = place.path("").display().to_string();
    let text = std::fs::read_to_string(place.path("repo/deploy.toml")).unwrap();
    let waits =
        format!("command = \"touch {at}waiting; while test -e {at}wait; do sleep 0.05; done; ");
    let text = text.replace("command = \"cp ", &format!("{waits}cp "));
    std::fs::write(place.path("repo/deploy.toml"), text).unwrap();
    std::fs::write(place.path("wait"), "").unwrap();
    let mut child = place.start(&["service", "restart"]);
    place.until_there(&place.path("waiting"));
    place.cli(&["deploy", "--allow-dirty"]).ends(5).says("locked by ann@$HOST (run $RUN");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    place.until("the signal is told", || place.said().contains("Ctrl-C again"));
    std::fs::remove_file(place.path("wait")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", place.said());
    assert_eq!(starts(&place), 2, "the restart came to its end");
    assert!(!place.said().contains("Bring back"), "{}", place.said());
    place.cli(&["service", "restart"]).ends(0);
}

#[test]
fn a_run_holds_the_lock() {
    let place = serving();
    place.cli(&["lock", "-m", "the database moves"]).ends(0);
    place.cli(&["service", "restart"]).ends(5).says("the database moves");
    assert_eq!(starts(&place), 1);
}

#[test]
fn what_serves_nothing_is_refused() {
    let place = Place::new();
    place
        .cli(&["service", "restart"])
        .ends(1)
        .says("none of the targets serves anything")
        .says("deploy a version first");
    assert_eq!(place.running(), "");
}

#[test]
fn a_command_is_run_and_what_it_said_is_shown() {
    let place = Place::new();
    let ran = place.cli(&["run", "-m", "curious", "--", "printf '%s\\n' one two; echo why >&2"]);
    insta::assert_snapshot!(ran.ends(0).all(), @r#"
    1 host: exit 0
        on local
        | one
        | two
        ! why
    run printf '%s\n' one two; echo why >&2: done  (run $RUN, $SPAN, exit 0)
      1 host: 1 done
    all that they said: deploy-cli show $RUN
    [0]
    "#);
    // Several words are not read by a shell.
    let ran = place.cli(&["run", "--", "printf", "%s\\n", "a  b; echo $HOME", "*"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    1 host: exit 0
        on local
        | a  b; echo $HOME
        | *
    run printf '%s\n' 'a  b; echo $HOME' '*': done  (run $RUN, $SPAN, exit 0)
      1 host: 1 done
    all that they said: deploy-cli show $RUN
    [0]
    "#);
    let ran = place.cli(&["run", "--", "echo $HOME; exit 3"]).ends(6);
    insta::assert_snapshot!(ran.all(), @r#"
    1 host: exit 3
        on local
        | $PLACE/home
    run echo $HOME; exit 3: not done on 1 host  (run $RUN, $SPAN, exit 6)
      1 host: 1 failed
    all that they said: deploy-cli show $RUN
    [6]
    "#);
    let ran = place.cli(&["history"]).ends(0);
    insta::assert_snapshot!(ran.all(), @r#"
    RUN                   WHEN                 WHAT                                      BY   OUTCOME     HOSTS  TOOK  WHY
    $RUN  $MOMENT  run echo $HOME; exit 3                    ann  incomplete  0/1    $SPAN
    $RUN  $MOMENT  run printf '%s\n' 'a  b; echo $HOME' '*'  ann  complete    1/1    $SPAN
    $RUN  $MOMENT  run printf '%s\n' one two; echo why >&2   ann  complete    1/1    $SPAN  curious
    [0]
    "#);
    place.cli(&["show"]).ends(0).says("--- run").says("exit status 3");
    place.cli(&["show", "--follow"]).ends(0).says("planned: run on 1 host");
    place.cli(&["deploy", "--hosts", "@last/failed"]).ends(0);
}

#[test]
fn a_command_that_is_not_there_or_takes_too_long_has_failed() {
    let place = Place::new();
    place.cli(&["run", "--", "no-such-command", "x"]).ends(6).says("exit 127");
    place
        .cli(&["run", "--timeout", "1s", "--", "echo begun; sleep 600"])
        .ends(6)
        .says("1 host: failed: timed out: the time was up; its process group was killed")
        .says("    | begun");
    place.cli(&["run"]).ends(2).says("<COMMAND>");
    place.cli(&["run", "--", ""]).ends(2).says("there is no command to run");
    place.cli(&["run", "uptime"]).ends(2);
    place.cli(&["run", "--timeout", "0s", "--", "true"]).ends(2);
}

#[test]
fn a_command_as_json_is_a_line_for_each_host() {
    let place = Place::new();
    let ran = place.cli(&["run", "--json", "--", "echo out; echo err >&2; exit 4"]).ends(6);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.all());
    let line: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(line["target"], "local");
    assert_eq!(line["group"], "default");
    assert_eq!((&line["end"], &line["status"]), (&"failed".into(), &4.into()));
    assert_eq!((&line["stdout"], &line["stderr"]), (&"out\n".into(), &"err\n".into()));
    assert_eq!(line["truncated"], false);
}

#[test]
fn what_a_command_writes_does_nothing_to_a_terminal_and_does_not_fill_the_memory() {
    let place = Place::new();
    place
        .cli(&["run", "--", "printf '\\033[2Jgone\\n'"])
        .ends(0)
        .says("\\x1b[2Jgone")
        .never_says("\u{1b}");
    let flood = "head -c 300000 /dev/zero | tr '\\0' x; echo end";
    let ran = place.cli(&["run", "--", flood]).ends(0).says("bytes left out").says("xend");
    assert!(ran.stdout.len() < 40_000, "{}", ran.stdout.len());
    let runs = place.path("repo/.git/deploy/mockbase/default/runs");
    let newest = std::fs::read_dir(runs).unwrap().map(|run| run.unwrap().path()).max().unwrap();
    let kept = std::fs::metadata(newest.join("output/local")).unwrap().len();
    assert!(kept > 300_000, "the file has all: {kept}");
}

#[test]
fn a_command_needs_no_lock_and_no_service() {
    let place = Place::new();
    place.cli(&["lock", "-m", "the database moves"]).ends(0);
    place.cli(&["run", "--", "true"]).ends(0).says("1 host: exit 0");
    place.cli(&["run", "--hosts", "nobody", "--", "true"]).ends(1).says("matches no host");
}
