//! Hosts that pull by themselves, with their own credentials.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;
#[path = "support/sshd.rs"]
mod sshd;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use deploy_core::{
    backend::{ErrorKind, Transport},
    model::{Release, Version},
};
use deploy_ssh::{BuildStep, FetchMethod, PullUrl, RunProcess, SshTransport, session::Sessions};
use ground::{Ground, git, scope};
use sshd::{Client, Sshd, one_host, target};

/// A ground with its origin, which is kept up to date.
struct Origin {
    ground: Ground,
    path: PathBuf,
}

impl Origin {
    fn new() -> Self {
        let ground = Ground::new();
        let path = ground.repo().with_file_name("origin.git");
        git(ground.repo().parent().unwrap(), &["init", "-q", "--bare", "-b", "main", "origin.git"]);
        ground.git(&["remote", "add", "origin", path.to_str().unwrap()]);
        Self { ground, path }
    }

    fn push(&self, name: &str) -> Version {
        let version = self.ground.commit(name);
        self.ground.git(&["push", "-q", "origin", "main"]);
        version
    }

    fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    fn transport(&self) -> SshTransport {
        self.ground.transport().fetch_by(pull(&self.url()))
    }

    fn hide(&self) {
        fs::rename(&self.path, self.path.with_file_name("hidden.git")).unwrap();
    }

    fn show(&self) {
        fs::rename(self.path.with_file_name("hidden.git"), &self.path).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.ground.path().join(file)).unwrap()
    }

    /// How many commits lie on the target.
    fn commits(&self) -> usize {
        let all = ["cat-file", "--batch-check", "--batch-all-objects"];
        let objects = git(&self.ground.cache().join("repo.git"), &all);
        objects.lines().filter(|line| line.contains(" commit ")).count()
    }
}

fn pull(url: &str) -> FetchMethod {
    FetchMethod::Pull(PullUrl::new(url).unwrap())
}

fn spoil(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, "spoilt by somebody").unwrap();
}

#[tokio::test]
async fn a_version_is_pulled_without_its_history_and_gone_back_from_without_its_origin() {
    let origin = Origin::new();
    for n in 0..5 {
        origin.ground.write("a.txt", format!("{n}"));
        origin.ground.commit("history");
    }
    origin.ground.write("a.txt", "one\n");
    origin.ground.write("bin/run", "#!/bin/sh\n");
    let v1 = origin.push("v1");
    let ground = &origin.ground;
    let one = ground.deploy(&origin.transport(), &v1, "r1").await.unwrap();
    assert_eq!(origin.read("a.txt"), "one\n");
    assert_eq!(origin.commits(), 1);
    let pushed = ground.transport().release(&ground.target, &v1).unwrap();
    assert_ne!(pushed, one, "another method is another release");

    ground.write("a.txt", "two\n");
    let v2 = origin.push("v2");
    let two = ground.deploy(&origin.transport(), &v2, "r2").await.unwrap();
    assert_eq!((origin.read("a.txt"), origin.commits()), ("two\n".into(), 2));
    // With the origin gone: what is there is gone back to, damaged or not, and forth again.
    origin.hide();
    spoil(&ground.release(&one).join("a.txt"));
    fs::remove_dir_all(ground.cache().join("repo.git/objects")).unwrap();
    for (from, to, text) in [(&two, &one, "one\n"), (&one, &two, "two\n")] {
        let transport = origin.transport();
        let change = ground.between(Some(from), Some(to));
        transport.fetch(&ground.target, &change, &scope("r3")).await.unwrap();
        origin.transport().promote(&ground.target, &change, &scope("r3")).await.unwrap();
        assert_eq!(origin.read("a.txt"), text);
    }
}

