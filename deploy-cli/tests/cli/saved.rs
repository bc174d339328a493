//! Saved plans: reviewed, then applied exactly or not at all.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::place::Place;

/// A place that serves version "one"; a plan for "two" is saved as `plan`.
fn planned() -> Place {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    place.version(2, "two");
    place.cli(&["plan", "-o", "../plan"]).ends(0).says("saved as ../plan, sha256");
    place
}

fn text(place: &Place) -> String {
    fs::read_to_string(place.path("plan")).unwrap()
}

/// Refused as a run, with nothing touched.
fn refused(place: &Place) -> String {
    let ran = place.cli(&["deploy", "--plan", "../plan"]).ends(1);
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"), "{}", ran.all());
    ran.all()
}

#[test]
fn a_saved_plan_is_text_for_people_and_is_applied_once() {
    let place = planned();
    let file = text(&place);
    let (words, json): (Vec<&str>, Vec<&str>) =
        file.lines().partition(|line| line.starts_with('#'));
    assert_eq!(words[0], "# deploy-cli plan, format 1");
    assert!(words[2].starts_with("# made ") && words[2].contains(" by ann on "), "{file}");
    assert_eq!(words[4], "# deploy mockbase: release/2026-01-02/1 (".to_owned() + &words[4][41..]);
    assert!(words.contains(&"#   local  release/2026-01-01/1 → release/2026-01-02/1"), "{file}");
    let json: serde_json::Value = serde_json::from_str(&json.join("\n")).unwrap();
    assert_eq!(json["asked"]["version"]["name"], "release/2026-01-02/1");
    let digest = file.lines().last().unwrap().strip_prefix("# sha256 ").unwrap();
    let digest = place.mask(digest);

    let ran = place.cli(&["deploy", "--plan", "../plan"]).ends(0);
    let ran = ran.says("applying ../plan of ann, $MOMENT").says(&digest);
    ran.says("1 deployed");
    assert_eq!((place.live().as_str(), place.running().as_str()), ("two", "two"));
    place.cli(&["show"]).ends(0).says("applied the saved plan with sha256").says(&digest);
    let json = place.cli(&["show", "--json"]).ends(0).stdout;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["info"]["saved_plan"], digest);

    // Once applied, everything has moved.
    let ran = place.cli(&["deploy", "--plan", "../plan"]).ends(1);
    ran.says("the saved plan does not hold any more:")
        .says("local: live: was release/2026-01-01/1 (run $RUN by ann), is release/2026-01-02/1")
        .says("last run: was $RUN, is $RUN, deploy release/2026-01-02/1 by ann")
        .says("make it anew, and have it reviewed again");
}

#[test]
fn the_file_is_whole_and_for_everybody_and_replaces_nothing_but_files() {
    let place = planned();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("plan"), 0o644);
    place.cli(&["plan", "-o", "../plan"]).ends(0);
    fs::create_dir(place.path("directory")).unwrap();
    std::os::unix::fs::symlink(place.path("plan"), place.path("link")).unwrap();
    for there in ["../directory", "../link", "/dev/null"] {
        place.cli(&["plan", "-o", there]).ends(1).says("there is something that is no file");
    }
    place
        .cli(&["plan", "-o", "../no/such/place"])
        .ends(1)
        .says("no/such/place")
        .says("hint: mkdir -p ../no/such")
        .never_says("deploy mockbase");
    let left = fs::read_dir(place.path("")).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".deploy"));
    assert_eq!(left.count(), 0, "nothing half-written is left");
}

