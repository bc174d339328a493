//! A real image registry (Debian's docker-registry), on loopback.
//!
//! ```no_run
//! use xtask::Registry;
//!
//! let registry = Registry::up(false)?;
//! let digest = registry.push("mathoid", "v1", &[("org.opencontainers.image.revision", "abc")])?;
//! println!("{}/mathoid:v1 is {digest}", registry.host());
//! # Ok::<(), xtask::KubeError>(())
//! ```

use std::{
    fs,
    io::Write,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kube::KubeError;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who may ask where a login is wanted, and the password, as htpasswd writes it.
const HTPASSWD: &str = "ann:$2b$04$LlIJVKqPhi1qFzaJDCRpv.FLLAnJIVcFoCeiVhIuzKT0PM9XNhrtO\n";

/// An image registry. Dropped, it goes with all that was pushed.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    port: u16,
    login: Option<(&'static str, &'static str)>,
    token: Option<String>,
    _dir: TempDir,
}

/// Whom a registry believes who may ask.
#[derive(Debug, Clone, Copy)]
enum Access<'a> {
    Anybody,
    Passwords,
    Tokens { realm: &'a str, certificate: &'a str },
}

impl Registry {
    /// Starts one; `private` ones want a [`login`](Self::login).
    ///
    /// # Errors
    /// When docker-registry is not installed, or does not come up.
    pub fn up(private: bool) -> Result<Self, KubeError> {
        Self::with(if private { Access::Passwords } else { Access::Anybody })
    }

