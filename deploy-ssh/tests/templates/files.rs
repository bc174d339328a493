//! What is rendered, where it lies, and how it goes back.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use deploy_core::{
    backend::{Closing, Preview, Transport},
    model::{Release, Target},
};
use deploy_ssh::{
    ArchiveOptions, FetchMethod, SshTransport, Template,
    session::{Sessions, SshConfig},
};
use serde_json::json;

use crate::{
    ground::scope,
    scene::{APP, Scene, mode},
    sshd::{one_host, target},
};

over_both_links!(
    files_are_rendered_by_variables_group_and_host,
    damaged_files_are_rendered_again_on_the_way_back,
    rendered_files_do_not_pass_on_to_the_next_release,
    an_archive_gets_rendered_files_too,
);

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
    let diff = other.diffs(&back, &scope("r4")).await.unwrap().remove(0).diff;
    assert!(diff.contains("-port: 81\n+port: 80\n"), "{diff}");
    other.promote(&scene.ground.target, &back, &scope("r4")).await.unwrap();
    assert!(scene.live().starts_with("port: 80\n"));
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
