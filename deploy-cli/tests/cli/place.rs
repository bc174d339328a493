//! A place of its own for each test: a repository, its origin, and a directory that plays the host.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A repository of an app, with this machine as its host.
pub struct Place {
    directory: TempDir,
}

/// How a command ended, with what differs from run to run masked.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}[{}]\n", self.stdout, self.stderr, self.code)
    }

    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.all().contains(text), "{text:?} is not in:\n{}", self.all());
        self
    }

    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "{text:?} is in:\n{}", self.all());
        self
    }
}

impl Place {
    /// A repository with a configuration and the version `release/2026-01-01/1`.
    pub fn new() -> Self {
        let place = Self::bare();
        place.configure("");
        place.version(1, "one");
        place
    }

    /// A repository with nothing in it.
    pub fn bare() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        for directory in ["home", "srv", "repo"] {
            fs::create_dir(place.path(directory)).unwrap();
        }
        place.git(&["init", "-q", "--bare", "-b", "main", "../origin.git"]);
        place.git(&["init", "-q", "-b", "main"]);
        place.git(&["remote", "add", "origin", "../origin.git"]);
        place
    }

    /// Writes `deploy.toml`: one host, this machine, with a service that is a file; and `more`.
    pub fn configure(&self, more: &str) {
        self.configure_hosts("hosts = [\"local\"]", more);
    }

    /// The same, with other lines in the one group.
    pub fn configure_hosts(&self, group: &str, more: &str) {
        let at = self.directory.path().display();
        let text = format!(
            "app = \"mockbase\"\n\
             [version]\nscheme = \"date\"\nprefix = \"release\"\nbranch = \"main\"\n\
             [layout]\npath = \"{at}/srv/deploy\"\nkeep = 3\n\
             [restart]\nmethod = \"command\"\ncommand = \"cp {at}/srv/deploy/version {at}/running\"\n\
             [[group]]\nname = \"default\"\n{group}\n\
             [[check]]\nname = \"answers\"\ninterval = \"100ms\"\ntimeout = \"20s\"\n\
             command = \"read -r v < {at}/running && test \\\"$v\\\" != broken\"\n{more}\n"
        );
        fs::write(self.path("repo/deploy.toml"), text).unwrap();
    }

    /// Writes more into `deploy.toml`, at its end.
    pub fn configure_more(&self, more: &str) {
        let path = self.path("repo/deploy.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{more}")).unwrap();
    }

    /// Changes `deploy.toml`.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let path = self.path("repo/deploy.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The first file below `directory` that holds `words`.
    pub fn holds(&self, directory: &Path, words: &str) -> Option<PathBuf> {
        fs::read_dir(directory).unwrap().flatten().find_map(|entry| match entry.path() {
            path if path.is_dir() => self.holds(&path, words),
            path => {
                let text = fs::read(&path).unwrap_or_default();
                String::from_utf8_lossy(&text).contains(words).then_some(path)
            }
        })
    }

    /// Commits `content` as the file `version`, tags it `release/2026-01-0N/1`, and pushes both.
    pub fn version(&self, number: u32, content: &str) -> String {
        let tag = format!("release/2026-01-0{number}/1");
        self.commit(number, content);
        self.git(&["tag", "-a", "-m", &format!("version {number}"), &tag]);
        self.git(&["push", "-q", "origin", "main", &tag]);
        tag
    }

    /// Commits, without tag and push.
    pub fn commit(&self, number: u32, content: &str) {
        fs::write(self.path("repo/version"), format!("{content}\n")).unwrap();
        self.git(&["add", "."]);
        self.git(&[
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            &format!("make it {content} ({number})"),
        ]);
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// What the host's service runs.
    pub fn running(&self) -> String {
        fs::read_to_string(self.path("running")).unwrap_or_default().trim().to_owned()
    }

    /// What the live path shows.
    pub fn live(&self) -> String {
        fs::read_to_string(self.path("srv/deploy/version")).unwrap_or_default().trim().to_owned()
    }

    #[track_caller]
    pub fn git(&self, words: &[&str]) -> String {
        let mut command = Command::new("git");
        self.hermetic(&mut command, &self.path("repo"));
        let output = command.args(words).output().unwrap();
        assert!(output.status.success(), "git {words:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs deploy-cli without a terminal, to its end.
    pub fn cli(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output().unwrap();
        self.ran(&output)
    }

    /// Starts deploy-cli, with both streams in the file `said`.
    pub fn start(&self, words: &[&str]) -> Child {
        let said = fs::File::create(self.path("said")).unwrap();
        let mut command = self.command(words);
        command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap()
    }

    /// What a started deploy-cli said so far.
    pub fn said(&self) -> String {
        self.mask(&fs::read_to_string(self.path("said")).unwrap_or_default())
    }

    /// Waits until `path` is there. Gives up in the end, so that a hang is a failure with a text.
    #[track_caller]
    pub fn until_there(&self, path: &Path) {
        self.until(&path.display().to_string(), || path.exists());
    }

    #[track_caller]
    pub fn until(&self, what: &str, met: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !met() {
            assert!(Instant::now() < end, "never: {what}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// deploy-cli without a terminal: what would be asked is answered by `--yes`.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_that_asks(&answered(words))
    }

    /// deploy-cli with these words alone.
    pub fn command_that_asks(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy-cli"));
        self.hermetic(&mut command, &self.path("repo"));
        command.args(words).stdin(Stdio::null());
        command
    }

    fn hermetic(&self, command: &mut Command, directory: &Path) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().current_dir(directory).env("PATH", path);
        for (name, value) in [
            ("TZ", "UTC"),
            ("USER", "ann"),
            ("SUDO_USER", "ann"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_AUTHOR_NAME", "Ann"),
            ("GIT_AUTHOR_EMAIL", "ann@example.org"),
            ("GIT_AUTHOR_DATE", "2026-01-01T12:00:00Z"),
            ("GIT_COMMITTER_NAME", "Ann"),
            ("GIT_COMMITTER_EMAIL", "ann@example.org"),
            ("GIT_COMMITTER_DATE", "2026-01-01T12:00:00Z"),
        ] {
            command.env(name, value);
        }
        command.env("HOME", self.path("home"));
    }

    pub fn ran(&self, output: &Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: self.mask(&String::from_utf8_lossy(&output.stdout)),
            stderr: self.mask(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Masks what differs from run to run: the place, runs, moments, spans.
    pub fn mask(&self, text: &str) -> String {
        let text = text.replace(&self.directory.path().display().to_string(), "$PLACE");
        let host = nix::unistd::gethostname().unwrap_or_default();
        let text = text.replace(&format!(" on {}", host.to_string_lossy()), " on $HOST");
        let text = text.replace(&format!("@{}", host.to_string_lossy()), "@$HOST");
        let masks = [
            ("99999999-999999-hhhh", "$RUN"),
            ("hhhhhhhhhhhh", "$COMMIT"),
            ("9999-99-99 99:99:99", "$MOMENT"),
            ("99:99:99", "$CLOCK"),
            (" 9.9s", " $SPAN"),
        ];
        masks.iter().fold(text, |text, (pattern, name)| mask(&text, pattern, name))
    }
}

/// The same words, with `--yes` where the command asks first.
fn answered<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut answered = words.to_vec();
    let actions = ["start", "stop", "restart", "reload"];
    let asks = |at: usize| match words[at] {
        "deploy" | "rollback" | "catch-up" | "adopt" => true,
        word => at > 0 && words[at - 1] == "service" && actions.contains(&word),
    };
    let before_dashes = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let found = (0..before_dashes).find(|at| asks(*at));
    if let Some(at) = found.filter(|_| !words.contains(&"--yes")) {
        answered.insert(at + 1, "--yes");
    }
    answered
}

/// Replaces what looks like `pattern` (9: a digit, h: a hexadecimal one).
fn mask(text: &str, pattern: &str, name: &str) -> String {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < text.len() {
        let window = &text[at..text.len().min(at + pattern.len())];
        let fits = window.len() == pattern.len()
            && window.iter().zip(&pattern).all(|(c, p)| match p {
                '9' => c.is_ascii_digit(),
                'h' => c.is_ascii_hexdigit(),
                p => c == p,
            });
        if fits {
            out.push_str(name);
            at += pattern.len();
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}
