//! The git source against real repositories.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

use std::{path::Path, process::Command};

use deploy_core::{
    backend::{ErrorKind, Relation, VersionSource},
    model::{DateTags, Environment, Scheme, SemverPart, SemverTags, VersionRef},
    record::RunId,
};
use deploy_ssh::{GitOptions, GitSource};
use tempfile::TempDir;

struct Repo(TempDir);

impl Repo {
    fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "-q", "-b", "main", "."]);
        repo.commit("a.txt", "one", "first");
        repo
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.path())
            .args(["-c", "user.name=A U Thor", "-c", "user.email=a@example.org"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {complaint}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn commit(&self, file: &str, text: &str, subject: &str) -> String {
        std::fs::write(self.path().join(file), text).unwrap();
        self.git(&["add", "--", file]);
        self.git(&["commit", "-q", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn with_remote(&self) -> TempDir {
        let remote = tempfile::tempdir().unwrap();
        let path = remote.path().to_str().unwrap();
        self.git(&["init", "-q", "--bare", path]);
        self.git(&["remote", "add", "origin", path]);
        self.git(&["push", "-q", "origin", "main"]);
        self.git(&["config", "user.name", "A U Thor"]);
        self.git(&["config", "user.email", "a@example.org"]);
        remote
    }

    fn source(&self, scheme: Scheme) -> GitSource {
        GitSource::new(self.path(), GitOptions::new(scheme))
    }
}

fn named(name: &str) -> VersionRef {
    VersionRef::Named(name.to_owned())
}

fn semver() -> Scheme {
    Scheme::Semver(SemverTags { prefix: "v".into() })
}

fn date() -> Scheme {
    Scheme::Date(DateTags { prefix: "release".into() })
}

#[tokio::test]
async fn a_version_is_found_by_tag_branch_and_commit() {
    let repo = Repo::new();
    let first = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["tag", "-a", "-m", "one", "v1.0.0"]);
    let second = repo.commit("a.txt", "two", "second");
    let source = repo.source(semver());

    let tag = source.resolve(&named("v1.0.0")).await.unwrap();
    assert_eq!((tag.id.as_str(), tag.name.as_deref()), (first.as_str(), Some("v1.0.0")));
    let branch = source.resolve(&named("main")).await.unwrap();
    assert_eq!((branch.id.as_str(), branch.name.as_deref()), (second.as_str(), Some("main")));
    let short = source.resolve(&named(&second[..8])).await.unwrap();
    assert_eq!((short.id.as_str(), short.name), (second.as_str(), None));
    let tagged = source.resolve(&named(&first[..8])).await.unwrap();
    assert_eq!(tagged.name.as_deref(), Some("v1.0.0"));
    let latest = source.resolve(&VersionRef::Latest).await.unwrap();
    assert_eq!(latest.name.as_deref(), Some("v1.0.0"));
    let previous = source.resolve(&VersionRef::Previous).await.unwrap_err();
    assert_eq!(previous.kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn an_unknown_version_gets_the_nearest_names() {
    let repo = Repo::new();
    repo.git(&["tag", "v1.4.2"]);
    repo.git(&["tag", "v1.3.9"]);
    let error = repo.source(semver()).resolve(&named("v1.4.3")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().unwrap().contains("did you mean v1.4.2"), "{:?}", error.hint());
}

#[tokio::test]
async fn what_a_person_types_is_inert() {
    let repo = Repo::new();
    let source = repo.source(Scheme::Any);
    let strange = [
        "--help",
        "-h",
        "--exec=touch x",
        "$(touch x)",
        "`touch x`",
        "a b",
        "a'b\"c",
        "a\nb",
        "",
        "\u{1b}[2J",
        "..",
        "--",
        "@{-1}",
        "a\0b",
        "--output=x",
        "\u{202e}gpj",
    ];
    for name in strange {
        let error = source.resolve(&named(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name:?}: {}", error.cause());
        assert!(!error.attempted().contains('\u{1b}'), "{name:?}");
    }
    assert!(!repo.path().join("x").exists());

    // Tags that look like options or commands, made behind git's back.
    let head = repo.git(&["rev-parse", "HEAD"]);
    for name in
        ["--upload-pack=x", "-v1", "$(touch${IFS}x)", "a'b\"c", "\u{fc}n\u{ef}", "\u{202e}gpj"]
    {
        repo.git(&["update-ref", &format!("refs/tags/{name}"), &head]);
        let found = source.resolve(&named(name)).await.unwrap();
        assert_eq!(found.name.as_deref(), Some(name));
    }
    assert_eq!(source.list(100).await.unwrap().len(), 6);
}

#[tokio::test]
async fn hostile_words_break_no_listing() {
    let repo = Repo::new();
    repo.git(&["tag", "-a", "-m", "sub\u{1b}[2Jject\nbody", "v1.0.0"]);
    repo.git(&["-c", "i18n.commitEncoding=latin1", "commit", "-q", "--allow-empty", "-m", "x"]);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let script = format!(
        "printf 'tree {tree}\\nauthor J\\351r\\364me <j@x> 1400000000 +0000\\n\
         committer J <j@x> 1400000000 +0000\\n\\ncaf\\351 \\033[31m\\n' \
         | git hash-object -t commit -w --stdin | xargs git update-ref refs/tags/v2.0.0
         git update-ref \"$(printf 'refs/tags/v9.0.0\\377')\" HEAD
         git update-ref refs/tags/v8.0.0 HEAD^{{tree}}"
    );
    let done = Command::new("sh").args(["-c", &script]).current_dir(repo.path()).status().unwrap();
    assert!(done.success());
    let listed = repo.source(semver()).list(10).await.unwrap();
    let names: Vec<_> = listed.iter().map(|l| l.version.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["v2.0.0", "v1.0.0"]);
    assert_eq!(listed[0].author, "J\u{fffd}r\u{fffd}me");
    assert!(listed[0].subject.starts_with("caf\u{fffd}"));
    assert_eq!(listed[1].author, "A U Thor");
}

#[tokio::test]
async fn versions_are_listed_newest_first_and_own_tags_are_none() {
    let repo = Repo::new();
    for tag in ["release/2015-06-10/9", "release/2015-06-10/10", "release/2014-12-31/1", "other"] {
        repo.git(&["tag", tag]);
    }
    repo.git(&["tag", "deploy/production/20150610-141503-a1b2"]);
    let names = |listed: Vec<deploy_core::backend::Listed>| -> Vec<String> {
        listed.into_iter().filter_map(|l| l.version.name).collect()
    };
    let listed = names(repo.source(date()).list(2).await.unwrap());
    assert_eq!(listed, ["release/2015-06-10/10", "release/2015-06-10/9"]);
    assert_eq!(names(repo.source(Scheme::Any).list(10).await.unwrap()).len(), 4);
}

#[tokio::test]
async fn ten_thousand_tags_are_listed() {
    let repo = Repo::new();
    let head = repo.git(&["rev-parse", "HEAD"]);
    let refs: String = (0..10_000)
        .map(|n| format!("create refs/tags/v1.{}.{} {head}\n", n / 100, n % 100))
        .collect();
    std::fs::write(repo.path().join("refs.txt"), refs).unwrap();
    let run = "git update-ref --stdin < refs.txt && git pack-refs --all";
    assert!(
        Command::new("sh").args(["-c", run]).current_dir(repo.path()).status().unwrap().success()
    );
    let listed = repo.source(semver()).list(20).await.unwrap();
    assert_eq!(listed.len(), 20);
    assert_eq!(listed[0].version.name.as_deref(), Some("v1.99.99"));
}

#[tokio::test]
async fn modified_files_are_refused_unless_allowed() {
    let repo = Repo::new();
    std::fs::write(repo.path().join("untracked"), "x").unwrap();
    let source = repo.source(Scheme::Any);
    source.resolve(&named("main")).await.unwrap();
    std::fs::write(repo.path().join("a.txt"), "changed").unwrap();
    let error = source.resolve(&named("main")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.cause().contains("a.txt"), "{}", error.cause());
    assert_eq!(source.modified().await.unwrap(), ["a.txt"]);

    let mut options = GitOptions::new(Scheme::Any);
    options.allow_dirty = true;
    GitSource::new(repo.path(), options).resolve(&named("main")).await.unwrap();
}

#[tokio::test]
async fn a_commit_must_be_on_the_remote_and_the_branch() {
    let repo = Repo::new();
    let _remote = repo.with_remote();
    let source = repo.source(Scheme::Any);
    source.resolve(&named("main")).await.unwrap();
    repo.git(&["checkout", "-q", "-b", "side"]);
    let side = repo.commit("b.txt", "b", "aside");
    let error = source.resolve(&named("side")).await.unwrap_err();
    assert!(error.cause().contains("on no branch of \"origin\""), "{}", error.cause());

    repo.git(&["push", "-q", "origin", "side"]);
    source.resolve(&named(&side)).await.unwrap();
    let mut options = GitOptions::new(Scheme::Any);
    options.branch = Some("main".into());
    let strict = GitSource::new(repo.path(), options.clone());
    strict.resolve(&named("main")).await.unwrap();
    let error = strict.resolve(&named("side")).await.unwrap_err();
    assert!(error.cause().contains("is not on \"origin/main\""), "{}", error.cause());
    GitSource::new(repo.path(), options.lenient()).resolve(&named("side")).await.unwrap();
}

#[tokio::test]
async fn changes_say_how_two_versions_stand() {
    let repo = Repo::new();
    let source = repo.source(Scheme::Any);
    let id = |oid: &str| deploy_core::model::Version { id: oid.parse().unwrap(), name: None };
    let first = id(&repo.git(&["rev-parse", "HEAD"]));
    let second = id(&repo.commit("a.txt", "two", "second"));
    repo.git(&["checkout", "-q", "-b", "side", first.id.as_str()]);
    let side = id(&repo.commit("b.txt", "b", "aside"));

    let forward = source.changes(&first, &second).await.unwrap();
    assert_eq!(forward.relation, Relation::Forward);
    assert_eq!(forward.commits.len(), 1);
    assert_eq!(forward.commits[0].subject, "second");
    let backward = source.changes(&second, &first).await.unwrap();
    assert_eq!((backward.relation, backward.commits.len()), (Relation::Backward, 1));
    assert_eq!(source.changes(&second, &side).await.unwrap().relation, Relation::Diverged);
    assert_eq!(source.changes(&side, &side).await.unwrap().relation, Relation::Same);
    for unknown in ["0123456789012345678901234567890123456789", "sha256:00", "HEAD"] {
        let changes = source.changes(&id(unknown), &second).await.unwrap();
        assert_eq!(changes.relation, Relation::Unknown, "{unknown}");
    }
}

#[tokio::test]
async fn the_next_tag_is_made_and_pushed() {
    let repo = Repo::new();
    let remote = repo.with_remote();
    let source = repo.source(date());
    let today = jiff::civil::date(2015, 6, 10);
    let name = source.next_tag(today, SemverPart::Patch).await.unwrap();
    assert_eq!(name, "release/2015-06-10/1");
    let made = source.publish_tag(&name, &named("main"), "a release").await.unwrap();
    assert_eq!(made.name.as_deref(), Some(name.as_str()));
    assert_eq!(repo.git(&["cat-file", "-t", &format!("refs/tags/{name}")]), "tag");
    let there = repo.git(&["ls-remote", "--tags", "origin"]);
    assert!(there.contains("refs/tags/release/2015-06-10/1"), "{there}");
    assert_eq!(source.next_tag(today, SemverPart::Patch).await.unwrap(), "release/2015-06-10/2");
    let twice = source.publish_tag(&name, &named("main"), "again").await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    let foreign = source.publish_tag("v1", &named("main"), "x").await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::Rejected);

    drop(remote);
    let next = "release/2015-06-10/2";
    let error = source.publish_tag(next, &named("main"), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(!repo.git(&["tag"]).contains(next), "a tag that was not pushed stays behind");
}

#[tokio::test]
async fn a_success_is_marked_once() {
    let repo = Repo::new();
    let _remote = repo.with_remote();
    let source = repo.source(date());
    let version = source.resolve(&named("main")).await.unwrap();
    let (env, run) =
        (Environment::new("beta").unwrap(), RunId::new("20150610-141503-a1b2").unwrap());
    source.mark_success(Some(&env), &run, &version, "deployed\u{1b}").await.unwrap();
    source.mark_success(Some(&env), &run, &version, "deployed").await.unwrap();
    let there = repo.git(&["ls-remote", "--tags", "origin"]);
    assert!(there.contains("refs/tags/deploy/beta/20150610-141503-a1b2"), "{there}");
}
