//! Input that was not meant, or was meant ill: variables, files, other users' state directories.

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use crate::place::{Place, Ran};

fn with(place: &Place, words: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = place.command(words);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    place.ran(&output)
}

/// deploy-cli under a limit that a shell sets.
fn under(place: &Place, limit: &str, words: &[&str]) -> Command {
    let plain = place.command(words);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{limit}; exec \"$0\" \"$@\""))
        .arg(plain.get_program())
        .args(plain.get_args());
    shell.env_clear().envs(plain.get_envs().filter_map(|(name, set)| Some((name, set?))));
    shell.current_dir(place.path("repo")).stdin(Stdio::null());
    shell
}

#[test]
fn a_filter_from_an_unset_variable_is_not_the_whole_fleet() {
    let place = Place::new();
    for empty in ["", " , "] {
        place.cli(&["deploy", "--hosts", empty]).ends(1).says("--hosts is empty");
    }
    fs::write(place.path("nobody"), "# none\n").unwrap();
    let file = format!("@{}", place.path("nobody").display());
    place.cli(&["deploy", "--hosts", &file]).ends(1).says("matches no host");
    place.cli(&["deploy", "--hosts", "@/dev/zero"]).ends(1).says("longer than 16 MiB");
    place.cli(&["deploy", "--hosts", "h[1-99999999]"]).ends(1).says("more than 100000 hosts");
    assert_eq!(place.live(), "", "nothing was touched");
}

#[test]
fn no_variable_is_quietly_without_effect() {
    let place = Place::new();
    let refused = |name: &str, value: &str, said: &str| {
        with(&place, &["plan"], &[(name, value)]).ends(1).says(name).says(said);
    };
    refused("DEPLOY_CFG__SSH____USER", "x", "names no key");
    refused("DEPLOY_CFG__", "x", "names no key");
    refused("DEPLOY_CFG__SSH", "x", "expected a table");
    let item = [("DEPLOY_CFG__GROUP__0__HOSTS", "[\"a\"]")];
    with(&place, &["plan"], &item).ends(1).says("DEPLOY_CFG__GROUP: group: expected a list");
    refused("DEPLOY_CFG__STATE_DIR", "", "is empty");
    refused("DEPLOY_CFG__STATE_DIR", "~/deploy", "is not expanded");
    refused("DEPLOY_CFG__SSH__USER", "", "is empty");
    refused("DEPLOY_CFG__SSH__HEARTBEAT", "0s", "no time at all");
    refused("DEPLOY_CFG__SSH__MAX_STARTS", "0", "from 1");
    refused("DEPLOY_CFG__RUN__ATTEMPTS", "0", "from 1");
    refused("DEPLOY_CFG__RUN__TIMEOUTS__FETCH", "2000000000000h", "longer than a year");
}

#[test]
fn a_variable_can_choose_the_environment() {
    let place = Place::bare();
    place.configure(
        "[environment.beta.layout]\nkeep = 7\n[environment.production.layout]\nkeep = 9\n",
    );
    place.version(1, "one");
    let chosen = [("DEPLOY_CFG__DEFAULT_ENVIRONMENT", "beta")];
    with(&place, &["config"], &chosen).ends(0).says("mockbase/beta");
    with(&place, &["deploy"], &chosen).ends(0);
    assert!(place.path("repo/.git/deploy/mockbase/beta/lock").exists());
    let unknown = [("DEPLOY_CFG__DEFAULT_ENVIRONMENT", "betta")];
    with(&place, &["plan"], &unknown).ends(1).says("did you mean `beta`?");
    with(&place, &["plan"], &[]).ends(1).says("say which");
}

#[test]
fn a_configuration_without_end_is_refused() {
    let place = Place::new();
    place.cli(&["--config", "/dev/zero", "plan"]).ends(1).says("longer than 4 MiB");
    place.cli(&["--config", "/", "plan"]).ends(1).says("directory");
}

#[test]
fn what_others_put_into_the_state_directory_is_inert() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    let state = place.path("repo/.git/deploy/mockbase/default");
    let lock = "{\"who\":\"x\u{1b}]0;gone\u{7}\\u001b[2J\\nann\",\"host\":\"h\\u202e\",\"pid\":1,\
                \"why\":\"\\u001b[31m\",\"since\":\"2026-01-01T00:00:00Z\",\"run\":null,\
                \"until\":null}";
    fs::write(state.join("lock"), lock.replace(['\u{1b}', '\u{7}'], "")).unwrap();
    for words in [&["deploy"][..], &["status"], &["unlock", "--lock-only"]] {
        let ran = place.cli(words).says("x]0;gone\\x1b[2J\\nann@h\\u{202e}").never_says("\u{1b}");
        assert!([0, 5].contains(&ran.code), "{}", ran.all());
    }
    fs::write(state.join("lock"), "[".repeat(1 << 20)).unwrap();
    place.cli(&["status"]).ends(0);
    place.cli(&["deploy"]).ends(0);

    for (run, journal) in [("nothing", None), ("endless", Some("x".repeat(1 << 20)))] {
        let run = state.join("runs").join(run);
        fs::create_dir(&run).unwrap();
        match journal {
            None => symlink("/etc/passwd", run.join("journal.jsonl")).unwrap(),
            Some(text) => fs::write(run.join("journal.jsonl"), text).unwrap(),
        }
    }
    place.cli(&["history"]).ends(0).never_says("root:");
    place.cli(&["show", "nothing"]).ends(1).never_says("root:");
    place.cli(&["show", "endless"]).never_says("panicked");

    // Longer than any event: neither read whole, nor waited for.
    let flood = state.join("runs/flood");
    fs::create_dir(&flood).unwrap();
    let sparse = fs::File::create(flood.join("journal.jsonl")).unwrap();
    sparse.set_len(8 << 30).unwrap();
    for words in [&["show", "flood"][..], &["show", "--follow", "flood"]] {
        let limited = under(&place, "ulimit -v 2000000", words).output().unwrap();
        place.ran(&limited).ends(1).says("too long");
    }
    place.cli(&["status"]).ends(0);
}

