//! What the conformance suite needs: fresh targets, four versions, and the truth.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::{fs, io, path::PathBuf};

use async_trait::async_trait;
use deploy_core::{
    backend::Transport,
    model::{Release, Target, Version, VersionId},
    record::RunId,
    testing::conformance::Harness,
};
use deploy_ssh::RunProcess;
use tempfile::TempDir;

use super::Rsync;

pub struct Directories {
    dir: TempDir,
    versions: [Version; 4],
    targets: AtomicUsize,
}

impl Directories {
    pub fn new() -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let git = |words: &[&str]| -> io::Result<String> {
            let mut git = std::process::Command::new("git");
            git.args(["-C"]).arg(dir.path()).args(["-c", "user.name=x", "-c", "user.email=x"]);
            let output = git.args(words).output()?;
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if output.status.success() { Ok(said) } else { Err(io::Error::other(said)) }
        };
        git(&["init", "-q"])?;
        let commit = |name: &str| -> io::Result<Version> {
            fs::write(dir.path().join("index.html"), name)?;
            git(&["add", "index.html"])?;
            git(&["commit", "-qm", name])?;
            let id = VersionId::new(git(&["rev-parse", "HEAD"])?).map_err(io::Error::other)?;
            Ok(Version { id, name: Some(name.to_owned()) })
        };
        let versions = [commit("v1")?, commit("v2")?, commit("v3")?, commit("v4")?];
        Ok(Self { dir, versions, targets: AtomicUsize::new(0) })
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("sites")
    }

    fn rsync(&self, process: io::Result<RunProcess>) -> Arc<dyn Transport> {
        let process = process.expect("the process is known");
        Arc::new(Rsync::new(self.root(), self.dir.path(), process))
    }
}

#[async_trait]
impl Harness for Directories {
    fn transport(&self) -> Arc<dyn Transport> {
        self.rsync(RunProcess::current())
    }

    async fn fresh(&self) -> Target {
        let number = self.targets.fetch_add(1, Ordering::Relaxed);
        Target::new(format!("site{number}")).expect("a name")
    }

    fn versions(&self) -> [Version; 4] {
        self.versions.clone()
    }

    fn keep(&self) -> usize {
        2
    }

    fn dead(&self, _: &RunId) -> Arc<dyn Transport> {
        // The same pid at another time: that process is gone.
        self.rsync(RunProcess::current().map(|now| RunProcess { start_time: 1, ..now }))
    }

    async fn served(&self, target: &Target) -> Option<VersionId> {
        let page = self.root().join(target.as_str()).join("live/index.html");
        let page = fs::read_to_string(page).ok()?;
        let version = self.versions.iter().find(|version| version.name.as_ref() == Some(&page));
        version.map(|version| version.id.clone())
    }

    async fn present(&self, target: &Target, release: &Release) -> bool {
        let releases = self.root().join(target.as_str()).join("releases");
        releases.join(release.id.as_str()).join("index.html").exists()
    }
}