#[tokio::test]
async fn after_many_versions_the_store_is_made_small_and_pulled_into_again() {
    let origin = Origin::new();
    let ground = &origin.ground;
    for n in 0..24 {
        ground.write("a.txt", format!("{n}"));
        let version = origin.push(&format!("v{n}"));
        let transport = ground.transport_of(ground.layout().keep(2));
        let transport = transport.fetch_by(pull(&origin.url()));
        ground.deploy(&transport, &version, &format!("r{n}")).await.unwrap();
    }
    assert_eq!(origin.read("a.txt"), "23");
    assert!(origin.commits() < 10, "{}", origin.commits());
    git(&ground.cache().join("repo.git"), &["fsck", "--connectivity-only"]);
}

#[tokio::test]
async fn submodules_and_large_files_are_sent_along_with_what_is_pulled() {
    let origin = Origin::new();
    let library = Ground::new();
    library.write("file", "library 1");
    library.commit("1");
    let ground = &origin.ground;
    ground.git(&["submodule", "--quiet", "add", library.repo().to_str().unwrap(), "lib"]);
    ground.git(&["lfs", "install", "--local", "--skip-repo"]);
    ground.write(".gitattributes", "*.bin filter=lfs -text\n");
    ground.write("large.bin", vec![7; 100_000]);
    ground.write("a.txt", "one");
    let v1 = origin.push("v1");
    ground.deploy(&origin.transport(), &v1, "r1").await.unwrap();
    assert_eq!((origin.read("a.txt"), origin.read("lib/file")), ("one".into(), "library 1".into()));
    assert_eq!(fs::metadata(ground.path().join("large.bin")).unwrap().len(), 100_000);

    fs::write(ground.repo().join("lib/file"), "library 2").unwrap();
    git(&ground.repo().join("lib"), &["commit", "-qam", "2"]);
    let v2 = origin.push("v2");
    let step = BuildStep {
        name: "build".into(),
        command: "cp lib/file built".into(),
        timeout: std::time::Duration::from_secs(20),
    };
    ground.deploy(&origin.transport().build_steps(vec![step]), &v2, "r2").await.unwrap();
    assert_eq!(origin.read("built"), "library 2");
    assert_eq!(fs::metadata(ground.path().join("large.bin")).unwrap().len(), 100_000);
}

#[tokio::test]
async fn why_a_target_cannot_pull_is_told_and_nothing_is_left() {
    let origin = Origin::new();
    let ground = &origin.ground;
    ground.write("a.txt", "one");
    let v1 = origin.push("v1");
    let one = ground.deploy(&origin.transport(), &v1, "r1").await.unwrap();
    ground.write("a.txt", "two");
    let unpushed = ground.commit("v2");
    let closed = format!("http://127.0.0.1:{}/app.git", sshd::free_port());
    for (url, kind, words) in [
        (origin.url(), ErrorKind::NotFound, "no such commit"),
        ("file:///nowhere/app.git".to_owned(), ErrorKind::Denied, "no access"),
        (closed, ErrorKind::Rejected, "no route"),
    ] {
        let transport = ground.transport().fetch_by(pull(&url));
        let change = ground.change(&transport, Some(&one), Some(&unpushed));
        let error = transport.fetch(&ground.target, &change, &scope("r2")).await.unwrap_err();
        assert!(error.cause().starts_with(words), "{url}: {}", error.cause());
        assert_eq!(error.kind(), kind, "{}", error.cause());
        assert!(error.hint().unwrap().contains("git ls-remote "), "{error:?}");
        assert_eq!(fs::read_dir(ground.cache().join("releases")).unwrap().count(), 1);
    }
    ground.git(&["push", "-q", "origin", "main"]);
    ground.deploy(&origin.transport(), &unpushed, "r2").await.unwrap();
    // What is there already needs no origin.
    origin.hide();
    ground.deploy(&origin.transport(), &unpushed, "r3").await.unwrap();
    origin.show();
}

