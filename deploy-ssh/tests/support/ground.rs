//! A repository and a directory on this machine that is a target.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use deploy_core::{
    backend::{BackendError, Cancel, Closing, Discard, Live, Scope, Transport},
    model::{Release, Target, Version, VersionId},
    plan::{Change, Stage, Work},
    record::RunId,
};
use deploy_ssh::{
    Layout, RunProcess, SshTransport,
    session::{Sessions, SshConfig},
};
use tempfile::TempDir;

/// A git repository and a place to deploy to, gone when dropped.
pub struct Ground {
    dir: TempDir,
    pub target: Target,
}

impl Ground {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("deploy test ").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("repo")).unwrap();
        std::fs::create_dir(dir.path().join("srv")).unwrap();
        let ground = Self { dir, target: Target::new("local").unwrap() };
        ground.git(&["init", "-q", "-b", "main", "."]);
        ground
    }

    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub fn srv(&self) -> PathBuf {
        self.dir.path().join("srv")
    }

    pub fn path(&self) -> PathBuf {
        self.srv().join("live")
    }

    pub fn cache(&self) -> PathBuf {
        self.srv().join("live-cache")
    }

    pub fn release(&self, release: &Release) -> PathBuf {
        self.cache().join("releases").join(release.id.as_str())
    }

    pub fn layout(&self) -> Layout {
        Layout::new(self.path().to_str().unwrap()).unwrap()
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.repo(), args)
    }

    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.repo().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs a line of shell in the repository.
    pub fn shell(&self, line: &str) {
        let mut shell = Command::new("sh");
        let done = shell.args(["-c", line]).current_dir(self.repo()).status().unwrap();
        assert!(done.success(), "{line}");
    }

    /// Commits everything, and names it.
    pub fn commit(&self, name: &str) -> Version {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", name]);
        let id = VersionId::new(self.git(&["rev-parse", "HEAD"])).unwrap();
        Version { id, name: Some(name.to_owned()) }
    }

    pub fn transport(&self) -> SshTransport {
        self.transport_of(self.layout())
    }

    pub fn transport_of(&self, layout: Layout) -> SshTransport {
        let sessions = Sessions::new(SshConfig::default());
        SshTransport::new(sessions, self.repo(), layout, RunProcess::current().unwrap())
    }

    pub fn change(
        &self,
        transport: &SshTransport,
        from: Option<&Release>,
        to: Option<&Version>,
    ) -> Change {
        let to = to.map(|to| transport.release(&self.target, to).unwrap());
        self.between(from, to.as_ref())
    }

    pub fn between(&self, from: Option<&Release>, to: Option<&Release>) -> Change {
        Change {
            target: self.target.clone(),
            from: from.cloned(),
            to: to.cloned(),
            back: from.cloned(),
            work: Work::Move,
        }
    }

    pub async fn live(&self, transport: &SshTransport) -> Live {
        transport.live(&self.target, &scope("probe")).await.unwrap()
    }

    /// Fetch, promote and finalize, as a run of its own.
    pub async fn deploy(
        &self,
        transport: &SshTransport,
        version: &Version,
        run: &str,
    ) -> Result<Release, BackendError> {
        let scope = scope(run);
        let live = transport.live(&self.target, &scope).await?;
        assert_eq!(live.lacks, Vec::<String>::new());
        let change = self.change(transport, live.release(), Some(version));
        transport.fetch(&self.target, &change, &scope).await?;
        transport.promote(&self.target, &change, &scope).await?;
        let closing = Closing { good: change.to.clone(), back: change.back.clone() };
        transport.finalize(&self.target, &closing, &scope).await?;
        Ok(change.to.unwrap())
    }
}

pub fn scope(run: &str) -> Scope {
    Scope {
        run: RunId::new(run).unwrap(),
        who: "ann@desk".into(),
        stage: Stage::Fetch,
        attempt: 1,
        rolling_back: false,
        deadline: tokio::time::Instant::now() + Duration::from_secs(120),
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Every path below `dir` with its mode, or where it links to, in order; our own mark left out.
pub fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(dir, ".", &mut found);
    found.retain(|entry| !entry.starts_with("./.deploy-release "));
    found.sort();
    found
}

fn walk(dir: &Path, name: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            let to = std::fs::read_link(entry.path()).unwrap();
            found.push(format!("{name} -> {}", to.display()));
            continue;
        }
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        found.push(format!("{name} {mode:o}"));
        if kind.is_dir() {
            walk(&entry.path(), &name, found);
        }
    }
}
