//! Strings that are not ours do nothing to a terminal or a shell.

use crate::place::Place;

#[test]
fn terminal_escapes_in_tags_subjects_and_reasons_are_shown() {
    let place = Place::new();
    std::fs::write(place.path("repo/version"), "two\n").unwrap();
    place.git(&["commit", "-qam", "clear \u{1b}[2J and \u{202e}turn"]);
    let tag = "release/2026-01-02/1";
    place.git(&["tag", "-a", "-m", "title \u{1b}]0;owned\u{7}\u{9b}31m", tag]);
    place.git(&["tag", "other\u{202e}\u{200b}"]);
    place.git(&["push", "-q", "origin", "main", tag]);
    for words in [
        &["versions"][..],
        &["plan"],
        &["deploy", "-m", "why \u{1b}[31m"],
        &["status"],
        &["history"],
        &["show"],
        &["lock", "-m", "why \u{1b}[31m\u{202e}"],
        &["deploy"],
        &["deploy", "other\u{202e}\u{200b}x"],
        &["unlock"],
        &["versions", "--json"],
        &["show", "--json"],
    ] {
        let ran = place.cli(words);
        for c in ['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\u{200b}'] {
            assert!(!ran.all().contains(c), "{words:?} printed {c:?}:\n{}", ran.all());
        }
    }
    place.cli(&["history"]).ends(0).says("why \\x1b[31m");
}

#[test]
fn a_branch_or_tag_of_shell_text_runs_nothing() {
    let place = Place::new();
    let name = "$(touch${IFS}owned)'\"`touch${IFS}owned`";
    place.git(&["tag", "-a", "-m", "x", "--", name]);
    place.git(&["push", "-q", "origin", &format!("refs/tags/{name}")]);
    let ran = place.cli(&["deploy", "--", name]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    for below in ["owned", "repo/owned", "srv/owned", "home/owned"] {
        assert!(!place.path(below).exists(), "{below}");
    }
    assert_eq!(place.live(), "one");
}

#[test]
fn the_state_directory_of_another_user_is_read_as_hostile() {
    let place = Place::new();
    place.cli(&["deploy"]).ends(0);
    let runs = place.path("repo/.git/deploy/mockbase/default/runs");
    let fake = runs.join("99991231-235959-ffff");
    std::fs::create_dir(&fake).unwrap();
    std::fs::write(fake.join("journal.jsonl"), "{\"event\":\"\u{1b}[2J\"}\nnonsense\n").unwrap();
    let link = runs.join("99991231-235959-fffe");
    std::fs::create_dir(&link).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", link.join("journal.jsonl")).unwrap();
    let ran = place.cli(&["history"]).ends(0).says("complete").never_says("root:");
    assert!(!ran.all().contains('\u{1b}'));
    place.cli(&["show", "99991231-235959-ffff"]).never_says("\u{1b}");
    place.cli(&["show", "99991231-235959-fffe"]).ends(1).never_says("root:");
}

#[test]
fn host_names_that_are_not_names_are_refused() {
    let place = Place::new();
    for name in [
        "a b",
        "$(touch owned)",
        "`touch owned`",
        "h1;touch owned",
        "-oProxyCommand=touch owned",
        "me@-oProxyCommand=touch",
        "h'1",
        "h\\\"1",
        "h1\\nh2",
        "../h1",
        "h1/../../h2",
        "\\u001b[2J",
        "h\\u202e1",
        "",
    ] {
        place.configure_hosts(&format!("hosts = [\"{name}\"]"), "");
        for words in [&["plan"][..], &["deploy"], &["status"]] {
            let ran = place.cli(words).ends(1).says("deploy.toml:").never_says("\u{1b}");
            assert!(!ran.all().contains('\u{202e}'), "{}", ran.all());
        }
    }
    place.configure("");
    for filter in ["$(touch owned)", "-oProxyCommand=x", "a b", "h\n1", "\u{1b}[2J", "@/dev/null"] {
        let ran = place.cli(&["deploy", &format!("--hosts={filter}")]).never_says("\u{1b}");
        assert!([1, 2].contains(&ran.code), "{filter:?}: {}", ran.all());
    }
    for below in ["owned", "repo/owned", "srv/owned", "home/owned"] {
        assert!(!place.path(below).exists(), "{below}");
    }
    place.cli(&["history"]).ends(0).says("no run yet");
}

#[test]
fn versions_that_are_options_or_commands_are_only_unknown() {
    let place = Place::new();
    for version in [
        "--upload-pack=touch owned",
        "-x",
        "a b",
        "$(touch owned)",
        "x\ny",
        "\u{1b}[2J",
        "refs/heads/../../x",
        "main..main",
        "",
    ] {
        let ran = place.cli(&["deploy", "--", version]).never_says("\u{1b}");
        assert!([1, 2].contains(&ran.code), "{version:?}: {}", ran.all());
    }
    for below in ["owned", "repo/owned", "srv/owned", "home/owned"] {
        assert!(!place.path(below).exists(), "{below}");
    }
    assert_eq!(place.live(), "");
}