#[test]
fn a_plan_goes_to_standard_output_alone() {
    let place = planned();
    let ran = place.cli(&["plan", "--output", "-"]).ends(0);
    assert!(ran.stdout.starts_with("# deploy-cli plan, format 1\n"), "{}", ran.all());
    assert!(ran.stdout.lines().last().unwrap().starts_with("# sha256 "), "{}", ran.all());
    place.cli(&["plan", "--json", "-o", "-"]).ends(2).says("both mean standard output");
    let lines = place.cli(&["plan", "--json", "-o", "../plan"]).ends(0).stdout;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), lines[0]["direction"].as_str()), (2, Some("forward")));
    let said = format!("# sha256 {}\n", lines[1]["sha256"].as_str().unwrap());
    assert!(place.mask(&text(&place)).ends_with(&said), "{said}");
}

#[test]
fn what_was_damaged_edited_or_is_no_plan_is_refused() {
    let place = planned();
    let good = text(&place);
    let again = |text: &str| {
        let above = text.rsplit_once("# sha256 ").unwrap().0;
        use sha2::Digest;
        let hash = sha2::Sha256::digest(above);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{above}# sha256 {hash}\n")
    };
    let to_three = good.replace("release/2026-01-02/1", "release/2026-01-03/1");
    let words_only = good.replacen("→ release/2026-01-02/1", "→ release/2026-01-03/1", 1);
    for (text, why) in [
        (to_three, "its digest does not fit: it was damaged or edited"),
        (
            good.replacen("\"redeploy\"", "\"redeplay\"", 1).replacen("# made", "# Made", 1),
            "digest",
        ),
        (good[..good.len() / 2].to_owned(), "a part is missing"),
        (good.replacen("format 1", "format 2", 1), "it has format 2"),
        (String::new(), "it is no saved plan"),
        ("{}".to_owned(), "it is no saved plan"),
        (again(&words_only), "its comments are not the words of its plan"),
        (again(&good.replacen("\"format\": 1", "\"format\": 1, \"more\": 2", 1)), "not the words"),
        (again("# deploy-cli plan, format 1\n{}\n# sha256 "), "what it says is no plan"),
    ] {
        fs::write(place.path("plan"), text).unwrap();
        let told = refused(&place);
        assert!(told.contains(why) && told.contains("makes it anew"), "{why:?} is not in\n{told}");
    }
    fs::remove_file(place.path("plan")).unwrap();
    assert!(refused(&place).contains("read the saved plan $PLACE/repo/../plan"));
    place.cli(&["history"]).ends(0).never_says("refused");
}

#[test]
fn another_version_under_the_same_name_or_none_is_refused() {
    let place = planned();
    place.commit(3, "three");
    place.git(&["tag", "-f", "-a", "-m", "moved", "release/2026-01-02/1"]);
    place.git(&["push", "-q", "origin", "main"]);
    assert!(refused(&place).contains("version release/2026-01-02/1: was $COMMIT, is $COMMIT"));
    place.git(&["tag", "-d", "release/2026-01-02/1"]);
    assert!(refused(&place).contains("version release/2026-01-02/1: was $COMMIT, is not here any"));
    // A newer version changes nothing: the plan is for the one that was reviewed.
    let place = planned();
    place.version(3, "three");
    place.cli(&["deploy", "--plan", "../plan"]).ends(0);
    assert_eq!(place.live(), "two");
}

#[test]
fn a_commit_that_is_gone_is_refused() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    place.commit(2, "two");
    place.git(&["push", "-q", "origin", "main"]);
    place.cli(&["plan", "main", "-o", "../plan"]).ends(0);
    place.git(&["reset", "-q", "--hard", "HEAD~1"]);
    place.git(&["push", "-q", "-f", "origin", "main"]);
    place.git(&["reflog", "expire", "--expire=now", "--all"]);
    place.git(&["gc", "-q", "--prune=now"]);
    assert!(refused(&place).contains("is not in this repository"));
}

