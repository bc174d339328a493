//! The transport of this crate keeps every promise, on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use deploy_core::{
    backend::Transport,
    model::{Release, Target, Version, VersionId},
    record::RunId,
    testing::conformance::{self, Harness},
};
use deploy_ssh::{
    Layout, RunProcess, SshTransport,
    session::{Sessions, SshConfig},
};
use outside::{Tell, Told};

struct ThisMachine {
    dir: tempfile::TempDir,
    versions: [Version; 4],
    fresh: AtomicUsize,
    told: Arc<Mutex<Vec<Option<String>>>>,
}

fn git(repository: &Path, words: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(repository).args(["-c", "user.name=x", "-c", "user.email=x@example.org"]);
    let output = git.args(words).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl ThisMachine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q"]);
        let versions = ["v1", "v2", "v3", "v4"].map(|name| {
            fs::write(dir.path().join("page"), name).unwrap();
            git(dir.path(), &["add", "page"]);
            git(dir.path(), &["commit", "-qm", name]);
            let id = VersionId::new(git(dir.path(), &["rev-parse", "HEAD"])).unwrap();
            Version { id, name: Some(name.to_owned()) }
        });
        fs::create_dir(dir.path().join("srv")).unwrap();
        Self { dir, versions, fresh: AtomicUsize::new(0), told: Arc::default() }
    }

    fn live(&self) -> PathBuf {
        self.dir.path().join("srv").join(self.fresh.load(Ordering::SeqCst).to_string())
    }

    fn transport_of(&self, process: RunProcess) -> Arc<dyn Transport> {
        let layout = Layout::new(self.live().to_str().unwrap()).unwrap().keep(self.keep());
        let sessions = Sessions::new(SshConfig::default());
        let told = Arc::clone(&self.told);
        let tell: Tell = Arc::new(move |_, release: Option<&Release>| {
            told.lock().unwrap().push(release.map(ToString::to_string));
        });
        Arc::new(Told::new(SshTransport::new(sessions, self.dir.path(), layout, process), tell))
    }
}

#[async_trait]
impl Harness for ThisMachine {
    fn transport(&self) -> Arc<dyn Transport> {
        self.transport_of(RunProcess::current().unwrap())
    }

    async fn fresh(&self) -> Target {
        self.fresh.fetch_add(1, Ordering::SeqCst);
        Target::new("local").unwrap()
    }

    fn versions(&self) -> [Version; 4] {
        self.versions.clone()
    }

    fn keep(&self) -> usize {
        2
    }

    fn dead(&self, _: &RunId) -> Arc<dyn Transport> {
        // The same pid, started at another time: that process is gone.
        self.transport_of(RunProcess { start_time: 1, ..RunProcess::current().unwrap() })
    }

    async fn served(&self, _: &Target) -> Option<VersionId> {
        let page = fs::read_to_string(self.live().join("page")).ok()?;
        let version = self.versions.iter().find(|version| version.name.as_ref() == Some(&page));
        version.map(|version| version.id.clone())
    }

    async fn present(&self, _: &Target, release: &Release) -> bool {
        let name = self.live().file_name().unwrap().to_str().unwrap().to_owned();
        let cache = self.live().with_file_name(format!("{name}-cache"));
        cache.join("releases").join(release.id.as_str()).join("page").exists()
    }
}

#[tokio::test]
async fn it_keeps_every_promise_and_tells_of_each_switch() {
    let machine = ThisMachine::new();
    conformance::all(&machine).await;
    let told = machine.told.lock().unwrap();
    assert!(told.contains(&Some("v2".to_owned())) && told.contains(&None), "{told:?}");
}
