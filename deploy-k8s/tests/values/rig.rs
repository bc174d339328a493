//! A real git repository with a real remote, whose hooks are other people.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use deploy_core::{
    backend::{Cancel, Discard, OutputSink, Scope, Stream},
    model::Target,
    plan::Stage,
    record::RunId,
};
use deploy_k8s::{Publish, ValuesOptions, ValuesRepository, Wish};
use tokio::time::Instant;

pub(crate) const FILE: &str = "helmfile.d/services/mathoid/values-eqiad.yaml";
pub(crate) const KEY: &str = "main_app.version";
pub(crate) const TEXT: &str = "# eqiad\nmain_app:\n  version: old   # the tag\n  port: 10044\n";

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let (remote, work) = (place.remote(), place.path("work"));
        git(place.dir.path(), &["init", "-q", "--bare", "-b", "master", remote.to_str().unwrap()]);
        git(place.dir.path(), &["clone", "-q", remote.to_str().unwrap(), "work"]);
        place.commit(FILE, TEXT);
        assert!(work.join(FILE).is_file());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn remote(&self) -> PathBuf {
        self.path("remote.git")
    }

    /// Somebody else's commit.
    pub(crate) fn commit(&self, file: &str, text: &str) {
        let work = self.path("work");
        let path = work.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        let _ = Command::new("git").current_dir(&work).args(["pull", "-q", "--rebase"]).output();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-q", "-m", "somebody's"]);
        git(&work, &["push", "-q", "origin", "HEAD:master"]);
    }

    pub(crate) fn hook(&self, name: &str, text: &str) {
        let hook = self.remote().join("hooks").join(name);
        fs::write(&hook, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Lets somebody else push what `change` does, right before each push that `unless` lets pass.
    pub(crate) fn race(&self, unless: &str, change: &str) {
        let (dir, work) = (self.dir.path().display(), self.path("work"));
        let script = self.path("race.sh");
        let text = format!(
            "set -e; cd {dir}; {unless}; unset GIT_DIR GIT_QUARANTINE_PATH; cd {}; {change}; \
             git add -A; git -c user.name=B -c user.email=b@x commit -q -m other; \
             git push -q origin HEAD:master",
            work.display()
        );
        fs::write(&script, text).unwrap();
        self.hook("pre-receive", &format!("sh {} >&2", script.display()));
    }

    pub(crate) fn values(&self, publish: Publish) -> ValuesRepository {
        self.values_of(self.remote().display().to_string(), publish)
    }

    pub(crate) fn values_of(&self, remote: String, publish: Publish) -> ValuesRepository {
        ValuesRepository::new(ValuesOptions {
            remote,
            branch: "master".into(),
            publish,
            cache: self.path("cache.git"),
            author: "Ann <ann@example.org>".into(),
        })
    }

    /// The value in `file`, as the remote's branch has it.
    pub(crate) fn value_in(&self, file: &str) -> String {
        let text = git(&self.remote(), &["show", &format!("master:{file}")]);
        let line = text.lines().find_map(|line| line.trim().strip_prefix("version: ")).unwrap();
        line.split('#').next().unwrap().trim().to_owned()
    }

    pub(crate) fn there(&self) -> String {
        git(&self.remote(), &["show", &format!("master:{FILE}")])
    }
}

/// Keeps what a deployer would see.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<String>);

impl Seen {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl OutputSink for Seen {
    fn write(&self, target: &Target, _: Stage, _: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.0.lock().unwrap().push_str(&format!("{target}: {text}"));
    }
}

pub(crate) fn git(dir: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=Bob", "-c", "user.email=bob@example.org"])
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn wish(value: &str) -> Wish {
    Wish {
        target: Target::new("eqiad").unwrap(),
        file: FILE.into(),
        key: KEY.parse().unwrap(),
        value: value.into(),
        from: None,
        waits: true,
    }
}

pub(crate) fn scope(seconds: u64) -> Scope {
    Scope {
        run: RunId::new("r1").unwrap(),
        who: "ann".into(),
        stage: Stage::Promote,
        attempt: 1,
        rolling_back: false,
        deadline: Instant::now() + Duration::from_secs(seconds),
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}
