//! A fleet, a repository with the example service, and the binary that deploys it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use xtask::{Fleet, HostKind};

use crate::{ran::Ran, running::Running};

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

/// Where a switch that is made slow waits.
#[derive(Debug, Clone, Copy)]
pub enum Pause {
    /// Before the live link is renamed into place.
    BeforeRename,
    /// After it, while the state is still the old one.
    AfterRename,
    Never,
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

    /// Clones the origin into a checkout of its own.
    pub fn clone_to(&self, name: &str) -> PathBuf {
        self.run("git", &["clone", "-q", "origin.git", name], &self.root());
        self.root().join(name)
    }

    /// Makes switches on `host` wait for as long as `/run/hold` is there.
    pub fn make_switch_slow(&self, host: &str, pause: Pause) {
        let before = match pause {
            Pause::BeforeRename => "",
            // The link is the first of what is renamed.
            Pause::AfterRename => {
                "for last; do :; done; mv.real -f \"$2\" \"$last\"; shift 2; set -- -f \"$@\""
            }
            Pause::Never => "exec mv.real \"$@\"",
        };
        let script = format!(
            "[ -e /usr/bin/mv.real ] || cp /usr/bin/mv /usr/bin/mv.real\n\
             cat >/usr/bin/mv.new <<'E'\n\
             #!/bin/sh\n\
             case \"$*\" in *-cache/.new/live*)\n\
             if [ -e /run/hold ]; then {before}\n\
             : >/tmp/held; while [ -e /run/hold ]; do sleep 0.1; done; fi;;\n\
             esac\n\
             exec /usr/bin/mv.real \"$@\"\n\
             E\n\
             chmod 755 /usr/bin/mv.new; mv.real -f /usr/bin/mv.new /usr/bin/mv"
        );
        self.on(host, &script);
    }

    /// Makes starts of the service on `host` wait for as long as `/run/hold` is there.
    pub fn make_start_slow(&self, host: &str) {
        self.on(
            host,
            "mkdir -p /etc/systemd/system/mockbase.service.d; \
             printf '[Service]\\nTimeoutStartSec=120\\nExecStartPre=/bin/sh -c \
             \"if test -e /run/hold; then touch /tmp/held; fi; \
             while test -e /run/hold; do sleep 0.1; done\"\\n' \
             > /etc/systemd/system/mockbase.service.d/hold.conf; systemctl daemon-reload",
        );
    }

    /// From now on, what was made slow on `host` waits.
    pub fn hold(&self, host: &str) {
        self.on(host, "rm -f /tmp/held; touch /run/hold");
    }

    /// Lets what waits on `host` go on.
    pub fn let_go(&self, host: &str) {
        self.on(host, "rm -f /run/hold");
    }

    /// Waits until something waits on `host`.
    #[track_caller]
    pub fn until_held(&self, host: &str, running: &Running) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.on(host, "test -e /tmp/held && echo yes || echo no") != "yes" {
            assert!(Instant::now() < end, "nothing waits on {host}\n{}", running.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs deploy-cli to its end.
    pub fn deploy_cli(&self, words: &[&str]) -> Ran {
        Ran::of(&self.command(words).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs deploy-cli to its end in another checkout of the same repository.
    pub fn deploy_cli_in(&self, checkout: &Path, words: &[&str]) -> Ran {
        Ran::of(&self.command_in(checkout, words).stdin(Stdio::null()).output().unwrap())
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

    /// Starts deploy-cli with both of its streams on pipes.
    pub fn start_piped(&self, words: &[&str]) -> Running {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let runs_before = self.journals().len();
        let log = self.root().join("nothing.log");
        Running { child: command.spawn().unwrap(), log, runs_before }
    }

    fn command(&self, words: &[&str]) -> Command {
        self.command_in(&self.repository(), words)
    }

    fn command_in(&self, checkout: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy-cli"));
        command.args(words).current_dir(checkout);
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
    pub fn journals(&self) -> Vec<PathBuf> {
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

    /// What the newest run kept of the output of `host`.
    pub fn kept_output(&self, host: &str) -> Vec<u8> {
        let journal = self.journals().pop().unwrap();
        fs::read(journal.with_file_name("output").join(host)).unwrap_or_default()
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
