//! Asks `ssh -G`, and keeps what it said for as long as nothing changes.

use std::{
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use tokio::{process::Command, sync::Semaphore};

use super::{
    Home, HostConfig,
    ground::{Ground, Setting},
    memory::{Memory, Question},
};
use crate::session::{config::SshConfig, destination::Destination, error::ConnectError, quote};

/// How long `ssh -G` may take: it may run the commands of `Match exec`.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many `ssh -G` run at a time.
const AT_ONCE: usize = 8;

/// Asks about every host of a run.
#[derive(Debug)]
pub(crate) struct Asker {
    config_file: Option<PathBuf>,
    cache: Option<PathBuf>,
    turns: Semaphore,
    home: OnceLock<Home>,
    kept: OnceLock<Option<Kept>>,
}

/// Where answers are kept, and on what ground.
#[derive(Debug)]
struct Kept {
    program: PathBuf,
    ground: Ground,
    memory: Memory,
}

impl Asker {
    /// Nothing is read or asked yet.
    pub(crate) fn new(config: &SshConfig) -> Self {
        Self {
            config_file: config.config_file.clone(),
            cache: config.cache_dir.clone(),
            turns: Semaphore::new(AT_ONCE),
            home: OnceLock::new(),
            kept: OnceLock::new(),
        }
    }

    /// What ssh's configuration says of `destination`. `user` goes before the configuration, but
    /// not before the destination's own. Changes nothing on any host; cancel-safe.
    pub(crate) async fn ask(
        &self,
        destination: &Destination,
        user: Option<&str>,
    ) -> Result<HostConfig, ConnectError> {
        let home = self.home.get_or_init(Home::find);
        let question = Question {
            host: &destination.host,
            user: destination.user.as_deref().or(user),
            port: destination.port,
        };
        let mut config = self.recall_or_ask(&question, home).await?;
        config.by_hand = self.by_hand(&question);
        Ok(config)
    }

    async fn recall_or_ask(
        &self,
        question: &Question<'_>,
        home: &Home,
    ) -> Result<HostConfig, ConnectError> {
        let kept = self.kept.get_or_init(|| self.look_for_kept(home)).as_ref();
        if let Some(answer) = kept.and_then(|kept| kept.memory.recall(question)) {
            return HostConfig::parse(question.host, &answer, home);
        }
        let turn = self.turns.acquire().await;
        let answer = self.ask_ssh(question, kept.is_some()).await?;
        drop(turn);
        if let Some(kept) = kept
            && self.is_sound(kept, home, &answer)
        {
            kept.memory.keep(question, &answer.text);
        }
        HostConfig::parse(question.host, &answer.text, home)
    }

    /// The login that is asked about, as a command for a person's shell.
    fn by_hand(&self, question: &Question<'_>) -> String {
        let mut words = vec!["ssh".to_owned()];
        if let Some(file) = &self.config_file {
            words.extend(["-F".to_owned(), quote(&file.display().to_string())]);
        }
        words.extend(["-o".to_owned(), "BatchMode=yes".to_owned()]);
        if let Some(port) = question.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        let user = question.user.map_or(String::new(), |user| format!("{user}@"));
        words.extend([quote(&format!("{user}{}", question.host)), "true".to_owned()]);
        words.join(" ")
    }

    fn look_for_kept(&self, home: &Home) -> Option<Kept> {
        let cache = self.cache.as_ref()?;
        let program = which("ssh")?;
        let ground = Ground::survey(&self.setting(&program, home))?;
        let memory = Memory::open(cache, &ground.digest)?;
        Some(Kept { program, ground, memory })
    }

    fn setting<'a>(&'a self, program: &'a Path, home: &'a Home) -> Setting<'a> {
        Setting { program, config_file: self.config_file.as_deref(), home }
    }

    /// Whether an answer was given on the ground that it would be kept for: nothing has changed
    /// since that was looked at, and ssh has read no file and run no command beyond it.
    fn is_sound(&self, kept: &Kept, home: &Home, answer: &Answer) -> bool {
        !answer.moving
            && kept.ground.accounts_for(&answer.read)
            && Ground::survey(&self.setting(&kept.program, home)).as_ref() == Some(&kept.ground)
    }

    async fn ask_ssh(&self, question: &Question<'_>, tell: bool) -> Result<Answer, ConnectError> {
        let mut command = Command::new("ssh");
        if tell {
            // It then says which files it reads.
            command.arg("-v");
        }
        command.arg("-G");
        if let Some(file) = &self.config_file {
            command.arg("-F").arg(file);
        }
        if let Some(user) = question.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = question.port {
            command.arg("-p").arg(port.to_string());
        }
        command.arg("--").arg(question.host).stdin(Stdio::null()).kill_on_drop(true);
        // A Ctrl-C at the terminal is the run's to deal with.
        command.process_group(0);
        let output = match tokio::time::timeout(PATIENCE, command.output()).await {
            Err(_) => {
                return Err(ConnectError::Config(format!("ssh -G takes longer than {PATIENCE:?}")));
            }
            Ok(Err(error)) => {
                return Err(ConnectError::Config(format!(
                    "cannot run ssh, which is asked for its configuration (install an OpenSSH \
                     client): {error}"
                )));
            }
            Ok(Ok(output)) => output,
        };
        let told = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let is_told = |line: &&str| !(tell && is_chatter(line));
            let said: Vec<&str> = told.lines().filter(is_told).collect();
            let said = said.join("\n");
            let said = said.trim();
            return Err(ConnectError::Config(format!("the ssh configuration is refused: {said}")));
        }
        Ok(Answer::new(String::from_utf8_lossy(&output.stdout).into_owned(), &told))
    }
}

