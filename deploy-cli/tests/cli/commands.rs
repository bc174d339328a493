//! Commands that move nothing.

use std::fs;

use crate::place::Place;

#[test]
fn init_writes_a_configuration_that_is_read_and_says_what_is_next() {
    let place = Place::bare();
    let ran = place.cli(&["init"]).ends(0).says("wrote $PLACE/repo/deploy.toml").says("next:");
    assert!(ran.stderr.is_empty());
    place.cli(&["config"]).ends(0).says("version.scheme").says("deploy.toml:");
    place.cli(&["init"]).ends(1).says("edit it, or move it away first");
}

#[test]
fn outside_a_repository() {
    let place = Place::bare();
    let mut command = place.command(&["plan"]);
    let output = command.current_dir(place.path("home")).output().unwrap();
    place.ran(&output).ends(1).says("not a git repository").says("hint: change into");
    place.cli(&["plan"]).ends(1).says("no deploy.toml here").says("`deploy-cli init` writes one");
}

#[test]
fn versions_are_listed_newest_first() {
    let place = Place::new();
    place.version(2, "two");
    let ran = place.cli(&["versions", "--offline"]).ends(0);
    insta::assert_snapshot!(ran.all(), @"
    VERSION               DATE                 AUTHOR  LIVE ON  SUBJECT
    release/2026-01-02/1  $MOMENT  Ann              version 2
    release/2026-01-01/1  $MOMENT  Ann              version 1
    [0]
    ");
    place.cli(&["deploy", "release/2026-01-01/1"]).ends(0);
    place
        .cli(&["versions"])
        .ends(0)
        .says("release/2026-01-01/1  $MOMENT  Ann     1 host   version 1");
    let json = place.cli(&["versions", "--json", "-n", "1"]).ends(0).stdout;
    let line: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(
        (&line["version"]["name"], &line["live_on"]),
        (&"release/2026-01-02/1".into(), &0.into())
    );
}

#[test]
fn tag_makes_and_pushes_the_next_version() {
    let place = Place::new();
    place.commit(2, "two");
    place.git(&["push", "-q", "origin", "main"]);
    let ran = place.cli(&["tag"]).ends(0).says("next: deploy-cli deploy release/");
    let tag = ran.stdout.split("deploy-cli deploy ").nth(1).unwrap().trim();
    assert!(tag.ends_with("/1"), "{tag}");
    assert!(place.git(&["ls-remote", "origin"]).contains(tag));
    ran.says(", and pushed it to origin\n");
    place.cli(&["tag"]).ends(0).says("/2");
    place.cli(&["tag", "--major"]).ends(2).says("date tags have no major");
    place.commit(3, "not pushed");
    let ran = place.cli(&["tag"]).ends(1).says("error: cannot tag HEAD\n");
    ran.says("`branch` in [version] allows only what is on that branch");
    fs::write(place.path("repo/version"), "modified").unwrap();
    let ran = place.cli(&["tag"]).ends(1).says("error: cannot tag HEAD\n");
    ran.says("a tag is of what is committed").never_says("deployed");
    place.cli(&["deploy", "latest"]).ends(1).says("error: deploy \"release/");
}

#[test]
fn a_lock_by_hand_keeps_others_out_until_it_is_removed() {
    let place = Place::new();
    place.cli(&["lock"]).ends(2).says("--message");
    place.cli(&["lock", "-m", "the database moves", "--until", "yesterday"]).ends(2);
    place.cli(&["lock", "-m", "the database moves", "--until", "2h"]).ends(0).says("until $MOMENT");
    place
        .cli(&["deploy"])
        .ends(5)
        .says("locked by ann@$HOST (by hand)")
        .says("the database moves")
        .says("`deploy-cli unlock` removes it");
    place.cli(&["lock", "-m", "me too"]).ends(5);
    place.cli(&["status"]).ends(0).says("the database moves");
    place.cli(&["unlock", "--hosts", "typo"]).ends(1).says("matches no host");
    place.cli(&["unlock", "--hosts", "local"]).ends(0).says("left the lock of ann@$HOST");
    place.cli(&["deploy"]).ends(5);
    place.cli(&["unlock"]).ends(0).says("removed the lock of ann@$HOST");
    place.cli(&["unlock"]).ends(0).says("mockbase was not locked");
    place.cli(&["deploy"]).ends(0);
}

#[test]
fn unlock_and_show_of_a_host_tell_a_program_one_value() {
    let place = Place::new();
    let one = |words: &[&str]| -> serde_json::Value {
        let said = place.cli(words).ends(0).stdout;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    place.cli(&["deploy"]).ends(0);
    place.cli(&["lock", "-m", "the database moves"]).ends(0);
    let unlocked = one(&["unlock", "--json"]);
    assert_eq!(unlocked["lock_removed"]["why"], "the database moves");
    assert_eq!(unlocked["claims"], serde_json::json!([]));
    assert_eq!(one(&["unlock", "--json"])["lock_removed"], serde_json::Value::Null);
    // What cannot be read may be anybody's: it is removed for who says so.
    let claim = place.path("srv/deploy-cache/claim.json");
    std::fs::write(&claim, "{").unwrap();
    let ran = place.cli(&["unlock", "--json"]).ends(5);
    let left: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&left["claims"][0]["target"], &left["claims"][0]["removed"]),
        (&"local".into(), &false.into())
    );
    assert_eq!(one(&["unlock", "--json", "--yes"])["claims"][0]["removed"], true);
    assert!(!claim.exists());

    let said = one(&["show", "last", "--host", "local", "--json"]);
    assert_eq!(said["host"], "local");
    assert!(said["output"].is_string() && said["run"].is_string(), "{said}");
    place
        .cli(&["show", "last", "--host", "nosuch"])
        .ends(1)
        .says("nosuch is no host of run $RUN")
        .says("hint: deploy-cli show $RUN names its hosts");
}