#[test]
fn a_waiting_run_shows_the_holder_of_the_lock_as_text() {
    let place = Place::new();
    place.cli(&["--as", "a\u{1b}[2Jb", "lock", "-m", "why"]).ends(0);
    let mut waiting = place.command(&["deploy", "--wait"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(waiting.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    place.cli(&["unlock", "--lock-only"]).ends(0);
    assert!(waiting.wait().unwrap().success());
    assert!(line.contains("a\\x1b[2Jb@"), "{line:?}");
}

#[test]
fn links_in_the_place_of_runs_lead_nowhere() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    let runs = place.path("repo/.git/deploy/mockbase/default/runs");
    symlink("/etc", runs.join("linked")).unwrap();
    place.cli(&["history"]).ends(0).never_says("linked");
    fs::remove_file(runs.join("linked")).unwrap();
    let aside = place.path("aside");
    fs::rename(&runs, &aside).unwrap();
    symlink(&aside, &runs).unwrap();
    place.cli(&["history"]).ends(0).says("no run yet");
    place.cli(&["deploy"]).ends(1);
    assert_eq!(fs::read_dir(&aside).unwrap().count(), 1, "nothing was written there");
    fs::remove_file(&runs).unwrap();
    fs::rename(&aside, &runs).unwrap();
    let state = runs.parent().unwrap();
    fs::rename(state, place.path("elsewhere")).unwrap();
    symlink(place.path("elsewhere"), state).unwrap();
    place.cli(&["deploy"]).ends(0);
    place.cli(&["history"]).ends(0).says("complete");
}

/// The journal is lost at every point at which a run writes it.
#[test]
fn a_run_whose_journal_may_not_grow_ends_in_order() {
    let mut lost = 0;
    for blocks in 1..=12 {
        let place = Place::new();
        place.cli(&["deploy"]).ends(0);
        place.version(2, "two");
        let limit = format!("ulimit -f {blocks}");
        let ran = place.ran(&under(&place, &limit, &["deploy"]).output().unwrap());
        assert!([0, 1, 3, 4, 6, 130].contains(&ran.code), "{blocks}: {}", ran.all());
        if ran.all().contains("the journal") {
            lost += 1;
        }
        if ran.code == 1 {
            assert_eq!(place.live(), "one", "{blocks}: {}", ran.all());
        }
        place.cli(&["unlock", "--lock-only"]).ends(0).says("was not locked");
        place.cli(&["deploy"]).ends(0);
        assert_eq!((place.live(), place.running()), ("two".into(), "two".into()));
    }
    assert!(lost > 1, "the limit was never met");
}

#[test]
fn where_one_stands() {
    let place = Place::new();
    fs::create_dir_all(place.path("repo/a/b")).unwrap();
    let at = |directory: &str, words: &[&str]| {
        let output = place.command(words).current_dir(place.path(directory)).output().unwrap();
        place.ran(&output)
    };
    at("repo/a/b", &["deploy"]).ends(0);
    place.git(&["worktree", "add", "-q", "../tree"]);
    // The same lock and the same runs.
    at("tree", &["history"]).ends(0).says("complete");
    at("origin.git", &["plan"]).ends(1).says("bare repository");
    at("home", &["plan"]).ends(1).says("change into the repository");
    let without_git = place.command(&["plan"]).env("PATH", "/nowhere").output().unwrap();
    place.ran(&without_git).ends(1).says("install git");
    let without_home = place.command(&["status"]).env_remove("HOME").output().unwrap();
    place.ran(&without_home).ends(0);
}

#[test]
fn a_checkout_whose_path_is_no_text_keeps_its_runs_beside_it() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let odd = place.path("").join(std::ffi::OsStr::from_bytes(b"odd\xff"));
    fs::rename(place.path("repo"), &odd).unwrap();
    let output = place.command(&["deploy"]).current_dir(&odd).output().unwrap();
    place.ran(&output).ends(0);
    assert!(odd.join(".git/deploy/mockbase/default/lock").exists());
}
