//! Secrets of the target: written, told nowhere, missed beforehand.

use std::{fs, os::unix::fs::PermissionsExt};

use deploy_core::{backend::Transport, model::Target};
use deploy_ssh::{
    Template,
    session::{Sessions, SshConfig},
};
use serde_json::json;

use crate::{
    ground::scope,
    scene::{APP, Scene, mode},
    sshd::{one_host, target},
};

over_both_links!(
    secrets_are_written_and_never_told,
    secrets_that_changed_make_another_release,
    what_a_target_lacks_for_its_secrets_is_told_beforehand,
);

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
