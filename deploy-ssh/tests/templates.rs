//! Rendered files: made of variables and secrets, part of a release, gone back to with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[macro_use]
#[path = "support/links.rs"]
mod links;
#[path = "support/ground.rs"]
#[expect(dead_code, reason = "the fixture serves other tests too")]
mod ground;
#[path = "support/sshd.rs"]
mod sshd;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use deploy_core::{
    backend::{BackendError, Closing, ErrorKind, Preview, Transport},
    model::{App, GroupName, Release, Target, Version},
};
use deploy_ssh::{
    ArchiveOptions, BuildStep, FetchMethod, Layout, Place, RunProcess, SshTransport, Template,
    Templates, Variables,
    session::{Sessions, SshConfig},
};
use ground::{Ground, scope};
use serde_json::json;
use sshd::{one_host, target};

over_both_links!(
    files_are_rendered_by_variables_group_and_host,
    secrets_are_written_and_never_told,
    secrets_that_changed_make_another_release,
    what_a_target_lacks_for_its_secrets_is_told_beforehand,
    damaged_files_are_rendered_again_on_the_way_back,
    what_cannot_be_rendered_refuses_before_anything_is_touched,
    a_destination_that_is_not_free_is_refused,
    what_steps_make_is_not_taken_over,
    rendered_files_do_not_pass_on_to_the_next_release,
    an_archive_gets_rendered_files_too,
    a_destination_that_an_archive_has_is_refused,
);

const APP: &str = "templates/app.yaml.j2";

/// A repository with a template, and where it is rendered to.
struct Scene {
    ground: Ground,
    sessions: Sessions,
    secrets: bool,
}

impl Scene {
    fn new(sessions: &Sessions, target: &Target, template: &str) -> Self {
        let mut ground = Ground::new();
        ground.target = target.clone();
        ground.write(APP, template);
        ground.write("a.txt", "one\n");
        Self { ground, sessions: sessions.clone(), secrets: false }
    }

    /// The same, with these secrets on the target.
    fn with_secrets(mut self, toml: &str) -> Self {
        self.secrets = true;
        self.put_secrets(toml);
        self
    }

