//! Completions, in the shells that use them; and manual pages, as `man` shows them.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::place::Place;

/// A place with tags, environments and a run, and the completions of `shell` beside it.
fn place(shell: &str) -> Place {
    let place = Place::new();
    place.configure(
        "[environment.beta]\n[environment.production]\n\
         group = [{ name = \"default\", hosts = [\"web[01-03]\"] }]\n",
    );
    // What a shell would run, if it were pasted and entered.
    place.git(&["tag", "v1;touch${IFS}pwned"]);
    let script = place.cli(&["completions", shell]).ends(0).stdout;
    fs::write(place.path("completions"), script).unwrap();
    place
}

/// Runs `program` with `words`, with the program that completes on its path.
fn shell(place: &Place, program: &str, words: &[&str]) -> Output {
    let built = Path::new(env!("CARGO_BIN_EXE_deploy-cli")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.args(words).current_dir(place.path("repo")).env("HOME", place.path("home"));
    command.env("PATH", format!("{}:{path}", built.display()));
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask test` installs it"))
}

#[track_caller]
fn said(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect()
}

/// What bash offers for the last of `words`.
#[track_caller]
fn bash(place: &Place, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source ../completions\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_TYPE=9\n\
         _clap_complete_deploy_cli deploy-cli '{}' ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        quoted.join(" "),
        words.len() - 1,
        words.last().unwrap(),
    );
    said(&shell(place, "bash", &["--norc", "-c", &script]))
}

/// What zsh offers, which shows it on a terminal only: its own function that shows is replaced.
#[track_caller]
fn zsh(place: &Place, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "compdef() {{ :; }}\nsource ../completions\n_describe() {{ print -l -- ${{(P)3}}; }}\n\
         words=({})\nCURRENT={}\n_clap_dynamic_completer_deploy_cli\n",
        quoted.join(" "),
        words.len(),
    );
    said(&shell(place, "zsh", &["-f", "-c", &script]))
}

/// What fish offers for a line.
#[track_caller]
fn fish(place: &Place, line: &str) -> Vec<String> {
    let script = format!("source ../completions; complete --do-complete '{line}'");
    said(&shell(place, "fish", &["--no-config", "--command", &script]))
}

#[test]
fn bash_completes() {
    let place = place("bash");
    let script = place.path("completions");
    said(&shell(&place, "bash", &["-n", script.to_str().unwrap()]));
    assert_eq!(bash(&place, &["deploy-cli", "roll"]), ["rollback"]);
    assert_eq!(
        bash(&place, &["deploy-cli", "deploy", "--allow-d"]),
        ["--allow-dirty", "--allow-downgrade"]
    );
    assert_eq!(bash(&place, &["deploy-cli", "deploy", "rel"]), ["release/2026-01-01/1"]);
    let hosts = ["deploy-cli", "--env", "production", "status", "--hosts", "web01,!we"];
    assert_eq!(bash(&place, &hosts), ["web01,!web02", "web01,!web03"]);
    assert_eq!(bash(&place, &["deploy-cli", "--env", ""]), ["beta", "production"]);
    // A tag that would be more than a word is not offered.
    let versions = bash(&place, &["deploy-cli", "deploy", "v"]);
    assert_eq!(versions, [""]);
}

#[test]
fn zsh_completes() {
    let place = place("zsh");
    let script = place.path("completions");
    said(&shell(&place, "zsh", &["-n", script.to_str().unwrap()]));
    let commands = zsh(&place, &["deploy-cli", "roll"]);
    assert!(commands[0].starts_with("rollback:Bring the hosts back"), "{commands:?}");
    assert_eq!(zsh(&place, &["deploy-cli", "deploy", "rel"]), ["release/2026-01-01/1"]);
    let hosts = ["deploy-cli", "status", "--hosts", "web03,"];
    assert_eq!(zsh(&place, &hosts), ["web03,local", "web03,web01", "web03,web02"]);
}

#[test]
fn fish_completes() {
    let place = place("fish");
    let script = place.path("completions");
    said(&shell(&place, "fish", &["--no-execute", script.to_str().unwrap()]));
    let commands = fish(&place, "deploy-cli roll");
    assert!(commands[0].starts_with("rollback\tBring the hosts back"), "{commands:?}");
    assert_eq!(fish(&place, "deploy-cli deploy rel"), ["release/2026-01-01/1"]);
    assert_eq!(
        fish(&place, "deploy-cli --env production status --hosts web02,web0"),
        ["web02,web01", "web02,web03"]
    );
}

#[test]
fn runs_and_keys_are_completed_and_nothing_is_said_where_nothing_is_known() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    let script = place.cli(&["completions", "fish"]).ends(0).stdout;
    fs::write(place.path("completions"), script).unwrap();
    let runs = fish(&place, "deploy-cli show ");
    let kept = fs::read_dir(place.path("repo/.git/deploy/mockbase/default/runs")).unwrap();
    let run = kept.flatten().next().unwrap().file_name().into_string().unwrap();
    assert!(runs.contains(&"last".to_owned()) && runs.contains(&run), "{runs:?}");
    let failed = format!("@{run}/failed");
    assert_eq!(fish(&place, &format!("deploy-cli status --hosts @{run}/fai")), [failed]);
    assert_eq!(fish(&place, "deploy-cli config layout.k"), ["layout.keep"]);
    let key = "check.answers.interval";
    assert_eq!(fish(&place, "deploy-cli config check.answers.int"), [key]);
    place.cli(&["config", key]).ends(0).says("100ms");

    let nowhere = Place::bare();
    fs::copy(place.path("completions"), nowhere.path("completions")).unwrap();
    assert_eq!(fish(&nowhere, "deploy-cli status --hosts w"), Vec::<String>::new());
    // A shell that is not known is told nothing, and nothing is run.
    let mut command = place.command(&["--", "deploy-cli", "deploy", ""]);
    let output = command.env("DEPLOY_CLI_COMPLETE", "tcsh").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
}

#[test]
fn manual_pages_are_shown_without_a_warning() {
    let place = Place::bare();
    place.cli(&["man", "pages"]).ends(0).says("manual pages to $PLACE/repo/pages");
    let mut seen = 0;
    for entry in fs::read_dir(place.path("repo/pages")).unwrap() {
        let page = entry.unwrap().path();
        let mut man = Command::new("man");
        // Warnings of all kinds, on a terminal as wide as most.
        man.args(["--local-file", "--warnings=w", "--encoding=UTF-8"]).arg(&page);
        man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80").env("PAGER", "cat");
        let output = man.output().unwrap_or_else(|error| panic!("man: {error}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}: {output:?}",
            page.display()
        );
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(text.contains(section), "{}: no {section}\n{text}", page.display());
        }
        if page.ends_with("deploy-cli-deploy.1") {
            // Examples keep their lines.
            let example = "deploy-cli deploy --plan next.plan --yes --wait";
            assert!(text.lines().any(|line| line.trim() == example), "{text}");
        }
        seen += 1;
    }
    assert!(seen > 20, "a page for each command: {seen}");
    assert!(place.path("repo/pages/deploy-cli-service-restart.1").exists());
}
