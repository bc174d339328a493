//! A fleet, a repository with the example service, and the binary that deploys it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use xtask::{Fleet, HostKind};

/// How the service is deployed, but for its groups.
const BASE: &str = r#"app = "mockbase"
[version]
scheme = "date"
prefix = "release"
branch = "main"
[ssh]
user = "deploy"
connect_timeout = "4s"
heartbeat = "1s"
[layout]
path = "/srv/deployment/mockbase/deploy"
keep = 3
shared = ["log"]
service_user = "mockbase"
[restart]
service = "mockbase"
sudo = true
[[check]]
name = "stays-up"
service = "mockbase"
stay_up = "1s"
timeout = "15s"
[[check]]
name = "answers"
http = "http://localhost:1134/_info"
status = 200
timeout = "15s"
"#;

/// A fleet, a repository and a deployer.
pub struct Stage {
    pub fleet: Fleet,
    pub directory: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The same, which has to have ended with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        println!("{self}");
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// The same, which has to have said `words`.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.stdout.contains(words) || self.stderr.contains(words),
            "nobody said {words:?}:\n{self}"
        );
        self
    }

    /// The same, which may not have said `words`.
    #[track_caller]
    pub fn never_says(self, words: &str) -> Self {
        assert!(
            !self.stdout.contains(words) && !self.stderr.contains(words),
            "somebody said {words:?}:\n{self}"
        );
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- out\n{}\n--- err\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Stage {
    /// Boots `hosts` hosts: h1 is the canary, the others are the group `default`, one batch.
    pub fn new(name: &str, hosts: u16) -> Self {
        // Two runs of the suite on one machine do not get into each other's way.
        let name = format!("{name}-{}", std::process::id());
        let fleet = Fleet::up(&name, hosts, HostKind::Systemd).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let stage = Self { fleet, directory };
        fs::create_dir(stage.home()).unwrap();
        fs::write(
            stage.home().join(".gitconfig"),
            "[user]\nname = Ann\nemail = ann@example.org\n[init]\ndefaultBranch = main\n",
        )
        .unwrap();
        stage.run("git", &["init", "-q", "--bare", "origin.git"], &stage.root());
        stage.run("git", &["clone", "-q", "origin.git", "mockbase"], &stage.root());
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ssh-service");
        fs::copy(example.join("server.py"), stage.repository().join("server.py")).unwrap();
        let mut groups = String::from("[[group]]\nname = \"canary\"\nhosts = [\"h1\"]\n");
        if hosts > 1 {
            groups += &format!("[[group]]\nname = \"default\"\nhosts = [\"h[2-{hosts}]\"]\n");
        }
        stage.configure(&groups);
        stage
    }

    /// Writes deploy.toml: what is common to all tests, and `rest`.
    pub fn configure(&self, rest: &str) {
        fs::write(self.repository().join("deploy.toml"), format!("{BASE}{rest}")).unwrap();
    }

    /// Changes deploy.toml.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let path = self.repository().join("deploy.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Commits, tags and pushes a version: `edit` changes the work tree before.
    pub fn version(&self, number: u32, edit: impl FnOnce(&Path)) -> String {
        let repository = self.repository();
        fs::write(repository.join("VERSION"), format!("{number}\n")).unwrap();
        edit(&repository);
        let tag = format!("release/2015-06-10/{number}");
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", &format!("version {number}")]);
        self.git(&["tag", "-a", "-m", &format!("version {number}"), &tag]);
        self.git(&["push", "-q", "origin", "HEAD:main", &tag]);
        tag
    }

    /// A version of the service that works.
    pub fn good(&self, number: u32) -> String {
        self.version(number, |repository| {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ssh-service");
            fs::copy(example.join("server.py"), repository.join("server.py")).unwrap();
        })
    }

    /// A version whose service is this program.
    pub fn with_server(&self, number: u32, program: &str) -> String {
        self.version(number, |repository| {
            fs::write(repository.join("server.py"), program).unwrap();
        })
    }

    /// Runs git in the repository.
    pub fn git(&self, words: &[&str]) -> String {
        self.run("git", words, &self.repository())
    }

    /// Runs deploy-cli to its end.
    pub fn deploy_cli(&self, words: &[&str]) -> Ran {
        Ran::of(&self.command(words).stdin(Stdio::null()).output().unwrap())
    }

    /// Deploys without questions.
    pub fn deploy(&self, version: &str) -> Ran {
        self.deploy_cli(&["deploy", version, "--yes"])
    }

    /// Starts deploy-cli; its output goes to files, so that no pipe can fill up.
    pub fn start(&self, words: &[&str]) -> Running {
        let log = self.root().join("running.log");
        let file = fs::File::create(&log).unwrap();
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let runs_before = self.journals().len();
        Running { child: command.spawn().unwrap(), log, runs_before }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy-cli"));
        command.args(words).current_dir(self.repository());
        command.env("HOME", self.home()).env("NO_COLOR", "1");
        for name in ["CI", "SSH_AUTH_SOCK", "SUDO_USER", "GITHUB_ACTOR", "GITLAB_USER_LOGIN"] {
            command.env_remove(name);
        }
        self.fleet.enter(&command)
    }

    /// The version that the service itself answers on `host`; `None` when it does not answer.
    pub fn answers(&self, host: &str) -> Option<String> {
        let ask = "import json, urllib.request as r; \
                   print(json.load(r.urlopen('http://localhost:1134/_info', timeout=5))['version'])";
        let output = self.fleet.on(host, ["python3", "-c", ask]).unwrap().output().unwrap();
        let version = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        output.status.success().then_some(version)
    }

    /// The version whose files are live on `host`; `None` when nothing is.
    pub fn live(&self, host: &str) -> Option<String> {
        let path = "/srv/deployment/mockbase/deploy/VERSION";
        let output = self.fleet.on(host, ["cat", path]).unwrap().output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// Each host in `hosts` serves `version`, by its files and by its own word.
    #[track_caller]
    pub fn all_serve(&self, hosts: &[&str], version: u32) {
        for host in hosts {
            assert_eq!(self.live(host), Some(version.to_string()), "files of {host}");
            assert_eq!(self.answers(host), Some(version.to_string()), "service of {host}");
        }
    }

    /// Runs a shell text on `host` as root.
    #[track_caller]
    pub fn on(&self, host: &str, script: &str) -> String {
        let output = self.fleet.shell(host, script).unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The journal of the newest run, line by line.
    pub fn journal(&self) -> Vec<serde_json::Value> {
        let Some(newest) = self.journals().pop() else { return Vec::new() };
        let text = fs::read_to_string(newest).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// All journals, oldest first.
    fn journals(&self) -> Vec<PathBuf> {
        let runs = self.repository().join(".git/deploy/mockbase");
        let mut found: Vec<PathBuf> = Vec::new();
        let mut directories = vec![runs];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => directories.push(path),
                    path if path.ends_with("journal.jsonl") => found.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    pub fn repository(&self) -> PathBuf {
        self.directory.path().join("mockbase")
    }

    #[track_caller]
    fn run(&self, program: &str, words: &[&str], directory: &Path) -> String {
        let mut command = Command::new(program);
        command.args(words).current_dir(directory).env("HOME", self.home());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// A deploy-cli that is at work.
pub struct Running {
    pub child: Child,
    log: PathBuf,
    runs_before: usize,
}

impl Running {
    /// Waits until the newest journal has an event that `found` accepts. Gives up after a minute,
    /// so that a hang is a failure with a text.
    #[track_caller]
    pub fn until(&mut self, stage: &Stage, what: &str, found: impl Fn(&serde_json::Value) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        let seen =
            || stage.journals().len() > self.runs_before && stage.journal().iter().any(&found);
        while !seen() {
            assert!(Instant::now() < end, "never seen: {what}\n{}", self.said());
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() || seen(), "ended before {what}\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `host` has begun `stage_name`.
    #[track_caller]
    pub fn until_stage(&mut self, stage: &Stage, host: &str, stage_name: &str) {
        self.until(stage, &format!("{stage_name} on {host}"), |event| {
            event["event"] == "stage-started"
                && event["target"] == host
                && event["stage"] == stage_name
        });
    }

    /// Sends a signal, as `kill -SIGNAL` does.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        let status = self.child.wait().unwrap();
        Ran { code: status.code().unwrap_or(-1), stdout: self.said(), stderr: String::new() }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
