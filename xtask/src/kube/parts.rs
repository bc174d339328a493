//! The parts of a cluster, and how each is started.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Kube, KubeError, program};
use crate::process::Process;

/// How long a part may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

impl Kube {
    /// Starts its API server, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_api(&self) -> Result<(), KubeError> {
        let etcd = format!("http://127.0.0.1:{}", self.port + 1);
        let file = |name: &str| self.dir.join(name).display().to_string();
        self.spawn(
            "kube-apiserver",
            program::built("kube-apiserver"),
            &[
                "--etcd-servers",
                &etcd,
                "--secure-port",
                &self.port.to_string(),
                "--bind-address",
                "127.0.0.1",
                "--advertise-address",
                "127.0.0.1",
                "--tls-cert-file",
                &file("tls.crt"),
                "--tls-private-key-file",
                &file("tls.key"),
                "--service-account-issuer",
                "https://kube",
                "--service-account-key-file",
                &file("sa.crt"),
                "--service-account-signing-key-file",
                &file("sa.key"),
                "--token-auth-file",
                &file("tokens.csv"),
                "--authorization-mode",
                "RBAC",
                "--service-cluster-ip-range",
                "10.0.0.0/24",
                "--disable-admission-plugins",
                "ServiceAccount",
                "--endpoint-reconciler-type",
                "none",
            ],
        )?;
        self.wait("kube-apiserver", || self.ask("GET", "/readyz", None).is_ok_and(|it| it.0 == 200))
    }

    pub(super) fn start_etcd(&self) -> Result<(), KubeError> {
        let [client, peer] = [1, 2].map(|more| format!("http://127.0.0.1:{}", self.port + more));
        let data = self.dir.join("etcd").display().to_string();
        let cluster = format!("e={peer}");
        self.spawn(
            "etcd",
            "etcd".into(),
            &[
                "--name",
                "e",
                "--data-dir",
                &data,
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
                "--initial-cluster",
                &cluster,
                // It is thrown away: nothing in it has to survive a power cut.
                "--unsafe-no-fsync",
            ],
        )
    }

    pub(super) fn start_controllers(&self) -> Result<(), KubeError> {
        let kubeconfig = self.dir.join("controllers");
        let text =
            fs::read_to_string(self.kubeconfig()).map_err(KubeError::io("read", &kubeconfig))?;
        let text = format!("{text}current-context: {}\n", self.name);
        fs::write(&kubeconfig, text).map_err(KubeError::io("write", &kubeconfig))?;
        self.spawn(
            "kube-controller-manager",
            program::built("kube-controller-manager"),
            &[
                "--kubeconfig",
                &kubeconfig.display().to_string(),
                "--leader-elect=false",
                "--port",
                "0",
                "--secure-port",
                "0",
                "--controllers",
                "*,-nodelifecycle,-attachdetach,-serviceaccount-token",
                // Hundreds of pods are to be there soon.
                "--kube-api-qps",
                "200",
                "--kube-api-burst",
                "400",
            ],
        )?;
        // It makes a ConfigMap in each namespace once it works.
        self.wait("kube-controller-manager", || {
            let path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt";
            self.ask("GET", path, None).is_ok_and(|it| it.0 == 200)
                || self
                    .ask("GET", "/api/v1/namespaces/default/serviceaccounts/default", None)
                    .is_ok_and(|it| it.0 == 200)
        })
    }

    pub(super) fn certificate(
        &self,
        name: &str,
        subject: &str,
        more: &[&str],
    ) -> Result<(), KubeError> {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&self.dir).args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
        openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")]);
        openssl.args(["-days", "30", "-subj", &format!("/CN={subject}")]).args(more);
        let output = openssl.output().map_err(KubeError::io("run", "openssl"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(KubeError::Program { program: "openssl".to_owned(), said })
    }

    fn spawn(&self, part: &'static str, program: PathBuf, words: &[&str]) -> Result<(), KubeError> {
        let log = self.dir.join(format!("{part}.log"));
        let log = fs::File::create(&log).map_err(KubeError::io("make", &log))?;
        let errors = log.try_clone().map_err(KubeError::io("open", &self.dir))?;
        let mut command = Command::new(&program);
        command.args(words).current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        // A Ctrl-C at the terminal is not for it.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(KubeError::io("run", &program))?;
        let file = self.dir.join(format!("{part}.pid"));
        let process = Process::running(child.id()).map(|it| it.to_string()).unwrap_or_default();
        fs::write(&file, process).map_err(KubeError::io("write", &file))?;
        // Whoever ends it later may be another process: somebody has to take note of its end.
        thread::spawn(move || {
            let mut child = child;
            let _ = child.wait();
        });
        Ok(())
    }

    fn wait(&self, part: &'static str, is_up: impl Fn() -> bool) -> Result<(), KubeError> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if is_up() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
        }
        let log = fs::read_to_string(self.dir.join(format!("{part}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(20)..].join("\n");
        Err(KubeError::Start { part, log })
    }
}