#[test]
fn none_is_no_number_of_lines() {
    let place = Place::new();
    for words in [&["versions", "-n", "0"][..], &["history", "-n", "0"], &["history", "-n", "x"]] {
        place.cli(words).ends(2).says("'--number <NUMBER>'");
    }
    place.cli(&["versions", "-n", "1"]).ends(0).says("release/2026-01-01/1");
}

#[test]
fn details_of_hosts_are_for_those_who_ask() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    place.version(2, "two");
    let told = "unchanged files ";
    place.cli(&["plan"]).ends(0).never_says(told);
    place.cli(&["plan", "-v"]).ends(0).says("local: ").says(told);
    place.cli(&["doctor", "-v"]).says(told);
    place.cli(&["deploy", "-v"]).ends(0).says(told);
}

#[test]
fn environments_are_kept_apart() {
    let place = Place::bare();
    place.configure("[environment.beta]\n[environment.production]\n");
    place.version(1, "one");
    place.cli(&["plan"]).ends(1).says("hint: --env beta | --env production");
    place.cli(&["plan", "--env", "bet"]).ends(1).says("did you mean `beta`?");
    place.cli(&["--env", "beta", "lock", "-m", "beta only"]).ends(0).says("mockbase in beta");
    place.cli(&["--env", "production", "deploy"]).ends(0);
    place
        .cli(&["--env", "beta", "deploy"])
        .ends(5)
        .says("`deploy-cli unlock --env beta` removes it");
    for (words, hint) in [
        (["deploy", "--hosts", "zzz"], "`deploy-cli status --env beta` lists the hosts"),
        (["deploy", "--hosts", "@1999/failed"], "`deploy-cli history --env beta` lists the runs"),
        (["show", "1999", "-v"], "`deploy-cli history --env beta` lists them"),
    ] {
        let ran = place.cli(&[&["--env", "beta"], &words[..]].concat());
        ran.ends(1).says(hint);
    }
    place.cli(&["--env", "production", "history"]).ends(0).says("complete");
    place.cli(&["--env", "beta", "history"]).ends(0).says("no run yet");
    let ran = place.cli(&["--env", "beta", "plan", "production"]).ends(1);
    ran.says("production is an environment: `--env production` chooses it");
}

#[test]
fn usage_and_help() {
    let place = Place::new();
    place.cli(&[]).ends(2);
    place.cli(&["deplo"]).ends(2).says("deploy");
    place.cli(&["deploy", "--batch", "0"]).ends(2).says("never end");
    place.cli(&["--help"]).ends(0).says("Exit codes: 0 done");
    place.cli(&["--version"]).ends(0).says("deploy-cli 0.");
    place.cli(&["show", "nothing"]).ends(1).says("there is no run \"nothing\"");
    place.cli(&["history"]).ends(0).says("no run yet");
}