#[test]
fn another_configuration_is_refused_key_by_key() {
    let place = planned();
    let path = place.path("repo/deploy.toml");
    let before = fs::read_to_string(&path).unwrap();
    for (from, to, told) in [
        ("keep = 3", "keep = 4", "layout.keep: was 3, is 4"),
        ("\"20s\"", "\"30s\"", "check.answers.timeout: was \"20s\", is \"30s\""),
        (
            "method = \"command\"",
            "service = \"s\"\nmethod = \"command\"",
            "restart.service: was not set",
        ),
        ("[layout]", "[run]\non_breach = \"leave\"\n[layout]", "run: on_breach: was ask, is leave"),
        ("hosts = [", "batch = 1\nmax_failures = 1\nhosts = [", "group default: budget: was stops"),
        ("hosts = [", "hosts = [\"localhost\", ", "localhost: host: was not among the hosts"),
        ("[layout]", "[ssh]\nuser = \"bob\"\n[layout]", "ssh.user: was not set, is \"bob\""),
        (
            "[[check]]",
            "[[step]]\nname = \"build\"\nstage = \"fetch\"\ncommand = \"true\"\n[[check]]",
            "step.build.command: was not set, is \"true\"",
        ),
    ] {
        assert!(before.contains(from), "{from}");
        fs::write(&path, before.replace(from, to)).unwrap();
        place.git(&["commit", "-q", "-a", "-m", "configure"]);
        let ran = refused(&place);
        assert!(ran.contains(told), "{told:?} is not in\n{ran}");
    }
    fs::write(&path, before).unwrap();
    place.git(&["commit", "-q", "-a", "-m", "as it was"]);
    place.cli(&["deploy", "--plan", "../plan"]).ends(0);
}

#[test]
fn a_value_of_a_variable_is_not_kept_and_is_compared_all_the_same() {
    let place = Place::new();
    let with = |value: &str, words: &[&str]| {
        let mut command = place.command(words);
        let output = command.env("DEPLOY_CFG__SSH__USER", value).output().unwrap();
        place.ran(&output)
    };
    with("s3cret", &["plan", "-o", "../plan"]).ends(0);
    assert!(!text(&place).contains("s3cret"));
    let ran = with("other", &["deploy", "--plan", "../plan"]).ends(1);
    ran.says("ssh.user: was \"sha256 ").never_says("other").never_says("s3cret");
    with("s3cret", &["deploy", "--plan", "../plan"]).ends(0);
}

#[test]
fn a_run_in_between_is_named_and_one_that_touched_nothing_is_none() {
    let place = planned();
    place.cli(&["lock", "-m", "not now"]).ends(0);
    place.cli(&["deploy", "--plan", "../plan"]).ends(5).says("not now");
    place.cli(&["unlock"]).ends(0);
    // Refused for what is live, before anything was touched.
    place.cli(&["deploy", "--hosts", "nosuch"]).ends(1);
    place.version(3, "broken");
    place.cli(&["deploy"]).ends(3);
    let told = refused(&place);
    assert!(
        told.contains("last run: was $RUN, is $RUN, deploy release/2026-01-03/1 by ann"),
        "{told}"
    );
    assert!(told.contains("local: live: was release/2026-01-01/1 (run $RUN by ann), is release/2026-01-01/1 (run $RUN by ann)"), "{told}");
    // A command may have changed anything.
    place.cli(&["plan", "release/2026-01-02/1", "-o", "../plan"]).ends(0);
    place.cli(&["run", "--", "true"]).ends(0);
    let told = refused(&place);
    assert!(told.contains("last run: was $RUN, is $RUN, run"), "{told}");
    // The plan made anew is applied; that this one was refused twice is no run in between.
    place.cli(&["plan", "release/2026-01-02/1", "-o", "../plan"]).ends(0);
    place.cli(&["plan", "-o", "../other"]).ends(0);
    place.cli(&["deploy", "--plan", "../plan"]).ends(0);
    assert_eq!(place.live(), "two");
}

