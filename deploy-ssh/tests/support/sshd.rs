//! A real sshd on loopback, without privileges, and an ssh_config that leads to it.
//!
//! Shared by several test programs, each of which uses a part of it.
#![expect(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use deploy_core::{
    backend::{Cancel, Discard, OutputSink, Scope, Stream},
    model::Target,
    plan::Stage,
    record::RunId,
};
use deploy_ssh::session::{Sessions, SshConfig};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// An sshd that lets in whoever holds the key of its [`Client`].
pub struct Sshd {
    pub port: u16,
    pub dir: TempDir,
    child: Child,
}

impl Sshd {
    /// Starts one that lets `client` in, with `options` as lines of its configuration.
    pub fn start(client: &Client, options: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        make_key(&dir.path().join("host"), "");
        fs::copy(client.path("id.pub"), dir.path().join("authorized")).unwrap();
        if nix::unistd::Uid::effective().is_root() {
            // Where sshd, as root, confines itself before the login.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // Between its choice and its use somebody else may take a port.
        (0..20)
            .find_map(|_| Self::try_start(&dir, options))
            .map_or_else(|| panic!("no free port"), |(port, child)| Self { port, dir, child })
    }

    fn try_start(dir: &TempDir, options: &str) -> Option<(u16, Child)> {
        let port = free_port();
        let base = dir.path().display();
        let config = format!(
            "{options}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {base}/host\nPidFile none\n\
             AuthorizedKeysFile {base}/authorized\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n"
        );
        fs::write(dir.path().join("config"), config).unwrap();
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f"])
            .arg(dir.path().join("config"))
            .arg("-E")
            .arg(dir.path().join("log"))
            .stdin(Stdio::null())
            .spawn()
            .expect("these tests need sshd (Debian: openssh-server)");
        if answers(&mut child, port) {
            return Some((port, child));
        }
        let _ = child.kill();
        let _ = child.wait();
        let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        assert!(log.contains("in use"), "sshd does not start: {log}");
        None
    }

    /// Its public host key, as `type base64`.
    pub fn host_key(&self) -> String {
        public_key(&self.dir.path().join("host.pub"))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How many logins there were.
    pub fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    /// Its processes that serve a connection.
    pub fn servants(&self) -> Vec<Pid> {
        let mut family = HashSet::from([self.child.id()]);
        let mut servants = Vec::new();
        let mut found = true;
        while found {
            found = false;
            for entry in fs::read_dir("/proc").unwrap().flatten() {
                let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
                let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
                let Some((name, rest)) = stat.rsplit_once(')') else { continue };
                let parent = rest.split_whitespace().nth(1).and_then(|p| p.parse().ok());
                if name.contains("sshd")
                    && parent.is_some_and(|parent: u32| family.contains(&parent))
                    && family.insert(pid)
                {
                    servants.push(Pid::from_raw(pid.try_into().unwrap()));
                    found = true;
                }
            }
        }
        servants
    }

    /// Sends `signal` to every process that serves a connection.
    pub fn signal(&self, signal: Signal) {
        for servant in self.servants() {
            let _ = kill(servant, signal);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answers(child: &mut Child, port: u16) -> bool {
    for _ in 0..200 {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut banner = [0; 4];
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            if stream.read_exact(&mut banner).is_ok() && &banner == b"SSH-" {
                return child.try_wait().unwrap().is_none();
            }
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(25));
    }
    false
}

/// A user with a key of their own, an ssh_config and a known_hosts file.
pub struct Client {
    dir: TempDir,
    config: Mutex<String>,
}

impl Client {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        make_key(&dir.path().join("id"), "");
        fs::write(dir.path().join("known_hosts"), "").unwrap();
        Self { dir, config: Mutex::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Adds a host to the ssh_config, and `options` of its own, which go before the usual ones.
    pub fn host(&self, alias: &str, port: u16, options: &str) -> &Self {
        let mut config = self.config.lock().unwrap();
        let base = self.dir.path().display();
        writeln!(
            config,
            "Host {alias}\n{options}\nHostName 127.0.0.1\nPort {port}\nUser {}\n\
             IdentityFile {base}/id\nIdentitiesOnly yes\nIdentityAgent none\n\
             UserKnownHostsFile {base}/known_hosts\nGlobalKnownHostsFile none",
            user()
        )
        .unwrap();
        fs::write(self.path("config"), config.as_str()).unwrap();
        self
    }

    /// Adds a line to the known_hosts file.
    pub fn know(&self, line: &str) -> &Self {
        let mut known = fs::read_to_string(self.path("known_hosts")).unwrap();
        writeln!(known, "{line}").unwrap();
        fs::write(self.path("known_hosts"), known).unwrap();
        self
    }

    /// Adds an sshd with its right key.
    pub fn trust(&self, alias: &str, sshd: &Sshd, options: &str) -> &Self {
        self.know(&format!("[127.0.0.1]:{} {}", sshd.port, sshd.host_key()));
        self.host(alias, sshd.port, options)
    }

    /// Options for quick tests, with this client's configuration.
    pub fn options(&self) -> SshConfig {
        let mut config = SshConfig::default();
        config.config_file = Some(self.path("config"));
        config.connect_timeout = Duration::from_secs(5);
        config.heartbeat = Duration::from_millis(400);
        config
    }

    pub fn sessions(&self) -> Sessions {
        Sessions::new(self.options())
    }
}

/// One sshd, and a client that reaches it as `h1`.
pub fn one_host(options: &str) -> (Sshd, Client, Sessions) {
    let client = Client::new();
    let sshd = Sshd::start(&client, options);
    client.trust("h1", &sshd, "");
    let sessions = client.sessions();
    (sshd, client, sessions)
}

pub fn target(name: &str) -> Target {
    name.parse().unwrap()
}

/// A scope with a minute of time.
pub fn scope() -> Scope {
    scope_of(Duration::from_secs(60))
}

pub fn scope_of(time: Duration) -> Scope {
    Scope {
        run: RunId::at(jiff::Timestamp::UNIX_EPOCH, 7),
        who: "ann@desk".to_owned(),
        stage: Stage::Check,
        attempt: 1,
        rolling_back: false,
        deadline: tokio::time::Instant::now() + time,
        cancel: Cancel::new(),
        output: Arc::new(Discard),
    }
}

/// Remembers what it was given.
#[derive(Debug, Default)]
pub struct Seen(pub Mutex<Vec<(Stream, Vec<u8>)>>);

impl Seen {
    pub fn text(&self) -> String {
        let seen = self.0.lock().unwrap();
        let bytes: Vec<u8> = seen.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl OutputSink for Seen {
    fn write(&self, _: &Target, _: Stage, stream: Stream, bytes: &[u8]) {
        self.0.lock().unwrap().push((stream, bytes.to_vec()));
    }
}

pub fn user() -> String {
    nix::unistd::User::from_uid(nix::unistd::Uid::current()).unwrap().unwrap().name
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Makes a key pair at `path`, encrypted if there is a `passphrase`.
pub fn make_key(path: &Path, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f"])
        .arg(path)
        .status()
        .expect("these tests need ssh-keygen (Debian: openssh-client)");
    assert!(made.success());
}

pub fn public_key(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