#[test]
fn variables_set_keys_and_are_named_when_they_are_wrong() {
    let place = Place::new();
    let with = |name: &str, value: &str| {
        let output = place.command(&["config"]).env(name, value).output().unwrap();
        place.ran(&output)
    };
    let kept = with("DEPLOY_CFG__LAYOUT__KEEP", "9").ends(0).stdout;
    let line = kept.lines().find(|line| line.starts_with("layout.keep")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["layout.keep", "DEPLOY_CFG__LAYOUT__KEEP", "9"]);
    with("DEPLOY_CFG__LAYOUT__SHARED", "[\"log\"]").ends(0).says("[\"log\"]");
    with("DEPLOY_CFG__SSH__USR", "x").ends(1).says("DEPLOY_CFG__SSH__USR: ssh.usr: unknown key");
    with("DEPLOY_CFG__ENVIRONMENT__BETA__APP", "x").ends(1).says("defined in deploy.toml only");
    with("DEPLOY_LIVE_PATH", "x").ends(0).never_says("DEPLOY_LIVE_PATH");
}

#[test]
fn a_variable_is_the_text_that_was_typed_where_text_is_wanted() {
    let place = Place::new();
    for (key, typed, shown) in [
        ("VARS__P", "00123", "\"00123\""),
        ("VARS__P", "1.10", "\"1.10\""),
        ("VARS__T__P", "1e3", "\"1e3\""),
        ("VARS__P", "-5", "-5"),
        ("VARS__P", "1.5", "1.5"),
        ("VARS__P", "true", "true"),
        ("VARS__P", "\"5\"", "\"5\""),
        ("HOST_VARS__LOCAL__P", "007", "\"007\""),
        ("RESTART__COMMAND", "true", "\"true\""),
        ("FETCH__COMMAND", "false", "\"false\""),
        ("STATE_DIR", "0123", "\"0123\""),
        ("VERSION__PREFIX", "1.10", "\"1.10\""),
        ("APP", "123", "\"123\""),
        ("RUN__ATTEMPTS", "4", "4"),
    ] {
        let name = format!("DEPLOY_CFG__{key}");
        let mut command = place.command(&["config"]);
        if key.starts_with("FETCH") {
            command.env("DEPLOY_CFG__FETCH__METHOD", "archive");
        }
        let output = command.env(&name, typed).output().unwrap();
        let said = place.ran(&output).ends(0).stdout;
        let line = said.lines().find(|line| line.contains(&format!(" {name} ")));
        let value = line.and_then(|line| line.split_whitespace().nth(2));
        assert_eq!(value, Some(shown), "{name}={typed}: {said}");
    }
    // In a list and in the file it is for the person to say so.
    let output = place.command(&["config"]).env("DEPLOY_CFG__LAYOUT__SHARED", "[1.10]").output();
    place.ran(&output.unwrap()).ends(1).says("found").says("put it in quotes");
    place.reconfigure("app = \"mockbase\"", "app = 123");
    place.cli(&["config"]).ends(1).says("found the number `123`").says("hint: put it in quotes");
}

#[test]
fn what_a_run_leaves_is_for_its_owner_or_the_group_of_a_shared_repository() {
    use std::os::unix::fs::PermissionsExt;
    let mode =
        |path: std::path::PathBuf| std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    for (shared, directory, file) in [("false", 0o750, 0o640), ("group", 0o2770, 0o660)] {
        let place = Place::new();
        place.git(&["config", "core.sharedRepository", shared]);
        place.cli(&["deploy"]).ends(0);
        let state = place.path("repo/.git/deploy/mockbase/default");
        let run = std::fs::read_dir(state.join("runs")).unwrap().next().unwrap().unwrap().path();
        for made in [state.clone(), run.clone(), run.join("output")] {
            assert_eq!(mode(made.clone()), directory, "{}", made.display());
        }
        for made in [state.join("lock"), run.join("journal.jsonl"), run.join("plan.json")] {
            // The umask may take from a file's mode, and adds nothing.
            assert_eq!(mode(made.clone()) & !file, 0, "{}", made.display());
        }
    }
}