#[test]
fn a_plan_is_applied_where_it_was_made_for() {
    let place = Place::bare();
    place.configure("[environment.beta]\n[environment.production]\n");
    place.version(1, "one");
    place.cli(&["--env", "beta", "plan", "-o", "../plan"]).ends(0).says("deploy --env beta --plan");
    place
        .cli(&["--env", "production", "deploy", "--plan", "../plan"])
        .ends(1)
        .says("../plan is for mockbase in beta; this is mockbase in production")
        .says("--env beta applies it there");
    place.cli(&["--env", "beta", "deploy", "--plan", "../plan"]).ends(0);
}

#[test]
fn a_rollback_is_saved_and_applied_as_one() {
    let place = planned();
    place.cli(&["deploy"]).ends(0);
    let ran = place.cli(&["plan", "previous", "-o", "../plan"]).ends(0);
    ran.says("apply it: deploy-cli rollback --plan ../plan");
    place.cli(&["deploy", "--plan", "../plan"]).ends(1).says("deploy-cli rollback --plan applies");
    place.cli(&["rollback", "--plan", "../plan"]).ends(0);
    assert_eq!((place.live().as_str(), place.running().as_str()), ("one", "one"));
    place.cli(&["plan", "-o", "../plan"]).ends(0);
    place.cli(&["rollback", "--plan", "../plan"]).ends(1).says("is the plan of a deploy");
}

#[test]
fn what_a_plan_says_cannot_be_said_again_beside_it() {
    let place = planned();
    for words in [["--batch", "1"], ["--hosts", "local"], ["--redeploy", "--yes"]] {
        let mut all = vec!["deploy", "--plan", "../plan"];
        all.extend(words);
        place.cli(&all).ends(2).says("cannot be used with");
    }
    place.cli(&["deploy", "latest", "--plan", "../plan"]).ends(2);
}

#[test]
fn options_of_the_plan_hold_when_it_is_applied() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    let hosts = ["plan", "--redeploy", "--hosts", "loc*", "--batch", "1", "-o", "../plan"];
    place.cli(&hosts).ends(0).says("(again)");
    assert!(text(&place).contains("# for 1 of the hosts only"));
    place.cli(&["deploy", "--plan", "../plan"]).ends(0).says("1 deployed");
}

#[test]
fn a_downgrade_is_allowed_when_it_is_applied() {
    let place = planned();
    place.cli(&["deploy"]).ends(0);
    place.cli(&["plan", "release/2026-01-01/1", "-o", "../plan"]).ends(0).says("BACKWARDS");
    place.cli(&["deploy", "--plan", "../plan"]).ends(1).says("--allow-downgrade");
    let ran = place.cli(&["deploy", "--plan", "../plan", "--allow-downgrade", "--json"]).ends(0);
    for line in ran.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["event"].is_string(), "{line}");
    }
    assert_eq!(place.live(), "one");
}

#[test]
fn no_plan_is_saved_while_a_run_is_at_work() {
    let place = Place::bare();
    let hold = place.path("hold");
    fs::write(&hold, "").unwrap();
    place.configure(&format!(
        "[[step]]\nname = \"waits\"\nstage = \"before-promote\"\n\
         command = \"while test -e {}; do sleep 0.1; done\"\n",
        hold.display()
    ));
    place.version(1, "one");
    let mut child = place.start(&["deploy"]);
    place.until("fetched", || place.said().contains("fetched on 1 host"));
    let ran = place.cli(&["plan", "-o", "../plan"]);
    fs::remove_file(hold).unwrap();
    child.wait().unwrap();
    ran.ends(5).says("locked by ann@$HOST (run $RUN").says("save the plan when it is over");
    assert!(!place.path("plan").exists());
    // A lock by hand is noted, and does not keep anybody from planning.
    place.cli(&["lock", "-m", "until Monday"]).ends(0);
    place.version(2, "two");
    place.cli(&["plan", "-o", "../plan"]).ends(0);
    assert!(text(&place).contains("# the lock was held by ann: until Monday"), "{}", text(&place));
    place.cli(&["unlock"]).ends(0);
    place.cli(&["deploy", "--plan", "../plan"]).ends(0);
}