    fn put_secrets(&self, toml: &str) {
        fs::write(self.secrets_file(), toml).unwrap();
        fs::set_permissions(self.secrets_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn secrets_file(&self) -> String {
        format!("{}/secrets.toml", self.ground.srv().display())
    }

    fn layout(&self) -> Layout {
        self.ground.layout().service_user("root")
    }

    fn templates(&self, files: Vec<Template>, variables: serde_json::Value) -> Templates {
        let variables: Variables = variables.as_object().unwrap().clone();
        let group = GroupName::new("canary").unwrap();
        let place = Place { group, variables: Arc::new(variables) };
        let templates =
            Templates::new(App::new("mockbase").unwrap(), Some("beta".parse().unwrap()), files)
                .unwrap()
                .place(self.ground.target.clone(), place);
        match self.secrets {
            true => templates.secrets_file(self.secrets_file()).unwrap(),
            false => templates,
        }
    }

    /// A transport that renders the one template with these variables.
    fn transport(&self, variables: serde_json::Value) -> SshTransport {
        let file = Template::new(APP, "config/app.yaml").unwrap();
        self.transport_of(self.templates(vec![file], variables))
    }

    fn transport_of(&self, templates: Templates) -> SshTransport {
        self.plain_transport().templates(templates).unwrap()
    }

    fn plain_transport(&self) -> SshTransport {
        let process = RunProcess::current().unwrap();
        SshTransport::new(self.sessions.clone(), self.ground.repo(), self.layout(), process)
    }

    async fn render(
        &self,
        transport: &SshTransport,
        version: &Version,
    ) -> Result<(), BackendError> {
        transport.render(version, [&self.ground.target]).await
    }

    async fn deploy(&self, transport: &SshTransport, version: &Version, run: &str) -> Release {
        self.render(transport, version).await.unwrap();
        self.ground.deploy(transport, version, run).await.unwrap()
    }

    /// What is live.
    fn live(&self) -> String {
        fs::read_to_string(self.ground.path().join("config/app.yaml")).unwrap()
    }

    fn file(&self, release: &Release) -> std::path::PathBuf {
        self.ground.release(release).join("config/app.yaml")
    }

    /// What would change from what is live to `version`, by what the target says now.
    async fn diff(&self, transport: &SshTransport, version: &Version) -> String {
        self.render(transport, version).await.unwrap();
        let live = self.ground.live(transport).await;
        let change = self.ground.change(transport, live.release(), Some(version));
        let diffs = transport.diffs(&change);
        diffs.into_iter().map(|diff| format!("{}: {}", diff.file, diff.diff)).collect()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

async fn files_are_rendered_by_variables_group_and_host(sessions: &Sessions, target: &Target) {
    let template = "port: {{ port }}\n{% for s in servers %}\n- {{ s }}\n{% endfor %}\n\
        at: {{ deploy.group }} {{ deploy.host }} {{ deploy.environment }} {{ deploy.app }}\n\
        is: {{ deploy.version }} {{ deploy.commit[:12] }}\n\
        in: {{ deploy.live_path }} {{ deploy.release_path }}\n";
    let scene = Scene::new(sessions, target, template);
    let v1 = scene.ground.commit("v1");
    let transport = scene.transport(json!({ "port": 80, "servers": ["a", "b"] }));
    let new = scene.diff(&transport, &v1).await;
    assert!(new.starts_with("config/app.yaml: new file, mode 0444\n@@ -0,0 +1,6 @@\n"), "{new}");
    let one = scene.deploy(&transport, &v1, "r1").await;
    let at = scene.ground.path();
    let expected = format!(
        "port: 80\n- a\n- b\nat: canary {target} beta mockbase\nis: v1 {}\nin: {} {}\n",
        &v1.id.as_str()[..12],
        at.display(),
        scene.ground.release(&one).display(),
    );
    assert_eq!(scene.live(), expected);
    assert_eq!(mode(&scene.file(&one)), 0o444);
    assert_eq!(mode(&scene.ground.release(&one).join("config")), 0o755);
    assert_eq!(scene.diff(&transport, &v1).await, "");
    assert_eq!(scene.deploy(&transport, &v1, "r2").await, one, "the same once more");

    // Another value makes another release of the same commit.
    let other = scene.transport(json!({ "port": 81, "servers": ["a", "b"] }));
    let diff = scene.diff(&other, &v1).await;
    assert_eq!(diff, "config/app.yaml: @@ -1,3 +1,3 @@\n-port: 80\n+port: 81\n - a\n - b");
    let two = scene.deploy(&other, &v1, "r3").await;
    assert_ne!(one, two);
    assert_eq!(one.version.id, two.version.id);
    assert!(scene.live().starts_with("port: 81\n"));
    let live = scene.ground.live(&other).await;
    assert_eq!((live.release(), live.last_good_not_live()), (Some(&two), Some(&one)));

    // The way back brings the old rendering, and the plan says so.
    let back = scene.ground.between(Some(&two), Some(&one));
    let diff = other.diffs(&back).remove(0).diff;
    assert!(diff.contains("-port: 81\n+port: 80\n"), "{diff}");
    other.promote(&scene.ground.target, &back, &scope("r4")).await.unwrap();
    assert!(scene.live().starts_with("port: 80\n"));
}

const SECRET: &str = "db: {{ secret.db.password }}\nurl: x://u:{{ secret.token|urlencode }}@h\n";

async fn secrets_are_written_and_never_told(sessions: &Sessions, target: &Target) {
    let scene = Scene::new(sessions, target, SECRET)
        .with_secrets("token = \"hun ter2\"\n[db]\npassword = \"correct horse\"\n");
    let v1 = scene.ground.commit("v1");
    let transport = scene.transport(json!({}));
    let diff = scene.diff(&transport, &v1).await;
    assert!(diff.contains("+db: __secret.db.password__\n+url: x://u:__secret.token__@h"), "{diff}");
    let one = scene.deploy(&transport, &v1, "r1").await;
    assert_eq!(scene.live(), "db: correct horse\nurl: x://u:hun%20ter2@h\n");
    assert_eq!(mode(&scene.file(&one)), 0o440);
    let manifest = scene.ground.release(&one).join(".deploy-rendered");
    assert_eq!(mode(&manifest), 0o400);

    // Nowhere but in the file itself, and the file of secrets.
    let live = scene.ground.live(&transport).await;
    for told in [format!("{live:?} {transport:?}"), fs::read_to_string(manifest).unwrap()] {
        assert!(!told.contains("correct") && !told.contains("hun"), "{told}");
    }
    let grep = std::process::Command::new("grep")
        .args(["-rlE", "correct horse|hun.{1,3}ter2", "."])
        .current_dir(scene.ground.cache())
        .output()
        .unwrap();
    let found = String::from_utf8(grep.stdout).unwrap();
    assert_eq!(found, format!("./releases/{}/config/app.yaml\n", one.id));

    // Where everybody can read the secrets, that is told.
    assert!(live.notes.is_empty(), "{:?}", live.notes);
    fs::set_permissions(scene.secrets_file(), fs::Permissions::from_mode(0o644)).unwrap();
    let notes = scene.ground.live(&transport).await.notes;
    assert!(notes[0].starts_with("everybody there can read the secrets in "), "{notes:?}");
}

async fn secrets_that_changed_make_another_release(sessions: &Sessions, target: &Target) {
    let old = "token = \"one\"\nother = 1\n[db]\npassword = \"p\"\n";
    let scene = Scene::new(sessions, target, SECRET).with_secrets(old);
    let v1 = scene.ground.commit("v1");
    let transport = scene.transport(json!({}));
    let one = scene.deploy(&transport, &v1, "r1").await;
    // What no template writes does not count.
    scene.put_secrets(&old.replace("other = 1", "other = 2"));
    assert_eq!(scene.diff(&transport, &v1).await, "");
    assert_eq!(scene.deploy(&transport, &v1, "r2").await, one);

    scene.put_secrets(&old.replace("one", "two"));
    let diff = scene.diff(&transport, &v1).await;
    assert_eq!(diff, "config/app.yaml: its secrets have changed on the host");
    let two = scene.deploy(&transport, &v1, "r3").await;
    assert_ne!(one, two);
    assert!(scene.live().contains("u:two@h"));
    assert!(fs::read_to_string(scene.file(&one)).unwrap().contains("u:one@h"), "not touched");
    // Another deployer, who knows nothing of before, comes to the same.
    let another = scene.transport(json!({}));
    assert_eq!(scene.deploy(&another, &v1, "r4").await, two);
    // The old ones again: that release is there still.
    scene.put_secrets(old);
    assert_eq!(scene.deploy(&another, &v1, "r5").await, one);
    assert!(scene.live().contains("u:one@h"));
}

async fn what_a_target_lacks_for_its_secrets_is_told_beforehand(
    sessions: &Sessions,
    target: &Target,
) {
    let scene = Scene::new(sessions, target, SECRET).with_secrets("token = [1]\n");
    let v1 = scene.ground.commit("v1");
    let transport = scene.transport(json!({}));
    let path = scene.secrets_file();
    let lacks = async || {
        scene.render(&transport, &v1).await.unwrap();
        scene.ground.live(&transport).await.lacks.join("\n")
    };
    let expected = format!(
        "the secret db.password, which {APP} writes, is missing: put it into {path} there\n\
         the secret token, which {APP} writes, is a list: only text can be written: put it into \
         {path} there"
    );
    assert_eq!(lacks().await, expected);
    scene.put_secrets("token = \"a\"\ntoken = hunter2\n");
    assert_eq!(lacks().await, format!("its secrets: {path}:2 is not TOML"));
    fs::remove_file(&path).unwrap();
    let told = lacks().await;
    assert!(
        told.starts_with(&format!("its secrets: {path} is not there: write it, for ")),
        "{told}"
    );
    // What comes about between plan and fetch is an error of that target, and tells no secret.
    scene.put_secrets("token = \"hunter2\"\n[db]\npassword = \"p\"\n");
    assert_eq!(lacks().await, "");
    let change = scene.ground.change(&transport, None, Some(&v1));
    scene.put_secrets("token = \"hunter2\"\n");
    let error = transport.fetch(target, &change, &scope("r1")).await.unwrap_err();
    assert!(error.cause().contains("the secret db.password"), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    // A group that nobody can give files to.
    let file = Template::new(APP, "app.yaml").unwrap().file_group("no-such-group").unwrap();
    let strange = scene.transport_of(scene.templates(vec![file], json!({})));
    scene.render(&strange, &v1).await.unwrap();
    scene.put_secrets("token = \"a\"\n[db]\npassword = \"p\"\n");
    let is_root = nix::unistd::Uid::effective().is_root();
    let lacks = scene.ground.live(&strange).await.lacks.join("\n");
    assert_eq!(lacks.contains("is not in the group no-such-group"), !is_root, "{lacks}");
}

async fn damaged_files_are_rendered_again_on_the_way_back(sessions: &Sessions, target: &Target) {
    let scene = Scene::new(sessions, target, "{{ greeting }} {{ secret.token }}\n")
        .with_secrets("token = \"one\"\n");
    let v1 = scene.ground.commit("v1");
    let hello = || scene.transport(json!({ "greeting": "hello" }));
    let one = scene.deploy(&hello(), &v1, "r1").await;
    scene.ground.write("a.txt", "two\n");
    let v2 = scene.ground.commit("v2");
    let two = scene.deploy(&hello(), &v2, "r2").await;
    let back = scene.ground.between(Some(&two), Some(&one));
    let spoil = |release: &Release, how: &dyn Fn(&Path)| {
        let file = scene.file(release);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        how(&file);
    };
    let damages: [&dyn Fn(&Path); 4] = [
        &|file| fs::write(file, "hacked\n").unwrap(),
        &|file| fs::remove_file(file).unwrap(),
        &|_| {},
        &|file| {
            fs::remove_file(file).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", file).unwrap();
        },
    ];
    for damage in damages {
        spoil(&one, damage);
        let transport = hello();
        transport.promote(target, &back, &scope("r3")).await.unwrap();
        assert_eq!(scene.live(), "hello one\n");
        assert_eq!(mode(&scene.file(&one)), 0o440);
        let again = scene.ground.between(Some(&one), Some(&two));
        transport.promote(target, &again, &scope("r3")).await.unwrap();
    }
    // Templates that have changed since cannot bring it back: that is told, and nothing switched.
    spoil(&one, &|file| fs::write(file, "hacked\n").unwrap());
    let other = scene.transport(json!({ "greeting": "bye" }));
    let error = other.promote(target, &back, &scope("r3")).await.unwrap_err();
    assert!(error.cause().contains("config/app.yaml is not what was rendered"), "{error:?}");
    assert!(error.cause().contains("have changed since it was made"), "{error:?}");
    assert_eq!(scene.ground.live(&other).await.release(), Some(&two));

    let closing = Closing { good: Some(two.clone()), back: None };
    other.finalize(target, &closing, &scope("r3")).await.unwrap();

    // The live one: that it differs is told, and another deploy of it puts it right.
    spoil(&two, &|file| fs::write(file, "by hand\n").unwrap());
    let transport = hello();
    let notes = scene.ground.live(&transport).await.notes;
    assert_eq!(notes, ["config/app.yaml in the live release is not what was rendered"]);
    assert_eq!(scene.deploy(&transport, &v2, "r5").await, two);
    assert_eq!(scene.live(), "hello one\n");
}

async fn what_cannot_be_rendered_refuses_before_anything_is_touched(
    sessions: &Sessions,
    target: &Target,
) {
    let scene = Scene::new(sessions, target, "a: 1\nport: {{ prot }}\n");
    let v1 = scene.ground.commit("v1");
    let transport = scene.transport(json!({ "port": 80 }));
    let error = scene.render(&transport, &v1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.to_string(), "render the templates of v1");
    assert_eq!(error.cause(), format!("{APP}:2: `prot` is not defined (for {target})"));
    assert_eq!(error.hint(), Some("did you mean `port`?"));
    // Whoever goes on all the same is told the same.
    let error = transport.release(target, &v1).unwrap_err();
    let anew = "it is not there (keep = 5), and cannot be made anew";
    assert_eq!(error.cause(), format!("{anew}: {APP}:2: `prot` is not defined"));
    let error = scene.transport(json!({})).release(target, &v1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);

    for (template, problem) in [
        ("{% for %}", "syntax error"),
        ("{{ secret.token }}", "`secret.token` is not defined"),
        ("{% include 'no.j2' %}", "no.j2"),
        ("{{ range(9999)|list }}{% for x in range(9999) %}{{ 'x' * 999 }}{% endfor %}", "1 MiB"),
    ] {
        scene.ground.write(APP, template);
        let version = scene.ground.commit("bad");
        let error = scene.render(&scene.transport(json!({})), &version).await.unwrap_err();
        assert!(error.cause().contains(problem), "{template}: {error:?}");
    }
    // What is asked of a secret cannot be known before it is read.
    let scene = scene.with_secrets("token = \"x\"\n");
    for template in [
        "{% if secret.token %}a{% endif %}",
        "{% if secret.token == 'x' %}a{% endif %}",
        "{{ secret }}",
        "{{ secret.token|length }}",
    ] {
        scene.ground.write(APP, template);
        let version = scene.ground.commit("bad");
        assert!(scene.render(&scene.transport(json!({})), &version).await.is_err(), "{template}");
    }
    let public = Template::new(APP, "a").unwrap().mode("0444").unwrap();
    scene.ground.write(APP, "{{ secret.token }}");
    let version = scene.ground.commit("public");
    let transport = scene.transport_of(scene.templates(vec![public], json!({})));
    let error = scene.render(&transport, &version).await.unwrap_err();
    assert!(error.cause().contains("everybody could read it"), "{error:?}");
    assert!(!scene.ground.cache().exists(), "nothing was touched");
}

async fn a_destination_that_is_not_free_is_refused(sessions: &Sessions, target: &Target) {
    let scene = Scene::new(sessions, target, "x\n");
    scene.ground.write("config/default.yaml", "");
    std::os::unix::fs::symlink("/etc", scene.ground.repo().join("link")).unwrap();
    let version = scene.ground.commit("v1");
    for (destination, problem) in [
        ("a.txt", "\"a.txt\" is a file"),
        ("a.txt/b", "\"a.txt\" is a file"),
        ("config", "\"config\" is a directory"),
        ("link", "\"link\" is a symbolic link"),
        ("link/b", "\"link\" is a symbolic link"),
    ] {
        let file = Template::new(APP, destination).unwrap();
        let transport = scene.transport_of(scene.templates(vec![file], json!({})));
        let error = scene.render(&transport, &version).await.unwrap_err();
        assert!(error.cause().contains(problem), "{destination}: {error:?}");
    }
    let shared = scene.layout().share(["log"]).unwrap();
    let process = RunProcess::current().unwrap();
    let transport = SshTransport::new(sessions.clone(), scene.ground.repo(), shared, process);
    let file = Template::new(APP, "log/a").unwrap();
    assert!(transport.templates(scene.templates(vec![file], json!({}))).is_err());
    // No template, no file: that names the template.
    let file = Template::new("templates/none.j2", "b").unwrap();
    let transport = scene.transport_of(scene.templates(vec![file], json!({})));
    let error = scene.render(&transport, &version).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.cause().contains("\"templates/none.j2\""), "{error:?}");
}

async fn what_steps_make_is_not_taken_over(sessions: &Sessions, target: &Target) {
    let scene =
        Scene::new(sessions, target, "{{ secret.token }}\n").with_secrets("token = \"x\"\n");
    let version = scene.ground.commit("v1");
    let elsewhere = scene.ground.srv().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let build = |command: &str| {
        let timeout = std::time::Duration::from_secs(30);
        vec![BuildStep { name: "build".into(), command: command.into(), timeout }]
    };
    let commands = [
        "mkdir config && echo theirs > config/app.yaml".to_owned(),
        format!("ln -s '{}' config", elsewhere.display()),
        format!("mkdir config && ln -s '{}/app.yaml' config/app.yaml", elsewhere.display()),
    ];
    for command in &commands {
        let transport = scene.transport(json!({})).build_steps(build(command));
        scene.render(&transport, &version).await.unwrap();
        let change = scene.ground.change(&transport, None, Some(&version));
        let error = transport.fetch(target, &change, &scope("r1")).await.unwrap_err();
        assert!(error.cause().contains("config/app.yaml cannot be rendered"), "{error:?}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{command}");
    }
    // A step sees no secrets, and what it makes beside them stays.
    let quiet = "test ! -e config && mkdir config && echo built > config/built";
    let transport = scene.transport(json!({})).build_steps(build(quiet));
    let release = scene.deploy(&transport, &version, "r1").await;
    assert_eq!(scene.live(), "x\n");
    let built = scene.ground.release(&release).join("config/built");
    assert_eq!(fs::read_to_string(built).unwrap(), "built\n");
}

async fn rendered_files_do_not_pass_on_to_the_next_release(sessions: &Sessions, target: &Target) {
    let scene =
        Scene::new(sessions, target, "{{ secret.token }}\n").with_secrets("token = \"one\"\n");
    let v1 = scene.ground.commit("v1");
    let one = scene.deploy(&scene.transport(json!({})), &v1, "r1").await;
    scene.ground.write("b.txt", "new\n");
    let v2 = scene.ground.commit("v2");
    let two = scene.deploy(&scene.transport(json!({})), &v2, "r2").await;
    assert_eq!(scene.live(), "one\n");
    let links = |release: &Release| fs::metadata(scene.file(release)).unwrap().nlink();
    assert_eq!((links(&one), links(&two)), (1, 1), "each release has its own");
    let plain = scene.plain_transport();
    let three = scene.ground.deploy(&plain, &v1, "r3").await.unwrap();
    assert!(!scene.file(&three).exists());
    assert!(!scene.ground.release(&three).join(".deploy-rendered").exists());
}

async fn an_archive_gets_rendered_files_too(sessions: &Sessions, target: &Target) {
    let scene = Scene::new(sessions, target, "{{ greeting }} {{ secret.token }}\n")
        .with_secrets("token = \"one\"\n");
    let transport = |greeting: &str| {
        let command = "tar -cf \"$DEPLOY_ARCHIVE\" a.txt".to_owned();
        let timeout = std::time::Duration::from_secs(60);
        let file = Template::new(APP, "config/app.yaml").unwrap();
        let templates = scene.templates(vec![file], json!({ "greeting": greeting }));
        let method = FetchMethod::Archive(ArchiveOptions { command, timeout });
        scene.plain_transport().fetch_by(method).templates(templates).unwrap()
    };
    let v1 = scene.ground.commit("v1");
    let deploy = async |transport: &SshTransport, run: &str| {
        transport.admit(&v1).await.unwrap();
        scene.deploy(transport, &v1, run).await
    };
    let hello = transport("hello");
    let one = deploy(&hello, "r1").await;
    assert_eq!(scene.live(), "hello one\n");
    assert_eq!(fs::read_to_string(scene.ground.path().join("a.txt")).unwrap(), "one\n");
    assert!(!scene.ground.path().join(APP).exists(), "only what the archive has");
    let two = deploy(&transport("bye"), "r2").await;
    assert_eq!(scene.live(), "bye one\n");

    // Damaged both ways: what was rendered, and what was in the archive.
    let back = scene.ground.between(Some(&two), Some(&one));
    for file in [scene.file(&one), scene.ground.release(&one).join("a.txt")] {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&file, "hacked").unwrap();
    }
    let fresh = transport("hello");
    fresh.admit(&v1).await.unwrap();
    fresh.promote(target, &back, &scope("r3")).await.unwrap();
    assert_eq!(scene.live(), "hello one\n");
    assert_eq!(fs::read_to_string(scene.ground.path().join("a.txt")).unwrap(), "one\n");
}

async fn a_destination_that_an_archive_has_is_refused(sessions: &Sessions, target: &Target) {
    let scene = Scene::new(sessions, target, "x\n");
    scene.ground.write("only/here", "");
    let version = scene.ground.commit("v1");
    let command =
        "mkdir etc; : >etc/own; ln -s etc link; tar -cf \"$DEPLOY_ARCHIVE\" a.txt etc link";
    let transport = |destination: &str| {
        let timeout = std::time::Duration::from_secs(60);
        let options = ArchiveOptions { command: command.to_owned(), timeout };
        let file = Template::new(APP, destination).unwrap();
        let transport = scene.plain_transport().fetch_by(FetchMethod::Archive(options));
        transport.templates(scene.templates(vec![file], json!({}))).unwrap()
    };
    for (destination, problem) in [
        ("a.txt", "\"a.txt\" is a file of the archive"),
        ("etc", "\"etc\" is a directory of the archive"),
        ("etc/own/a", "\"etc/own\" is a file of the archive"),
        ("link/a", "\"link\" is a symbolic link of the archive"),
    ] {
        let transport = transport(destination);
        transport.admit(&version).await.unwrap();
        let error = scene.render(&transport, &version).await.unwrap_err();
        assert!(error.cause().contains(problem), "{destination}: {error:?}");
    }
    // What the version has and the archive has not is free.
    for destination in ["etc/new", "only/here"] {
        let transport = transport(destination);
        transport.admit(&version).await.unwrap();
        scene.render(&transport, &version).await.unwrap();
    }
}