#[tokio::test]
async fn a_server_that_gives_out_only_what_has_a_name_is_asked_by_name() {
    for tagged in [true, false] {
        let origin = Origin::new();
        let ground = &origin.ground;
        ground.write("a.txt", "one");
        origin.push("before");
        ground.write("a.txt", "two");
        let version = origin.push("release/1");
        ground.write("a.txt", "after");
        origin.push("after");
        if tagged {
            ground.git(&["tag", "release/1", version.id.as_str()]);
            ground.git(&["push", "-q", "origin", "release/1"]);
        }
        // Dumb: what a plain web server has of a repository.
        git(&origin.path, &["update-server-info"]);
        let server = Dumb::serve(origin.path.parent().unwrap());
        let url = format!("http://127.0.0.1:{}/origin.git", server.port);
        let transport = ground.transport().fetch_by(pull(&url));
        ground.deploy(&transport, &version, "r1").await.unwrap();
        assert_eq!(origin.read("a.txt"), "two", "tagged: {tagged}");
    }
}

/// A web server that knows nothing of git.
struct Dumb {
    child: std::process::Child,
    port: u16,
}

impl Dumb {
    fn serve(directory: &Path) -> Self {
        let port = sshd::free_port();
        let child = std::process::Command::new("python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
            .current_dir(directory)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..500 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { child, port }
    }
}

impl Drop for Dumb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host with a home of its own, and a git server that lets in whoever has the key of `client`.
struct Home {
    _host: Sshd,
    _host_client: Client,
    sessions: Sessions,
    server: Sshd,
    client: Client,
    home: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (host, host_client, sessions) =
            one_host(&format!("SetEnv HOME={}", home.path().display()));
        let client = Client::new();
        let server = Sshd::start(&client, "");
        client.trust("git.example.org", &server, "");
        Self { _host: host, _host_client: host_client, sessions, server, client, home }
    }

    fn configure(&self, config: &str) {
        fs::write(self.home.path().join(".gitconfig"), config).unwrap();
    }

    fn ssh_command(&self) -> String {
        format!("[core]\n\tsshCommand = ssh -F {}\n", self.client.path("config").display())
    }

    fn transport(&self, origin: &Origin) -> SshTransport {
        let ground = &origin.ground;
        let process = RunProcess::current().unwrap();
        let url = format!("ssh://git.example.org{}", origin.path.display());
        SshTransport::new(self.sessions.clone(), ground.repo(), ground.layout(), process)
            .fetch_by(pull(&url))
    }
}

