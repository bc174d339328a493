//! Each example does what it says.
#![expect(clippy::unwrap_used, reason = "what cannot be prepared fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The built example: `cargo test -p examples` builds them, and so does `cargo xtask test`.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    Command::new(target.join("examples").join(name))
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A repository with the versions `v1` and `v2`, and a `deploy.toml`.
fn repository(dir: &Path) -> PathBuf {
    let repository = dir.join("site");
    fs::create_dir(&repository).unwrap();
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(&repository).args(["-c", "user.name=x", "-c", "user.email=x@example.org"]);
        assert!(git.args(words).status().unwrap().success(), "git {words:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    let path = dir.join("unused/live");
    let config = format!(
        "app = \"site\"\n[layout]\npath = {path:?}\n[[group]]\nname = \"all\"\nhosts = [\"local\"]\n"
    );
    fs::write(repository.join("deploy.toml"), config).unwrap();
    for version in ["v1", "v2"] {
        fs::write(repository.join("index.html"), version).unwrap();
        git(&["add", "."]);
        git(&["commit", "-qm", version]);
        git(&["tag", version]);
    }
    repository
}

#[test]
fn embed_deploys_with_a_pipeline_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let live = dir.path().join("srv/live");
    fs::create_dir(dir.path().join("srv")).unwrap();
    for version in ["v1", "v2"] {
        let mut embed = example("embed");
        let output = embed.arg(&repository).arg(version).arg(&live).arg("local").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("1 of 1 deployed"), "{}", text(&output));
        assert_eq!(fs::read_to_string(live.join("index.html")).unwrap(), version);
    }
    let refused = example("embed").arg(&repository).arg("v9").arg(&live).arg("local").output();
    let refused = refused.unwrap();
    assert!(!refused.status.success(), "{}", text(&refused));
    assert_eq!(fs::read_to_string(live.join("index.html")).unwrap(), "v2");
}

#[test]
fn embed_is_short() {
    let lines = include_str!("../embed.rs").lines();
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//!")).count();
    assert!(code < 60, "{code} lines");
}

#[test]
fn a_transport_of_ones_own_keeps_every_promise() {
    let output = example("custom_transport").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output), "every promise is kept\n");
}

#[test]
fn a_reporter_of_ones_own_tells_of_the_way_back() {
    let output = example("custom_reporter").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let said = text(&output);
    assert!(said.starts_with("alice deploys shop\n  h1: "), "{said}");
    assert!(said.contains("  h1 is back\n"), "{said}");
    assert!(said.ends_with("ended with 3, 1 failed\n"), "{said}");
}

#[test]
fn a_binary_of_ones_own_has_all_commands_and_the_added_transport() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let root = dir.path().join("sites");
    let own = |words: &[&str]| {
        let mut own = example("own_binary");
        own.current_dir(&repository).env("SITE_ROOT", &root).args(words);
        own.output().unwrap()
    };
    let page = || fs::read_to_string(root.join("local/live/index.html")).unwrap();
    for (words, serves) in [
        (&["deploy", "v1", "--yes"][..], "v1"),
        (&["deploy", "v2", "--yes"], "v2"),
        (&["rollback", "--yes"], "v1"),
    ] {
        let output = own(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        assert_eq!(page(), serves, "{words:?}: {}", text(&output));
    }
    let status = own(&["status"]);
    assert!(text(&status).contains("v1"), "{}", text(&status));
    assert!(!dir.path().join("unused").exists(), "the transport of deploy-ssh was not used");
}