/// What ssh said.
struct Answer {
    text: String,
    /// The files that it says it has read.
    read: Vec<PathBuf>,
    /// Whether it has run a command to find out.
    moving: bool,
}

impl Answer {
    fn new(text: String, told: &str) -> Self {
        let read = told.lines().filter_map(|line| {
            line.trim_end().strip_prefix("debug1: Reading configuration data ").map(PathBuf::from)
        });
        let read = read.collect();
        let moving = told.lines().any(|line| line.contains("Executing command"));
        Self { text, read, moving }
    }
}

/// Whether a line is what `-v` adds.
fn is_chatter(line: &str) -> bool {
    line.starts_with("debug1: ") || line.starts_with("OpenSSH_")
}

/// The program that a name means, as it is looked for when it is run.
fn which(name: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(runs)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use tempfile::TempDir;

    use super::*;

    /// A configuration, and a place to keep answers.
    struct Desk(TempDir);

    impl Desk {
        fn new(config: &str) -> Self {
            let desk = Self(tempfile::tempdir().unwrap());
            desk.write("config", config);
            desk
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        /// As a new run asks.
        fn asker(&self) -> Asker {
            Asker::new(&SshConfig {
                config_file: Some(self.path("config")),
                cache_dir: Some(self.path("cache")),
                ..SshConfig::default()
            })
        }

        async fn port_of(&self, host: &str) -> u16 {
            let destination = Destination::parse(host).unwrap();
            self.asker().ask(&destination, None).await.unwrap().port
        }

        /// Whether a new run need not ask about `host`.
        fn knows(&self, host: &str, user: Option<&str>) -> bool {
            let asker = self.asker();
            let home = asker.home.get_or_init(Home::find);
            let destination = Destination::parse(host).unwrap();
            let question = Question { host: &destination.host, user, port: destination.port };
            let kept = asker.look_for_kept(home);
            kept.is_some_and(|kept| kept.memory.recall(&question).is_some())
        }
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_its_question_alone() {
        let desk = Desk::new("Host h1\n Port 2201\nMatch user eve\n Port 2202\n");
        assert!(!desk.knows("h1", None));
        assert_eq!(desk.port_of("h1").await, 2201);
        assert!(desk.knows("h1", None));
        assert_eq!(desk.port_of("h1").await, 2201);
        assert!(!desk.knows("h2", None) && !desk.knows("h1", Some("eve")));
        assert!(!desk.knows("h1:22", None));
        let eve = desk.asker().ask(&Destination::parse("h3").unwrap(), Some("eve")).await.unwrap();
        assert_eq!(eve.port, 2202);
        assert_eq!(desk.port_of("h3").await, 22);
    }

    #[tokio::test]
    async fn whatever_changes_is_asked_about_anew() {
        let desk = Desk::new("");
        let conf = desk.path("conf.d");
        fs::create_dir(&conf).unwrap();
        let include = format!("Include {}/*.conf {}/late\n", conf.display(), conf.display());
        let base = format!("{include}Host *\n Port 2300\n");
        desk.write("config", &base);
        let steps: [(&dyn Fn(), u16); 8] = [
            (&|| {}, 2300),
            (&|| desk.write("config", &base.replace("2300", "2301")), 2301),
            (&|| desk.write("conf.d/b.conf", "Port 2302\n"), 2302),
            (&|| desk.write("conf.d/b.conf", "Port 2303\n"), 2303),
            (&|| desk.write("conf.d/a.conf", "Port 2304\n"), 2304),
            (&|| fs::remove_file(conf.join("a.conf")).unwrap(), 2303),
            (&|| fs::rename(conf.join("b.conf"), conf.join("b.off")).unwrap(), 2301),
            (&|| desk.write("conf.d/late", "Port 2305\n"), 2305),
        ];
        for (number, (change, port)) in steps.into_iter().enumerate() {
            change();
            assert_eq!(desk.port_of("h1").await, port, "step {number}");
            assert!(desk.knows("h1", None), "step {number}");
        }
        // Back to what was asked about before: that answer still holds.
        fs::remove_file(conf.join("late")).unwrap();
        assert_eq!(desk.port_of("h1").await, 2301);
    }

    #[tokio::test]
    async fn a_file_that_ssh_would_now_refuse_is_asked_about_anew() {
        let desk = Desk::new("Port 2400\n");
        assert_eq!(desk.port_of("h1").await, 2400);
        fs::set_permissions(desk.path("config"), Permissions::from_mode(0o666)).unwrap();
        assert!(!desk.knows("h1", None));
    }

    #[tokio::test]
    async fn what_is_found_out_by_a_command_is_never_kept() {
        let desk = Desk::new("");
        let flag = desk.path("flag");
        let test = format!("Match exec \"test -e {}\"\n Port 2501\n", flag.display());
        for config in [&test, &format!("Host *\n{test}"), &test.replace("Match", "mAtch")] {
            desk.write("config", config);
            assert_eq!(desk.port_of("h1").await, 22);
            desk.write("flag", "");
            assert_eq!(desk.port_of("h1").await, 2501);
            fs::remove_file(&flag).unwrap();
        }
        assert!(!desk.path("cache").exists());
    }

    #[tokio::test]
    async fn only_a_directory_that_is_ours_alone_is_believed() {
        let desk = Desk::new("Port 2600\n");
        assert_eq!(desk.port_of("h1").await, 2600);
        for (place, mode) in [("cache", 0o755), (".", 0o777)] {
            let place = desk.path(place);
            let before = fs::metadata(&place).unwrap().permissions();
            fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
            assert!(!desk.knows("h1", None), "{mode:o}");
            fs::set_permissions(&place, before).unwrap();
        }
        assert!(desk.knows("h1", None));
        let ground = fs::read_dir(desk.path("cache")).unwrap().next().unwrap().unwrap().path();
        let answer = fs::read_dir(&ground).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(&answer).unwrap();
        fs::write(&answer, text.replace("2600", "2601")).unwrap();
        assert!(!desk.knows("h1", None), "it was tampered with");
        assert_eq!(desk.port_of("h1").await, 2600);
        fs::rename(&answer, desk.path("elsewhere")).unwrap();
        std::os::unix::fs::symlink(desk.path("elsewhere"), &answer).unwrap();
        assert!(!desk.knows("h1", None), "it is a link");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_ssh_s_own_words_and_not_kept() {
        let desk = Desk::new("Port many\n");
        let refused = desk.asker().ask(&Destination::parse("h1").unwrap(), None).await.unwrap_err();
        let told = refused.to_string();
        assert!(told.contains("config") && !told.contains("debug1"), "{told}");
        assert!(!desk.knows("h1", None));
    }

    #[test]
    fn an_ssh_that_reads_elsewhere_is_not_kept() {
        let desk = Desk::new("Port 2700\n");
        let home = Home::find();
        let (asker, ssh) = (desk.asker(), which("ssh").unwrap());
        let ground = Ground::survey(&asker.setting(&ssh, &home)).unwrap();
        let (known, other) = (desk.path("config"), desk.path("other"));
        desk.write("other", "");
        assert!(ground.accounts_for(std::slice::from_ref(&known)));
        assert!(!ground.accounts_for(&[known, other]));
        assert!(!ground.accounts_for(&[]));
        // A script may do anything.
        desk.write("ssh", "#!/bin/sh\n");
        assert_eq!(Ground::survey(&asker.setting(&desk.path("ssh"), &home)), None);
    }
}