#[tokio::test]
async fn the_users_own_credentials_and_git_configuration_hold_but_no_hook_and_no_filter() {
    let home = Home::new();
    let mut origin = Origin::new();
    origin.ground.target = target("h1");
    let ground = &origin.ground;
    ground.write("a.txt", "one\r\n$Id$\n");
    ground.write(".gitattributes", "* text=auto ident filter=evil\n");
    ground.git(&["config", "core.safecrlf", "false"]);
    let v1 = origin.push("v1");
    let owned = home.home.path().join("owned");
    let hook = home.home.path().join("hooks/reference-transaction");
    fs::create_dir(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", owned.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    // The host knows the server by another name, and by a key of its own.
    home.configure(&format!(
        "{}\thooksPath = {}\n\tautocrlf = true\n[filter \"evil\"]\n\tsmudge = touch '{}'\n\
         [url \"ssh://git.example.org{1}\"]\n\tinsteadOf = nothing\n",
        home.ssh_command(),
        hook.parent().unwrap().display(),
        owned.display(),
    ));
    let transport = home.transport(&origin);
    let one = deploy(&origin, &transport, &v1).await;
    let blob = ground.git(&["cat-file", "blob", "HEAD:a.txt"]);
    assert_eq!(origin.read("a.txt").trim(), blob.trim());
    assert!(!owned.exists(), "a hook or a filter ran");
    assert_eq!(home.server.logins(), 1);

    // Without the key: nobody is asked, and it is said.
    fs::write(home.client.path("id"), "nonsense").unwrap();
    fs::remove_file(home.client.path("id.pub")).unwrap();
    ground.write("a.txt", "two\n");
    let v2 = origin.push("v2");
    let transport = home.transport(&origin);
    let change = ground.change(&transport, Some(&one), Some(&v2));
    let error = transport.fetch(&ground.target, &change, &scope("r2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.cause());
    assert!(error.cause().starts_with("no access: "), "{}", error.cause());
    // A server that is not known is not trusted.
    fs::write(home.client.path("known_hosts"), "").unwrap();
    let error = transport.fetch(&ground.target, &change, &scope("r2")).await.unwrap_err();
    assert!(error.cause().contains("Host key verification failed"), "{}", error.cause());
    home.sessions.close().await;
}

async fn deploy(origin: &Origin, transport: &SshTransport, version: &Version) -> Release {
    origin.ground.deploy(transport, version, "r1").await.unwrap_or_else(|e| {
        panic!("{e}: {} {:?}", e.cause(), e.evidence());
    })
}

/// Asks for a name and a password, and is git's own server behind that.
const SERVER: &str = r#"
import base64, http.server, os, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        if self.headers.get('Authorization') != 'Basic ' + base64.b64encode(b'ann:secret').decode():
            self.send_response(401); self.send_header('WWW-Authenticate', 'Basic realm="x"')
            self.send_header('Content-Length', '0'); self.end_headers(); return
        path, _, query = self.path.partition('?')
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        env = dict(os.environ, GIT_PROJECT_ROOT=sys.argv[2], GIT_HTTP_EXPORT_ALL='1', PATH_INFO=path,
            QUERY_STRING=query, REQUEST_METHOD=self.command, REMOTE_USER='ann',
            CONTENT_TYPE=self.headers.get('Content-Type', ''),
            HTTP_CONTENT_ENCODING=self.headers.get('Content-Encoding', ''),
            GIT_PROTOCOL=self.headers.get('Git-Protocol', ''), CONTENT_LENGTH=str(len(body)))
        out = subprocess.run(['git', 'http-backend'], input=body, env=env, capture_output=True).stdout
        head, _, rest = out.partition(b'\r\n\r\n')
        self.send_response(200)
        for line in head.decode().split('\r\n'):
            name, _, value = line.partition(': '); self.send_header(name, value)
        self.send_header('Content-Length', str(len(rest))); self.end_headers(); self.wfile.write(rest)
    do_GET = do_POST = answer
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"#;

#[tokio::test]
async fn a_credential_helper_of_the_user_is_asked() {
    let home = Home::new();
    let mut origin = Origin::new();
    origin.ground.target = target("h1");
    let ground = &origin.ground;
    ground.write("a.txt", "one");
    let v1 = origin.push("v1");
    let port = sshd::free_port();
    let root = origin.path.parent().unwrap().to_owned();
    let child = std::process::Command::new("python3")
        .args(["-c", SERVER, &port.to_string()])
        .arg(&root)
        .spawn()
        .unwrap();
    let _server = Dumb { child, port };
    for _ in 0..500 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let process = RunProcess::current().unwrap();
    let url = format!("http://127.0.0.1:{port}/origin.git");
    let transport =
        SshTransport::new(home.sessions.clone(), ground.repo(), ground.layout(), process)
            .fetch_by(pull(&url));
    let change = ground.change(&transport, None, Some(&v1));
    let error = transport.fetch(&ground.target, &change, &scope("r1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.cause());
    home.configure("[credential]\n\thelper = store\n");
    let credentials = format!("http://ann:wrong@127.0.0.1:{port}\n");
    fs::write(home.home.path().join(".git-credentials"), credentials).unwrap();
    let error = transport.fetch(&ground.target, &change, &scope("r1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", error.cause());
    let credentials = format!("http://ann:secret@127.0.0.1:{port}\n");
    fs::write(home.home.path().join(".git-credentials"), credentials).unwrap();
    deploy(&origin, &transport, &v1).await;
    assert_eq!(origin.read("a.txt"), "one");
    home.sessions.close().await;
}