    /// Starts one that wants a token of `tests` for the service `registry`, signed by the holder of
    /// `certificate` (PEM), and sends for it to the URL `realm`.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub fn with_tokens(realm: &str, certificate: &str) -> Result<Self, KubeError> {
        Self::with(Access::Tokens { realm, certificate })
    }

    /// Pushes with this token from now on.
    pub fn show_token(&mut self, token: impl Into<String>) {
        self.token = Some(token.into());
    }

    fn with(access: Access<'_>) -> Result<Self, KubeError> {
        let dir = tempfile::tempdir().map_err(KubeError::io("make", "a directory"))?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = port.map_err(KubeError::io("find a free port on", "127.0.0.1"))?.port();
        let passwords = dir.path().join("htpasswd");
        fs::write(&passwords, HTPASSWD).map_err(KubeError::io("write", &passwords))?;
        let mut config = json!({
            "version": 0.1,
            "log": { "level": "warn" },
            "storage": { "delete": { "enabled": true }, "filesystem": { "rootdirectory": dir.path().join("data") } },
            "http": { "addr": format!("127.0.0.1:{port}") },
        });
        match access {
            Access::Anybody => {}
            Access::Passwords => {
                config["auth"] = json!({ "htpasswd": { "realm": "tests", "path": passwords } });
            }
            Access::Tokens { realm, certificate } => {
                let bundle = dir.path().join("bundle.pem");
                fs::write(&bundle, certificate).map_err(KubeError::io("write", &bundle))?;
                config["auth"] = json!({ "token": {
                    "realm": realm, "service": "registry", "issuer": "tests", "rootcertbundle": bundle,
                } });
            }
        }
        let file = dir.path().join("config.yml");
        // JSON is YAML.
        fs::write(&file, config.to_string()).map_err(KubeError::io("write", &file))?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(KubeError::io("run", "docker-registry"))?;
        let login = matches!(access, Access::Passwords).then_some(("ann", "secret"));
        let registry = Self { process, port, login, token: None, _dir: dir };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // That nobody is let in without a token is an answer.
            if registry.ask(&[], "/v2/", b"").is_ok() {
                return Ok(registry);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(KubeError::Start { part: "docker-registry", log: String::new() })
    }

    /// Its host and port, as image names begin.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Who may ask, with the password; `None` where everybody may.
    pub fn login(&self) -> Option<(&'static str, &'static str)> {
        self.login
    }

    /// Pushes an image without layers as `name:tag`, with these labels; returns its digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push(
        &self,
        name: &str,
        tag: &str,
        labels: &[(&str, &str)],
    ) -> Result<String, KubeError> {
        let labels: Value = labels.iter().map(|(key, value)| (*key, json!(value))).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2024-06-10T12:34:56Z",
            // Two images without labels are two all the same.
            "config": { "Labels": labels, "Env": [format!("TAG={tag}")] },
            "rootfs": { "type": "layers", "diff_ids": [] },
        })
        .to_string();
        let media = "application/vnd.docker.distribution.manifest.v2+json";
        self.push_manifest(
            (name, tag),
            media,
            |config| {
                json!({
                    "schemaVersion": 2, "mediaType": media, "layers": [],
                    "config": {
                        "mediaType": "application/vnd.docker.container.image.v1+json",
                        "size": config.1, "digest": config.0,
                    },
                })
            },
            config.as_bytes(),
        )
    }

    /// Pushes what is no image as `name:tag`: a manifest of OCI whose configuration is `config`, of the
    /// media type `kind`; returns its digest.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_artifact(
        &self,
        (name, tag): (&str, &str),
        kind: &str,
        config: &str,
    ) -> Result<String, KubeError> {
        let media = "application/vnd.oci.image.manifest.v1+json";
        self.push_manifest(
            (name, tag),
            media,
            |stored| {
                json!({
                    "schemaVersion": 2, "mediaType": media, "layers": [],
                    "config": { "mediaType": kind, "size": stored.1, "digest": stored.0 },
                })
            },
            config.as_bytes(),
        )
    }

    /// Deletes the manifest `digest` of `name`, with all its tags.
    ///
    /// # Errors
    /// When the registry does not do it.
    pub fn delete(&self, name: &str, digest: &str) -> Result<(), KubeError> {
        self.ask(&["-f", "-X", "DELETE"], &format!("/v2/{name}/manifests/{digest}"), b"").map(drop)
    }

    fn push_manifest(
        &self,
        (name, tag): (&str, &str),
        media: &str,
        manifest: impl Fn((String, usize)) -> Value,
        config: &[u8],
    ) -> Result<String, KubeError> {
        let digest = self.blob(name, config)?;
        let manifest = manifest((digest, config.len())).to_string();
        let kind = format!("Content-Type: {media}");
        let words = ["-f", "-X", "PUT", "-H", &kind, "--data-binary", "@-"];
        self.ask(&words, &format!("/v2/{name}/manifests/{tag}"), manifest.as_bytes())?;
        digest_of(manifest.as_bytes())
    }

    fn blob(&self, name: &str, bytes: &[u8]) -> Result<String, KubeError> {
        let digest = digest_of(bytes)?;
        let begun = self.ask(
            &["-f", "-X", "POST", "-D", "-", "-o", "/dev/null"],
            &format!("/v2/{name}/blobs/uploads/"),
            b"",
        )?;
        let location = begun.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        let location = location.unwrap_or_default();
        let path = location.split_once(&self.host()).map_or(location.as_str(), |(_, path)| path);
        let kind = "Content-Type: application/octet-stream";
        let words = ["-f", "-X", "PUT", "-H", kind, "--data-binary", "@-"];
        self.ask(&words, &format!("{path}&digest={digest}"), bytes)?;
        Ok(digest)
    }

    fn ask(&self, words: &[&str], path: &str, input: &[u8]) -> Result<String, KubeError> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20"]).args(words);
        if let Some((user, password)) = self.login {
            curl.args(["-u", &format!("{user}:{password}")]);
        }
        if let Some(token) = &self.token {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        curl.arg(format!("http://{}{path}", self.host()));
        curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run(curl, input)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The only error is that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn digest_of(bytes: &[u8]) -> Result<String, KubeError> {
    let mut sum = Command::new("sha256sum");
    sum.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let said = run(sum, bytes)?;
    Ok(format!("sha256:{}", said.split(' ').next().unwrap_or_default()))
}

fn run(mut command: Command, input: &[u8]) -> Result<String, KubeError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(KubeError::io("run", &program))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).map_err(KubeError::io("write to", &program))?;
    }
    let output = child.wait_with_output().map_err(KubeError::io("wait for", &program))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(KubeError::Program { program, said })
}
